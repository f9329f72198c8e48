//! Combines the scores of first pass and rescoring model.

use serde::{Deserialize, Serialize};

use crate::nbest::Utterance;

/// Weights of the combination `total = first + beta * lm + gamma * words`.
///
/// The default is the first pass only.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Weights {
    /// LM weight: factor of the rescoring model's score, dimensionless.
    pub beta: f64,
    /// Word insertion reward, added per word of the hypothesis, in nats; positive values favour long hypotheses.
    #[serde(default)]
    pub gamma: f64,
}

/// The only place that computes a total, so that tuning and rescoring agree bit for bit.
pub(super) fn total(first: f64, lm: f64, words: f64, weights: Weights) -> f64 {
    first + weights.beta * lm + weights.gamma * words
}

/// First-pass score of every hypothesis, with missing ones filled in.
///
/// If only some hypotheses of a list have a score, a missing one counts as the lowest of the list: a missing
/// score is not a reason to prefer a hypothesis, and the rescoring model decides between it and the worst
/// known one. If no hypothesis of the list has a score, all are 0.
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
/// If `lm` does not have one score per hypothesis.
#[must_use]
pub fn combine(u: &Utterance, lm: &[f64], w: Weights) -> Vec<f64> {
    assert_eq!(lm.len(), u.hypotheses.len(), "one score per hypothesis of {:?}", u.id);
    let scored = first_pass(u).into_iter().zip(lm).zip(&u.hypotheses);
    scored.map(|((first, &lm), h)| total(first, lm, f64::from(word_count(&h.text)), w)).collect()
}

/// Index of the highest total. The first of equal totals wins, so ties keep the order of the list. A NaN
/// never wins against a number.
///
/// # Panics
/// If `totals` is empty; a list has at least one hypothesis.
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
