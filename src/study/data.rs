//! Fingerprints of lists, and nested subsets of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::digest::hex;
use crate::nbest::Utterance;

/// SHA-256, in hexadecimal digits, of what a study uses of lists: ids, references, texts and first-pass scores with their
/// parts, in order. File formatting and unused keys do not affect it.
#[must_use]
pub fn fingerprint(utterances: &[Utterance]) -> String {
    let mut hasher = Sha256::new();
    let text = |hasher: &mut Sha256, text: &str| {
        // Include lengths, so that different lists cannot give the same bytes.
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for utterance in utterances {
        text(&mut hasher, &utterance.id);
        hasher.update([u8::from(utterance.reference.is_some())]);
        text(&mut hasher, utterance.reference.as_deref().unwrap_or_default());
        hasher.update((utterance.hypotheses.len() as u64).to_le_bytes());
        for hypothesis in &utterance.hypotheses {
            text(&mut hasher, &hypothesis.text);
            hasher.update([u8::from(hypothesis.score.is_some())]);
            hasher.update(hypothesis.score.unwrap_or_default().to_bits().to_le_bytes());
            hasher.update((hypothesis.parts.len() as u64).to_le_bytes());
            for (name, value) in hypothesis.parts.iter() {
                text(&mut hasher, name);
                hasher.update(value.to_bits().to_le_bytes());
            }
        }
    }
    hex(hasher)
}

/// A random order of `count` utterances. Subsets are its prefixes, so a larger subset contains every smaller
/// one. Drawn with ChaCha8 from `seed`, by a Fisher-Yates shuffle.
#[must_use]
pub fn order(count: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // The bias of the multiplication, below n / 2^64, is negligible.
        let draw = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, usize::try_from(draw).unwrap_or(last));
    }
    order
}

/// The first `size` utterances of the random [`order`], in the order of the file; all of them if `size` is
/// not smaller.
#[must_use]
pub fn subset(utterances: &[Utterance], size: usize, seed: u64) -> Vec<Utterance> {
    if size >= utterances.len() {
        return utterances.to_vec();
    }
    let mut chosen = order(utterances.len(), seed);
    chosen.truncate(size);
    chosen.sort_unstable();
    chosen.into_iter().map(|at| utterances[at].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbest::Hypothesis;

    fn lists(count: usize) -> Vec<Utterance> {
        let list = |at: usize| {
            let hypotheses = vec![Hypothesis::new(format!("text {at}"), Some(-1.0))];
            Utterance::new(format!("u{at}"), Some("text".into()), hypotheses)
        };
        (0..count).map(list).collect()
    }

    #[test]
    fn subsets_nest_and_the_whole_set_is_unchanged() {
        let all = lists(50);
        let ids =
            |size| -> Vec<String> { subset(&all, size, 7).into_iter().map(|u| u.id).collect() };
        for (small, large) in [(1, 5), (5, 20), (20, 49)] {
            let (small, large) = (ids(small), ids(large));
            assert!(small.iter().all(|id| large.contains(id)), "{small:?} {large:?}");
        }
        assert_eq!(ids(5).len(), 5);
        assert_eq!(subset(&all, 50, 7), all);
        assert_ne!(ids(20), subset(&all, 20, 8).into_iter().map(|u| u.id).collect::<Vec<_>>());
        let mut sorted = order(50, 7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn fingerprints_depend_on_the_values_used() {
        let all = lists(3);
        let with = |change: fn(&mut Utterance)| {
            let mut other = all.clone();
            change(&mut other[1]);
            fingerprint(&other)
        };
        assert_eq!(with(|u| u.extra.clear()), fingerprint(&all));
        let changed = [
            with(|u| u.id.push('x')),
            with(|u| u.reference = None),
            with(|u| u.hypotheses[0].text.push('x')),
            with(|u| u.hypotheses[0].score = None),
            with(|u| u.hypotheses[0].score = Some(-2.0)),
            with(|u| {
                u.hypotheses[0].parts.insert("am", -2.0);
            }),
        ];
        assert!(changed.iter().all(|other| *other != fingerprint(&all)));
    }
}
