//! Synthetic lists.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::base::BertConfig;
use crate::train::{Counts, TrainData, TrainList};

/// Hypotheses per list.
const HYPOTHESES: usize = 10;

/// Lengths of hypotheses in tokens: `SHORTEST` and up to `SPREAD - 1` more, 20 in the mean.
const SHORTEST: usize = 14;
const SPREAD: usize = 13;

/// Lists of ten different hypotheses of about 20 tokens, with at least `tokens` tokens in total; at least one list.
pub(super) fn synthetic(base: &BertConfig, tokens: usize, seed: u64) -> TrainData {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: usize| (rng.next_u64() % n as u64) as usize;
    let (mut sequences, mut lists, mut made) = (Vec::<Vec<u32>>::new(), Vec::new(), 0);
    while lists.is_empty() || made < tokens {
        let members: Vec<usize> = (0..HYPOTHESES)
            .map(|_| {
                let length = (SHORTEST + below(SPREAD)).min(base.max_tokens());
                sequences.push((0..length).map(|_| below(base.vocab_size) as u32).collect());
                made += length;
                sequences.len() - 1
            })
            .collect();
        let first = (0..HYPOTHESES).map(|at| -2.0 - 0.3 * at as f64).collect();
        let mut errors: Vec<u32> = (0..HYPOTHESES).map(|_| below(7) as u32).collect();
        // A list with equal errors would have no gradient.
        errors[0] = errors[1] + 1;
        lists.push(TrainList { first, errors, teacher: Vec::new(), sequences: members });
    }
    TrainData {
        sequences,
        lists,
        first_scale: 1.0,
        part_weights: crate::score::PartWeights::new(),
        counts: Counts::default(),
        findings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    #[test]
    fn lists_have_the_requested_size() {
        let base = Shape::Tiny.config();
        for tokens in [1, 500, 4096] {
            let data = synthetic(&base, tokens, 7);
            let made: usize = data.sequences.iter().map(Vec::len).sum();
            assert!((tokens..tokens + HYPOTHESES * (SHORTEST + SPREAD)).contains(&made), "{made}");
            assert_eq!(data.sequences.len(), HYPOTHESES * data.lists.len());
            assert!(data.sequences.iter().flatten().all(|&id| (id as usize) < base.vocab_size));
            assert!(data.lists.iter().all(|list| list.errors[0] != list.errors[1]));
        }
        let data = synthetic(&base, 20_000, 7);
        let mean = data.sequences.iter().map(Vec::len).sum::<usize>() as f64;
        let mean = mean / data.sequences.len() as f64;
        assert!((19.0..21.0).contains(&mean), "{mean}");
    }
}
