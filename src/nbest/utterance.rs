//! An utterance and its hypotheses.

use serde_json::{Map, Value};

/// One transcript that the recogniser considered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Words separated by white space; may be empty.
    pub text: String,
    /// First-pass natural log-probability, higher is better. `None` when absent, which is not zero.
    pub score: Option<f64>,
    /// Acoustic log-probability, where the recogniser gives it apart.
    pub am: Option<f64>,
    /// Score of the rescoring model (`lm` in the file), written by rescoring.
    pub lm: Option<f64>,
    /// Combined score by which the list was re-ordered, written by rescoring.
    pub total: Option<f64>,
    /// Keys that this crate does not know, in the order of the file.
    pub extra: Map<String, Value>,
}

impl Hypothesis {
    /// A hypothesis with a text and, where known, a first-pass score.
    #[must_use]
    pub fn new(text: impl Into<String>, score: Option<f64>) -> Self {
        Self { text: text.into(), score, ..Self::default() }
    }
}

/// One utterance: what was said, where known, and what the recogniser heard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Utterance {
    /// Non-empty name, unique in a data set by custom; the readers of streams do not check that.
    pub id: String,
    /// Reference transcript (`ref` in the file); `None` when unknown, `Some("")` when nothing was said.
    pub reference: Option<String>,
    /// The list (`nbest` in the file), 1 to [`MAX_HYPOTHESES`](super::MAX_HYPOTHESES) entries in file order.
    pub hypotheses: Vec<Hypothesis>,
    /// Keys that this crate does not know, in the order of the file.
    pub extra: Map<String, Value>,
}

impl Utterance {
    /// An utterance without unknown keys.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        reference: Option<String>,
        hypotheses: Vec<Hypothesis>,
    ) -> Self {
        Self { id: id.into(), reference, hypotheses, extra: Map::new() }
    }
}
