//! Batching of lists.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::data::TrainData;

/// Batches per sorting bucket: enough that neighbouring lists have similar lengths, few enough that an epoch
/// stays shuffled.
const BATCHES_PER_BUCKET: usize = 8;

/// The batches of one epoch, as indices of lists: every list once, none split.
///
/// Lists are shuffled by `(seed, epoch)` and sorted by the length of their longest text within buckets of some
/// eight batches, so that a batch has texts of similar length. They are then packed into batches of at most
/// `budget` tokens, where a text that occurs twice in a batch counts once, and the batches are shuffled. A list
/// with more tokens than the budget is a separate batch, which [`Pass`](super::Pass) computes in pieces.
#[must_use]
pub fn batches(data: &TrainData, seed: u64, epoch: usize, budget: usize) -> Vec<Vec<usize>> {
    let lists: Vec<&[usize]> = data.lists.iter().map(|list| list.sequences.as_slice()).collect();
    let lengths: Vec<usize> = data.sequences.iter().map(Vec::len).collect();
    Texts { lists: &lists, lengths: &lengths }.batches(seed, epoch, budget)
}

/// Examples as the indices of their texts, and the tokens of each text.
pub(crate) struct Texts<'a> {
    pub lists: &'a [&'a [usize]],
    pub lengths: &'a [usize],
}

/// Number of tokens in the distinct texts of some lists.
#[must_use]
pub fn tokens(data: &TrainData, lists: &[usize]) -> usize {
    let distinct: HashSet<usize> =
        lists.iter().flat_map(|&at| data.lists[at].sequences.iter().copied()).collect();
    distinct.into_iter().map(|s| data.sequences[s].len()).sum()
}

impl Texts<'_> {
    /// See [`batches`].
    pub fn batches(&self, seed: u64, epoch: usize, budget: usize) -> Vec<Vec<usize>> {
        let mut rng = epoch_rng(seed, epoch);
        let mut order: Vec<usize> = (0..self.lists.len()).collect();
        shuffle(&mut order, &mut rng);
        let longest =
            |&at: &usize| self.lists[at].iter().map(|&s| self.lengths[s]).max().unwrap_or(0);
        for bucket in order.chunks_mut(self.bucket_size(budget)) {
            bucket.sort_by_key(longest);
        }
        let mut batches = self.fill(&order, budget);
        shuffle(&mut batches, &mut rng);
        batches
    }

    fn fill(&self, order: &[usize], budget: usize) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut held: HashSet<usize> = HashSet::new();
        let mut tokens = 0;
        for &at in order {
            let sequences: HashSet<usize> = self.lists[at].iter().copied().collect();
            let more: usize = sequences.difference(&held).map(|&s| self.lengths[s]).sum();
            match batches.last_mut() {
                Some(batch) if tokens + more <= budget => {
                    batch.push(at);
                    tokens += more;
                }
                _ => {
                    batches.push(vec![at]);
                    held.clear();
                    tokens = sequences.iter().map(|&s| self.lengths[s]).sum();
                }
            }
            held.extend(sequences);
        }
        batches
    }

    fn bucket_size(&self, budget: usize) -> usize {
        let tokens_of = |list: &&[usize]| list.iter().map(|&s| self.lengths[s]).sum::<usize>();
        let mean = self.lists.iter().map(tokens_of).sum::<usize>() / self.lists.len().max(1);
        (BATCHES_PER_BUCKET * budget / mean.max(1)).max(BATCHES_PER_BUCKET)
    }
}

fn epoch_rng(seed: u64, epoch: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Fisher-Yates shuffle. The bias of the remainder is below 2^-32 for any list that fits in memory, and the
/// order is the same on every platform.
fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let other = (rng.next_u64() % (last as u64 + 1)) as usize;
        items.swap(last, other);
    }
}

/// Seed of the dropout of one batch: a hash (Steele et al., OOPSLA 2014, "SplitMix") of the run's
/// seed, the step and the batch within it.
#[must_use]
pub fn dropout_seed(seed: u64, step: usize, batch: usize) -> u64 {
    let mix = |state: u64| {
        let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(mix(seed) ^ step as u64) ^ batch as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::{Counts, TrainList};

    /// `lists` lists of up to nine texts of up to 30 tokens; every fifth text is shared with other lists.
    fn data(lists: usize) -> TrainData {
        let mut rng = epoch_rng(42, 0);
        let mut below = |n: u64| (rng.next_u64() % n) as usize;
        let sequences: Vec<Vec<u32>> =
            (0..lists * 6).map(|i| vec![i as u32; 2 + below(29)]).collect();
        let lists = (0..lists)
            .map(|_| {
                let count = 2 + below(8);
                let sequences: Vec<usize> = (0..count)
                    .map(|_| if below(5) == 0 { below(10) } else { below(6 * lists as u64) })
                    .collect();
                TrainList {
                    first: vec![0.0; count],
                    errors: vec![0; count],
                    teacher: vec![],
                    sequences,
                }
            })
            .collect();
        TrainData {
            sequences,
            lists,
            counts: Counts::default(),
            first_scale: 1.0,
            part_weights: crate::score::PartWeights::new(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn every_list_is_in_one_batch_within_the_budget() {
        let data = data(300);
        for budget in [1, 100, 400, 5000, 1_000_000] {
            let batches = batches(&data, 3, 0, budget);
            let mut all = batches.concat();
            all.sort_unstable();
            assert_eq!(all, (0..300).collect::<Vec<_>>());
            for batch in &batches {
                assert!(
                    batch.len() == 1 || tokens(&data, batch) <= budget,
                    "{batch:?} over {budget}"
                );
            }
        }
        assert_eq!(batches(&data, 3, 0, 1).len(), 300);
        assert_eq!(batches(&data, 3, 0, 1_000_000).len(), 1);
    }

    #[test]
    fn batches_are_well_filled() {
        let data = data(2000);
        let batches = batches(&data, 0, 0, 4096);
        let mean = batches.iter().map(|batch| tokens(&data, batch)).sum::<usize>() / batches.len();
        assert!(mean > 3800, "{mean} tokens per batch of 4096");
    }

    #[test]
    fn order_depends_only_on_seed_and_epoch() {
        let data = data(200);
        assert_eq!(batches(&data, 1, 2, 400), batches(&data, 1, 2, 400));
        assert_ne!(batches(&data, 1, 2, 400), batches(&data, 1, 3, 400));
        assert_ne!(batches(&data, 1, 2, 400), batches(&data, 2, 2, 400));
        assert_ne!(batches(&data, 1, 0, 400), batches(&data, 0, 1, 400));
    }

    #[test]
    fn a_text_in_two_lists_counts_once() {
        let list = TrainList {
            first: vec![0.0; 2],
            errors: vec![0, 1],
            teacher: vec![],
            sequences: vec![0, 1],
        };
        let data = TrainData {
            findings: Vec::new(),
            sequences: vec![vec![5; 10], vec![6; 10]],
            lists: vec![list.clone(), list],
            counts: Counts::default(),
            first_scale: 1.0,
            part_weights: crate::score::PartWeights::new(),
        };
        assert_eq!(batches(&data, 0, 0, 20).len(), 1);
        assert_eq!(batches(&data, 0, 0, 19).len(), 2);
        assert_eq!(tokens(&data, &[0, 1]), 20);
    }

    #[test]
    fn dropout_seeds_differ() {
        let seeds: HashSet<u64> = (0..20)
            .flat_map(|s| (0..20).flat_map(move |a| (0..20).map(move |b| dropout_seed(s, a, b))))
            .collect();
        assert_eq!(seeds.len(), 8000);
    }
}
