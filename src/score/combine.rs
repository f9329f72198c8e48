//! Combines the scores of first pass and rescoring model.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::nbest::{Hypothesis, Utterance};
use crate::text::Unit;

/// Weights of the combination
/// `total = first + sum over parts p of parts[p] * part p + beta * lm + gamma * words`.
///
/// The weight of a part is added to what the part has in the first-pass score already. If that score is a weighted
/// sum of the parts, these weights reach every other weighted sum, up to a common positive factor, which does not
/// change the order. The default is the first pass only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Weights {
    /// LM weight: factor of the rescoring model's score, dimensionless.
    pub beta: f64,
    /// Word insertion reward, added per word of the hypothesis, in nats; positive values favour long hypotheses.
    #[serde(default)]
    pub gamma: f64,
    /// Weights of the parts of the first-pass score by name ("alpha"), dimensionless.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: PartWeights,
}

/// A weight for each part of the first-pass score, by name. A part that is not in it has weight 0.
pub type PartWeights = BTreeMap<String, f64>;

impl Weights {
    /// Weights of the rescoring model's score and of the number of words, with none for parts.
    #[must_use]
    pub const fn new(beta: f64, gamma: f64) -> Self {
        Self { beta, gamma, parts: BTreeMap::new() }
    }

    /// These weights, with this one for a part.
    #[must_use]
    pub fn with_part(mut self, name: &str, alpha: f64) -> Self {
        self.parts.insert(name.to_owned(), alpha);
        self
    }

    /// All weights by name, those of parts as `parts.NAME`.
    pub fn named(&self) -> impl Iterator<Item = (String, f64)> {
        let parts = self.parts.iter().map(|(name, alpha)| (format!("parts.{name}"), *alpha));
        [("beta".to_owned(), self.beta), ("gamma".to_owned(), self.gamma)].into_iter().chain(parts)
    }
}

/// The only place that computes a total, so that tuning and rescoring agree bit for bit. `first` has the weighted
/// parts added.
pub(super) fn total(first: f64, lm: f64, words: f64, beta: f64, gamma: f64) -> f64 {
    first + beta * lm + gamma * words
}

/// Adds a weighted part to a first-pass score; of several parts, in the order of their names.
pub(crate) fn add_part(first: &mut f64, alpha: f64, part: f64) {
    *first += alpha * part;
}

/// First-pass score of every hypothesis, with missing ones filled in.
///
/// If only some hypotheses of a list have a score, a missing one counts as the lowest of the list: a missing
/// score is not a reason to prefer a hypothesis, and the rescoring model decides between it and the worst
/// known one. If no hypothesis of the list has a score, it is the sum of the parts, as [`part_scores`] has them; without
/// parts, all are 0.
#[must_use]
pub fn first_pass(u: &Utterance) -> Vec<f64> {
    if let Some(scores) = filled(u, |h| h.score) {
        return scores;
    }
    let mut sums = vec![0.0; u.hypotheses.len()];
    for (_, scores) in part_scores(u) {
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
    }
    sums
}

/// Whether [`first_pass`] of a list is the sum of its parts, because no hypothesis has a score.
#[must_use]
pub fn first_is_sum_of_parts(u: &Utterance) -> bool {
    u.hypotheses.iter().all(|h| h.score.is_none())
        && u.hypotheses.iter().any(|h| !h.parts.is_empty())
}

/// The parts of the first-pass scores by name, with a value for every hypothesis. A missing value counts as the lowest
/// of its part in the list. A part that no hypothesis has is not there.
#[must_use]
pub fn part_scores(u: &Utterance) -> BTreeMap<String, Vec<f64>> {
    let names: BTreeSet<&str> =
        u.hypotheses.iter().flat_map(|h| h.parts.iter().map(|(name, _)| name)).collect();
    let scores = |name: &str| Some((name.to_owned(), filled(u, |h| h.parts.get(name))?));
    names.into_iter().filter_map(scores).collect()
}

/// [`first_pass`] with the weighted parts added.
#[must_use]
pub fn weighted_first_pass(u: &Utterance, parts: &PartWeights) -> Vec<f64> {
    let mut first = first_pass(u);
    for (name, &alpha) in parts {
        if let Some(scores) = filled(u, |h| h.parts.get(name)) {
            first.iter_mut().zip(scores).for_each(|(first, part)| add_part(first, alpha, part));
        }
    }
    first
}

/// A score of every hypothesis, the lowest of the list where it is missing; `None` if all are missing.
fn filled(u: &Utterance, score: impl Fn(&Hypothesis) -> Option<f64>) -> Option<Vec<f64>> {
    let lowest = u.hypotheses.iter().filter_map(&score).reduce(f64::min)?;
    Some(u.hypotheses.iter().map(|h| score(h).unwrap_or(lowest)).collect())
}

/// Number of words of a text, as [`word_errors`](super::word_errors) counts them.
#[must_use]
pub fn word_count(text: &str) -> u32 {
    Unit::Word.count(text)
}

/// Combined score of every hypothesis: [`weighted_first_pass`] + beta * `lm` + gamma * words, where words are
/// [counted](Unit::count) in this unit.
///
/// # Panics
/// If `lm` does not have one score per hypothesis.
#[must_use]
pub fn combine(u: &Utterance, lm: &[f64], w: &Weights, unit: Unit) -> Vec<f64> {
    assert_eq!(lm.len(), u.hypotheses.len(), "one score per hypothesis of {:?}", u.id);
    let scored = weighted_first_pass(u, &w.parts).into_iter().zip(lm).zip(&u.hypotheses);
    let words = |h: &Hypothesis| f64::from(unit.count(&h.text));
    scored.map(|((first, &lm), h)| total(first, lm, words(h), w.beta, w.gamma)).collect()
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
