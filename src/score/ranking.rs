//! Ranked lists, and writing their order back to an utterance.

use serde::Serialize;

use crate::nbest::Utterance;
use crate::text::Conventions;

use super::{Weights, combine, compared, first_pass};

/// One hypothesis of a [`RankedList`]. Serialises to the format of the web package.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// The transcript.
    pub text: String,
    /// The score that orders the list: the first-pass score, with missing ones filled in by [`first_pass`], or the
    /// total of [`combine`].
    #[serde(rename = "score")]
    pub total: f64,
    /// First-pass score; `None` if the recogniser gave none.
    pub first: Option<f64>,
    /// Score of the rescoring model; `None` if only the first pass orders the list.
    pub lm: Option<f64>,
    /// Position in this order, from 1.
    pub rank: usize,
    /// Index in the input list, from 0.
    pub index: usize,
    /// Whether the text was truncated for the model.
    pub truncated: bool,
}

/// The hypotheses of one utterance, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedList {
    /// Id of the utterance.
    pub id: String,
    /// At least one hypothesis, by ascending rank; equal totals keep the input order.
    pub hypotheses: Vec<Ranked>,
}

/// The rescoring model's results for one list; both have one entry per hypothesis.
#[derive(Debug, Clone, Copy)]
pub struct ModelScores<'a> {
    /// Scores, higher is better.
    pub lm: &'a [f64],
    /// Whether the text was truncated.
    pub truncated: &'a [bool],
}

impl RankedList {
    /// The recogniser's order: by [`first_pass`], so a hypothesis without a score ranks with the lowest
    /// one of its list, and a list without any keeps its order.
    #[must_use]
    pub fn first_pass(u: &Utterance, conventions: &Conventions) -> Self {
        Self::by(u, &first_pass(&compared(u, conventions)), None)
    }

    /// The order by [`combine`], of the list as it is [`compared()`]. The result has the texts and first-pass scores of the
    /// given list.
    ///
    /// # Panics
    /// If the scores do not match the hypotheses.
    #[must_use]
    pub fn rescored(
        u: &Utterance,
        scores: ModelScores<'_>,
        weights: &Weights,
        conventions: &Conventions,
    ) -> Self {
        let view = compared(u, conventions);
        Self::by(u, &combine(&view, scores.lm, weights, conventions.unit), Some(scores))
    }

    fn by(u: &Utterance, totals: &[f64], scores: Option<ModelScores<'_>>) -> Self {
        let entry = |(position, index): (usize, usize)| {
            let hypothesis = &u.hypotheses[index];
            Ranked {
                text: hypothesis.text.clone(),
                total: totals[index],
                first: hypothesis.score,
                lm: scores.map(|scores| scores.lm[index]),
                rank: position + 1,
                index,
                truncated: scores.is_some_and(|scores| scores.truncated[index]),
            }
        };
        let hypotheses = descending(totals).into_iter().enumerate().map(entry).collect();
        Self { id: u.id.clone(), hypotheses }
    }

    /// Index, in the input list, of the hypothesis that ranks first.
    ///
    /// # Panics
    /// If the list is empty; readers never return empty lists.
    #[must_use]
    pub fn choice(&self) -> usize {
        self.hypotheses[0].index
    }

    /// Number of truncated hypotheses.
    #[must_use]
    pub fn truncated_count(&self) -> usize {
        self.hypotheses.iter().filter(|h| h.truncated).count()
    }

    /// The utterance in this order, with `lm` and `total` as rescoring writes them; those of an earlier rescoring
    /// are replaced.
    /// If only the first pass orders the list, hypotheses are moved but not changed.
    ///
    /// # Panics
    /// If `u` is not the utterance that was ranked.
    #[must_use]
    pub fn apply(&self, mut u: Utterance) -> Utterance {
        let mut given: Vec<_> = u.hypotheses.drain(..).map(Some).collect();
        u.hypotheses.extend(self.hypotheses.iter().map(|ranked| {
            let Some(mut hypothesis) = given[ranked.index].take() else {
                unreachable!("an index occurs once in a ranking")
            };
            if let Some(lm) = ranked.lm {
                hypothesis.lm = Some(lm);
                hypothesis.total = Some(ranked.total);
            }
            hypothesis
        }));
        u
    }
}

/// Indices by descending value. Equal values keep their order, NaN comes last; [`best`](super::best) selects the first
/// of them.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (values[a], values[b]);
        a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
    });
    order
}
