//! An utterance and its hypotheses.

use super::{Extra, Parts};

/// One transcript proposed by the recogniser.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Words separated by white space; may be empty.
    pub text: String,
    /// First-pass natural log-probability, higher is better. `None` if absent, which differs from zero.
    pub score: Option<f64>,
    /// Its parts, if the recogniser reports them separately.
    pub parts: Parts,
    /// Score of the rescoring model (`lm` in the file), written by rescoring.
    pub lm: Option<f64>,
    /// Combined score that orders the list, written by rescoring.
    pub total: Option<f64>,
    /// Unknown keys, in the order of the file.
    pub extra: Extra,
}

impl Hypothesis {
    /// A hypothesis with a text and an optional first-pass score.
    #[must_use]
    pub fn new(text: impl Into<String>, score: Option<f64>) -> Self {
        Self { text: text.into(), score, ..Self::default() }
    }

    /// The score that orders a list, for formats with one score: the total after rescoring, else the first pass.
    #[must_use]
    pub fn ordering_score(&self) -> Option<f64> {
        self.total.or(self.score)
    }
}

/// One utterance: its N-best list, and its reference if known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Utterance {
    /// Non-empty id, usually unique in a data set; the readers do not check that.
    pub id: String,
    /// Reference transcript (`ref` in the file); `None` if unknown, `Some("")` for silence.
    pub reference: Option<String>,
    /// The list (`nbest` in the file), 1 to [`MAX_HYPOTHESES`](crate::bounds::MAX_HYPOTHESES) entries in file order.
    pub hypotheses: Vec<Hypothesis>,
    /// Unknown keys, in the order of the file.
    pub extra: Extra,
}

impl Utterance {
    /// An utterance without unknown keys.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        reference: Option<String>,
        hypotheses: Vec<Hypothesis>,
    ) -> Self {
        Self { id: id.into(), reference, hypotheses, extra: Extra::default() }
    }

    /// Memory that the utterance needs, in bytes: its structures and texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let hypothesis = |h: &Hypothesis| {
            size_of::<Hypothesis>() + h.text.len() + h.parts.bytes() + h.extra.bytes()
        };
        size_of::<Self>()
            + self.id.len()
            + self.reference.as_ref().map_or(0, String::len)
            + self.hypotheses.iter().map(hypothesis).sum::<usize>()
            + self.extra.bytes()
    }

    /// Removes the unknown keys, for uses that write no lists.
    pub fn forget_unknown(&mut self) {
        self.extra.clear();
        self.hypotheses.iter_mut().for_each(|hypothesis| hypothesis.extra.clear());
    }
}
