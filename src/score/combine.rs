//! The combination of first pass and rescoring model.

use serde::{Deserialize, Serialize};

use crate::nbest::Utterance;

/// Weights of the combination `total = first + beta * lm + gamma * words`.
///
/// The default is the first pass alone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Weights {
    /// Factor of the rescoring model's score; no unit.
    pub beta: f64,
    /// Added per word of the hypothesis, in nats; positive favours long hypotheses.
    #[serde(default)]
    pub gamma: f64,
}

/// The one place where a total is computed, so that tuning and rescoring agree to the bit.
pub(super) fn total(first: f64, lm: f64, words: f64, weights: Weights) -> f64 {
    first + weights.beta * lm + weights.gamma * words
}

/// First-pass score of every hypothesis, with absent ones filled in.
///
/// A score that is absent while others of the list have one counts as the lowest of the list: the
/// recogniser's silence is no reason to prefer a hypothesis, and between it and the worst known one
/// the rescoring model decides. Where no hypothesis of the list has a score, the first pass has no
/// opinion, and all are 0.
#[must_use]
pub fn first_pass(u: &Utterance) -> Vec<f64> {
    let lowest = u.hypotheses.iter().filter_map(|h| h.score).reduce(f64::min).unwrap_or(0.0);
    u.hypotheses.iter().map(|h| h.score.unwrap_or(lowest)).collect()
}

/// Number of words of a text, as [`word_errors`](super::word_errors) counts them.
#[must_use]
pub fn word_count(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}

/// Combined score of every hypothesis: [`first_pass`] + beta * `lm` + gamma * [`word_count`].
///
/// # Panics
/// If `lm` does not hold one score per hypothesis.
#[must_use]
pub fn combine(u: &Utterance, lm: &[f64], w: Weights) -> Vec<f64> {
    assert_eq!(lm.len(), u.hypotheses.len(), "one score per hypothesis of {:?}", u.id);
    let scored = first_pass(u).into_iter().zip(lm).zip(&u.hypotheses);
    scored.map(|((first, &lm), h)| total(first, lm, f64::from(word_count(&h.text)), w)).collect()
}

/// Index of the highest total. Of equal ones the first wins, so a list keeps its order where the
/// scores have no opinion. A NaN never wins against a number.
///
/// # Panics
/// If `totals` is empty; a list holds one hypothesis at least.
#[must_use]
pub fn best(totals: &[f64]) -> usize {
    assert!(!totals.is_empty(), "a list without hypotheses has no best one");
    let mut best = 0;
    for (at, &total) in totals.iter().enumerate().skip(1) {
        if total > totals[best] || (totals[best].is_nan() && !total.is_nan()) {
            best = at;
        }
    }
    best
}
