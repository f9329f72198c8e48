//! What can go wrong in a training run.

use crate::base::TensorFault;
use crate::model::{DeviceFault, ModelError};

/// Why a run cannot start or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of range.
    #[error("training setting `{setting}` is {value}; expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// The model or its base.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device failed. The run does not get any further on it, but [`Trainer::kept`] has it as it was
    /// at a step shortly before.
    ///
    /// [`Trainer::kept`]: super::Trainer::kept
    #[error("{fault}; the run is kept as of step {kept}")]
    Device {
        /// How it failed.
        #[source]
        fault: DeviceFault,
        /// The step that is kept, 0 for the beginning.
        kept: usize,
    },
    /// The adapter to start from holds a value that is no number.
    #[error(
        "parameter {index} of the adapter to start from is {value}; start from a sound adapter"
    )]
    StartNotFinite {
        /// Index in the flat vector.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// There is nothing to train on.
    #[error(
        "nothing to train on: of {utterances} training utterances {without_reference} have no reference, and in \
         {equal_errors} all of the first {nbest} hypotheses have equally many word errors; give lists with references \
         and different errors"
    )]
    NoUsableList {
        /// Utterances given.
        utterances: usize,
        /// Those without a reference.
        without_reference: usize,
        /// Those with equal errors throughout.
        equal_errors: usize,
        /// Hypotheses looked at in each.
        nbest: usize,
    },
    /// The development set cannot say how good an adapter is.
    #[error(
        "the development set has {utterances} utterances but not one reference word; give references, or train without \
         a development set"
    )]
    NoDevReference {
        /// Utterances given.
        utterances: usize,
    },
    /// A first-pass score is no number.
    #[error(
        "utterance {id:?}: the first-pass score of hypothesis {} is {score}; scores must be finite",
        hypothesis + 1
    )]
    ScoreNotFinite {
        /// Name of the utterance.
        id: String,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// `NaN`, `inf` or `-inf`.
        score: f64,
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
    /// The loss, the gradient or what it makes of the parameters is no number. The trainer stays as it was after the last good step.
    #[error(
        "the {what} is {value} at step {step} (learning rate {lr:.2e}): training diverged; the parameters of step \
         {good} are kept. Lower the learning rate (a third of it is a good next try) or the adapter's alpha, or warm up longer"
    )]
    NotFinite {
        /// `loss`, `correlation term`, `gradient norm` or `size of the new parameters`.
        what: &'static str,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
        /// The step at fault, from 1.
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

/// Why a run cannot go on from a checkpoint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The container is damaged, or a tensor in it is missing or not finite.
    #[error(transparent)]
    Tensor(#[from] TensorFault),
    /// A safetensors file, but no checkpoint.
    #[error("has no `{key}` in its metadata: this is no checkpoint of a training run")]
    Foreign {
        /// Metadata key looked for.
        key: &'static str,
    },
    /// The description of the run cannot be read.
    #[error("its description of the run cannot be read: {0}")]
    Description(String),
    /// Written by another version of LoRB.
    #[error("is of format {found}; this LoRB reads format {expected}. Start the run anew")]
    Version {
        /// Format of the file.
        found: u64,
        /// Format read.
        expected: u64,
    },
    /// The run to resume is another one.
    #[error(
        "was written by a run with other {what}: {checkpoint} there, {now} now. Resume with the same, or start anew"
    )]
    Mismatch {
        /// What differs.
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
        /// Elements needed.
        expected: usize,
    },
    /// Counters that no run of this kind can have.
    #[error("its counters do not belong together: {0}")]
    Counters(String),
    /// The run cannot be written down.
    #[error("cannot be written: {0}")]
    Write(String),
}
