//! A list with a reference and scores, in numeric form.

use std::collections::BTreeMap;

use crate::nbest::Utterance;
use crate::text::Unit;

use super::combine::{add_part, first_pass, part_scores, total};
use super::{PartWeights, Weights, best, unit_errors};

/// The data of one list that tuning and evaluation need. All vectors have one entry per hypothesis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScoredList {
    /// First-pass score; [`first_pass`] fills in missing ones.
    pub first: Vec<f64>,
    /// Its parts by name; [`part_scores`] fills in missing ones.
    pub parts: BTreeMap<String, Vec<f64>>,
    /// Score of the rescoring model.
    pub lm: Vec<f64>,
    /// Number of words, or of other units.
    pub words: Vec<u32>,
    /// Errors against the reference, in the same unit.
    pub errors: Vec<u32>,
    /// Units of the reference.
    pub reference_words: u32,
}

impl ScoredList {
    /// Converts an utterance in the form in which it is [compared](super::compared()); `None` if it has no reference.
    ///
    /// # Panics
    /// If `lm` does not have one score per hypothesis.
    #[must_use]
    pub fn new(u: &Utterance, lm: &[f64], unit: Unit) -> Option<Self> {
        assert_eq!(lm.len(), u.hypotheses.len(), "one score per hypothesis of {:?}", u.id);
        let reference = u.reference.as_deref()?;
        let errors = |text: &str| {
            u32::try_from(unit_errors(unit, reference, text).errors()).unwrap_or(u32::MAX)
        };
        Some(Self {
            first: first_pass(u),
            parts: part_scores(u),
            lm: lm.to_vec(),
            words: u.hypotheses.iter().map(|h| unit.count(&h.text)).collect(),
            errors: u.hypotheses.iter().map(|h| errors(&h.text)).collect(),
            reference_words: unit.count(reference),
        })
    }

    /// Index of the hypothesis that these weights rank first.
    ///
    /// # Panics
    /// If the list is empty.
    #[must_use]
    pub fn choice(&self, weights: &Weights) -> usize {
        let first = self.weighted_first(&weights.parts);
        let scored = first.iter().zip(&self.lm).zip(&self.words);
        let Weights { beta, gamma, .. } = *weights;
        let totals: Vec<f64> = scored
            .map(|((&first, &lm), &words)| total(first, lm, f64::from(words), beta, gamma))
            .collect();
        best(&totals)
    }

    /// First-pass scores with the weighted parts added, as [`weighted_first_pass`](super::weighted_first_pass).
    pub(super) fn weighted_first(&self, parts: &PartWeights) -> Vec<f64> {
        let mut first = self.first.clone();
        for (name, &alpha) in parts {
            for (first, &part) in first.iter_mut().zip(self.parts.get(name).into_iter().flatten()) {
                add_part(first, alpha, part);
            }
        }
        first
    }
}
