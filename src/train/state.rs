//! Where a run stands.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::optimizer::Moments;
use super::pass::Parts;

/// Everything that changes in a run. The rest follows from settings and data.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The adapter's parameters, `[P]`.
    pub parameters: Tensor<1>,
    pub moments: Moments,
    /// Parameters of the best evaluation.
    pub best: Option<Tensor<1>>,
    /// What the batches of an unfinished step have given.
    pub group: Option<Parts>,
    /// The objective of every step.
    pub history: Vec<f32>,
    pub counters: Counters,
}

/// The numbers of a [`State`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counters {
    /// Steps done.
    pub step: usize,
    /// Epochs done.
    pub epoch: usize,
    /// Batches done in this epoch.
    pub cursor: usize,
    /// Batches done of an unfinished step.
    pub accumulated: usize,
    /// Whether an evaluation is due before the next step.
    pub evaluate: bool,
    /// Evaluations since the best one.
    pub stale: usize,
    /// Whether patience has run out.
    pub stopped: bool,
    /// Whether the user was warned of a loss that does not go down.
    pub warned: bool,
    /// The best evaluation.
    pub best: Option<BestEvaluation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BestEvaluation {
    pub step: usize,
    pub wer: f64,
    pub beta: f64,
}
