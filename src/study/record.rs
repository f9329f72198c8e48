//! What a run leaves: one JSON line.

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
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done(Box<Measured>),
    /// It failed.
    Failed {
        /// Why, in one line.
        error: String,
        /// Seconds until then.
        seconds: f64,
    },
}

/// What was measured of a run. Rates are fractions, times seconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Device, in words.
    pub device: String,
    /// Parameters of the base.
    pub base_parameters: u64,
    /// Its hidden size and number of layers.
    pub base_shape: (usize, usize),
    /// Where the time went.
    pub seconds: Seconds,
    /// What training did; `None` for a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained: Option<Trained>,
    /// Most memory of the process while it trained; `None` where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Mean absolute correlation between the dimensions of `[CLS]` over the target's test texts;
    /// `None` for methods without `[CLS]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isotropy: Option<f64>,
    /// Weights of the combination, tuned on the dev lists.
    pub beta: f64,
    /// The same per word.
    #[serde(default)]
    pub gamma: f64,
    /// The target domain, then the others.
    pub domains: Vec<DomainResult>,
    /// Perturbed test lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perturbed: Vec<Perturbed>,
}

/// Where a run's time went.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Reading lists and base, and preparing.
    pub preparing: f64,
    /// Steps of training alone.
    pub training: f64,
    /// Evaluations of the dev lists between them.
    pub evaluating: f64,
    /// Test lists, perturbed ones and isotropy.
    pub testing: f64,
    /// The whole run, as seen from outside.
    pub total: f64,
}

/// What training did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trained {
    /// Parameters trained.
    pub trainable: u64,
    /// Size of the saved adapter.
    pub adapter_bytes: u64,
    /// Steps done.
    pub steps: usize,
    /// Steps at the best dev WER.
    pub best_step: usize,
    /// Seconds of training, without evaluations, until then.
    pub best_seconds: f64,
    /// Median seconds of a step.
    pub step_seconds: f64,
    /// Every evaluation of the dev lists.
    pub dev: Vec<DevPoint>,
    /// Dev WER of the first pass.
    pub dev_first: f64,
    /// Dev WER of the best choice from each list.
    pub dev_oracle: f64,
}

/// One evaluation of the dev lists.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DevPoint {
    /// Steps done.
    pub step: usize,
    /// Seconds of training, without evaluations, until then.
    pub seconds: f64,
    /// WER with the tuned beta.
    pub wer: f64,
}

/// Test lists of one domain. Vectors hold one entry per utterance with a reference.
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
    /// Errors of the hypothesis that rescoring chose.
    pub rescored: Vec<u32>,
    /// Fewest errors of the list.
    pub oracle: Vec<u32>,
    /// Errors when lists are cut to their best hypotheses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
}

/// Errors over all utterances when of each list only the best by first-pass score are rescored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Most hypotheses of a list.
    pub n: u32,
    /// Errors of the choice.
    pub rescored: u64,
    /// Fewest errors that a choice could have.
    pub oracle: u64,
}

/// Perturbed test lists of one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Perturbed {
    /// Which hypotheses were perturbed.
    pub scope: Scope,
    /// Probability of replacement.
    pub rate: f64,
    /// Words replaced.
    pub replaced: u64,
    /// Words of the hypotheses that might have been perturbed.
    pub of_words: u64,
    /// The results, without cuts.
    pub domain: DomainResult,
}

impl DomainResult {
    /// WER of an array of errors; `None` without a reference word.
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
    /// Seconds of training until the dev WER was at most `wer`; `None` where it never was.
    #[must_use]
    pub fn seconds_to(&self, wer: f64) -> Option<f64> {
        // WERs are quotients of the same counts, so equal ones may differ in the last bit alone.
        self.dev.iter().find(|point| point.wer <= wer + 1e-12).map(|point| point.seconds)
    }

    /// The lowest dev WER.
    #[must_use]
    pub fn best_wer(&self) -> Option<f64> {
        self.dev.iter().map(|point| point.wer).reduce(f64::min)
    }
}
