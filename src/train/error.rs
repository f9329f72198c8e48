//! Errors of a training run.

use crate::base::TensorFault;
use crate::model::{DeviceFault, ModelError};
use crate::score::Finding;

/// Why a run cannot start or continue.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of range.
    #[error("training setting `{setting}` is {value}; expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The valid range.
        expected: String,
    },
    /// The model or its base.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device failed. The run cannot continue on it, but [`Trainer::kept`] has its state at a recent step.
    ///
    /// [`Trainer::kept`]: super::Trainer::kept
    #[error("{fault}; the state of step {kept} is saved in memory")]
    Device {
        /// The fault.
        #[source]
        fault: DeviceFault,
        /// The step of the saved state, 0 for the start.
        kept: usize,
    },
    /// The initial adapter has a non-finite value.
    #[error(
        "parameter {index} of the initial adapter is {value}; start from an adapter with finite values"
    )]
    StartNotFinite {
        /// Index in the flat vector.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// There is nothing to train on.
    #[error(
        "nothing to train on: of {utterances} training utterances, {without_reference} have no reference, and in \
         {equal_errors} the first {nbest} hypotheses all have the same number of word errors; use lists with references \
         and different errors{}",
        because(cause)
    )]
    NoUsableList {
        /// Input utterances.
        utterances: usize,
        /// Those without a reference.
        without_reference: usize,
        /// Those whose hypotheses all have the same number of errors.
        equal_errors: usize,
        /// Maximum number of hypotheses per list.
        nbest: usize,
        /// A sign of different conventions, which may be the cause.
        cause: Option<Finding>,
    },
    /// Errors depend only on lengths.
    #[error(
        "in all {lists} training lists with a reference, no hypothesis has a word in common with its reference, so their errors \
         depend only on their lengths{}",
        because(cause)
    )]
    NothingInCommon {
        /// Lists with a reference.
        lists: usize,
        /// The probable cause.
        cause: Option<Finding>,
    },
    /// The development set has no reference words.
    #[error(
        "the development set has {utterances} utterances but no reference words; add references, or train without \
         a development set"
    )]
    NoDevReference {
        /// Input utterances.
        utterances: usize,
    },
    /// A first-pass score is not finite.
    #[error(
        "utterance {id:?}: the first-pass score of hypothesis {} is {score}; scores must be finite",
        hypothesis + 1
    )]
    ScoreNotFinite {
        /// Id of the utterance.
        id: String,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// `NaN`, `inf` or `-inf`.
        score: f64,
    },
    /// A hypothesis has no teacher's score.
    #[error(
        "utterance {id:?}: hypothesis {} has no teacher's score, which MD learns: `lm`, with a `total`, as rescoring \
         writes them",
        hypothesis + 1
    )]
    NoTeacherScore {
        /// Id of the utterance.
        id: String,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
    },
    /// A text cannot be tokenised.
    #[error("utterance {id:?}, hypothesis {}: {error}", hypothesis + 1)]
    Text {
        /// Id of the utterance.
        id: String,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// What the tokenizer reported.
        error: crate::base::BaseError,
    },
    /// The loss, the gradient or the new parameters are not finite. The trainer keeps the state after the last good
    /// step.
    #[error(
        "the {what} is {value} at step {step} (learning rate {lr:.2e}): training diverged; the parameters of step \
         {good} are kept. Lower the learning rate (try a third of it) or the adapter's alpha, or use a longer warm-up"
    )]
    NotFinite {
        /// `loss`, `correlation term`, `gradient norm` or `size of the new parameters`.
        what: &'static str,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
        /// The failing step, from 1.
        step: usize,
        /// Its learning rate.
        lr: f64,
        /// The last good step.
        good: usize,
    },
    /// A checkpoint cannot be read.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

fn because(cause: &Option<Finding>) -> String {
    cause.map(|cause| format!("; {cause}")).unwrap_or_default()
}

/// Why a run cannot be resumed from a checkpoint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The container is damaged, or a tensor in it is missing or not finite.
    #[error(transparent)]
    Tensor(#[from] TensorFault),
    /// A safetensors file that is not a checkpoint.
    #[error("has no `{key}` in its metadata: it is not a checkpoint of a training run")]
    Foreign {
        /// The missing metadata key.
        key: &'static str,
    },
    /// The run's metadata is invalid.
    #[error("invalid run metadata: {0}")]
    Description(String),
    /// Written by another version of LoRB.
    #[error(
        "has format {found}; this version of LoRB reads format {expected}. Start the run again"
    )]
    Version {
        /// Format of the file.
        found: u64,
        /// Format read.
        expected: u64,
    },
    /// The checkpoint belongs to another run.
    #[error(
        "belongs to a run with other {what}: {checkpoint} in the checkpoint, {now} now. Resume with the same settings, or start again"
    )]
    Mismatch {
        /// The setting that differs.
        what: String,
        /// Its value in the checkpoint.
        checkpoint: String,
        /// Its value now.
        now: String,
    },
    /// A tensor has a wrong length.
    #[error("tensor `{name}` has {found} elements; expected {expected}")]
    Length {
        /// Name of the tensor.
        name: &'static str,
        /// Elements in the file.
        found: usize,
        /// Required elements.
        expected: usize,
    },
    /// Inconsistent counters.
    #[error("inconsistent counters: {0}")]
    Counters(String),
    /// The run cannot be serialised.
    #[error("cannot be written: {0}")]
    Write(String),
}
