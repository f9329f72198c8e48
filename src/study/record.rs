//! The result of a run: one JSON line.

use serde::{Deserialize, Serialize};

use super::cell::{Cell, CellId};
use super::perturb::Scope;

/// A line of the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The cell's id.
    pub id: CellId,
    /// The cell.
    pub cell: Cell,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It finished.
    Done(Box<Measured>),
    /// It failed.
    Failed {
        /// The error, in one line.
        error: String,
        /// Seconds until the failure.
        seconds: f64,
    },
}

/// Measurements of a run. Rates are fractions, times are in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Description of the device.
    pub device: String,
    /// Parameters of the base.
    pub base_parameters: u64,
    /// Its hidden size and number of layers.
    pub base_shape: (usize, usize),
    /// Time by phase.
    pub seconds: Seconds,
    /// Training results; `None` for a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained: Option<Trained>,
    /// Peak memory of the process during training; `None` if the system does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Mean absolute correlation between the dimensions of `[CLS]` over the target's test texts;
    /// `None` for methods without `[CLS]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isotropy: Option<f64>,
    /// LM weight, tuned on the dev lists.
    pub beta: f64,
    /// Word insertion reward, tuned on the dev lists.
    #[serde(default)]
    pub gamma: f64,
    /// The target domain, then the others.
    pub domains: Vec<DomainResult>,
    /// Perturbed test lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perturbed: Vec<Perturbed>,
}

/// Time of a run by phase.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Reading lists and base, and preparing.
    pub preparing: f64,
    /// Training steps only.
    pub training: f64,
    /// Evaluations on the dev lists.
    pub evaluating: f64,
    /// Test lists, perturbed ones and isotropy.
    pub testing: f64,
    /// The whole run, measured from outside.
    pub total: f64,
}

/// Training results.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trained {
    /// Number of trainable parameters.
    pub trainable: u64,
    /// Size of the saved adapter.
    pub adapter_bytes: u64,
    /// Finished steps.
    pub steps: usize,
    /// Steps at the best dev WER.
    pub best_step: usize,
    /// Training time in seconds until then, without evaluations.
    pub best_seconds: f64,
    /// Median time per step in seconds.
    pub step_seconds: f64,
    /// All evaluations on the dev lists.
    pub dev: Vec<DevPoint>,
    /// Dev WER of the first pass.
    pub dev_first: f64,
    /// Dev WER of the oracle.
    pub dev_oracle: f64,
}

/// One evaluation on the dev lists.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DevPoint {
    /// Finished steps.
    pub step: usize,
    /// Training time in seconds until then, without evaluations.
    pub seconds: f64,
    /// WER with the tuned beta.
    pub wer: f64,
}

/// Test lists of one domain. Vectors have one entry per utterance with a reference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DomainResult {
    /// The domain's name.
    pub name: String,
    /// Words of the reference.
    pub words: Vec<u32>,
    /// Hypotheses of the list.
    pub hypotheses: Vec<u32>,
    /// Errors of the first pass.
    pub first: Vec<u32>,
    /// Errors of the hypothesis selected by rescoring.
    pub rescored: Vec<u32>,
    /// Errors of the oracle.
    pub oracle: Vec<u32>,
    /// Errors with truncated lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<TruncatedErrors>,
}

/// Total errors if only the best hypotheses of each list by first-pass score are rescored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedErrors {
    /// Maximum number of hypotheses per list.
    pub n: u32,
    /// Errors of the selected hypotheses.
    pub rescored: u64,
    /// Errors of the oracle.
    pub oracle: u64,
}

/// Perturbed test lists of one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Perturbed {
    /// The perturbed hypotheses.
    pub scope: Scope,
    /// Probability of replacement.
    pub rate: f64,
    /// Words replaced.
    pub replaced: u64,
    /// Candidate words of the hypotheses.
    pub of_words: u64,
    /// The results, without truncated lists.
    pub domain: DomainResult,
}

impl DomainResult {
    /// WER of an array of errors; `None` without reference words.
    #[must_use]
    pub fn wer(&self, errors: &[u32]) -> Option<f64> {
        let sum = |values: &[u32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
        let words = sum(&self.words);
        (words > 0.0).then(|| sum(errors) / words)
    }

    /// WER of rescoring.
    #[must_use]
    pub fn wer_rescored(&self) -> Option<f64> {
        self.wer(&self.rescored)
    }

    /// WER of the first pass.
    #[must_use]
    pub fn wer_first(&self) -> Option<f64> {
        self.wer(&self.first)
    }
}

impl Trained {
    /// Seconds of training until the dev WER was at most `wer`; `None` if it never was.
    #[must_use]
    pub fn seconds_to(&self, wer: f64) -> Option<f64> {
        // WERs are quotients of the same counts, so equal ones may differ only in the last bit.
        self.dev.iter().find(|point| point.wer <= wer + 1e-12).map(|point| point.seconds)
    }

    /// The lowest dev WER.
    #[must_use]
    pub fn best_wer(&self) -> Option<f64> {
        self.dev.iter().map(|point| point.wer).reduce(f64::min)
    }
}
