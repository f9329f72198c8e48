//! What a run is for: the interface between [`Trainer`](super::Trainer) and its examples.

use std::fmt::Debug;

use burn::tensor::Tensor;
use serde_json::{Map, Value};

use super::message::Message;
use super::pass::Parts;
use super::settings::TrainConfig;
use crate::base::BertConfig;
use crate::model::{Encoder, Method, ModelError, TrainableTensors};
use crate::ops::upload::HostData;
use crate::score::Weights;

/// The model that a run trains.
#[derive(Clone, Copy, Debug)]
pub struct TrainedModel<'a> {
    /// The frozen base.
    pub encoder: &'a Encoder,
    /// Its sizes.
    pub base: &'a BertConfig,
    /// What is trained.
    pub method: &'a Method,
    /// Settings of the run.
    pub config: &'a TrainConfig,
}

/// One batch of a step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Indices of its examples.
    pub examples: &'a [usize],
    /// Number of examples in all batches of the step.
    pub of: usize,
    /// Seed of the batch's dropout.
    pub dropout: Option<u64>,
    /// Copied to the device together with the batch.
    pub with: Option<&'a dyn HostData>,
}

/// The amount of work in some examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Hypotheses of lists; texts of a corpus.
    pub texts: usize,
    /// Tokens of their distinct texts, which are the computed ones.
    pub tokens: usize,
}

/// How good parameters are, on examples that are kept apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The measure; lower is better.
    pub measure: f64,
    /// The weights that were tuned for it.
    pub weights: Weights,
}

/// The length of a run, for its first messages.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Steps of the whole run.
    pub steps: usize,
    /// Steps already done.
    pub done: usize,
    /// Trainable parameters.
    pub trainable: usize,
    /// Parameters of the frozen base.
    pub base_parameters: usize,
}

/// Examples with a loss, and a judgement of the result.
pub trait Task: Debug {
    /// Whether [`Judgement::measure`] is an error rate.
    const IS_RATE: bool;

    /// The batches of an epoch, as indices of examples: each example once.
    fn batches(&self, config: &TrainConfig, epoch: usize) -> Vec<Vec<usize>>;

    /// The work in some examples.
    fn size(&self, examples: &[usize]) -> Size;

    /// Loss and gradient of a batch, divided so that the sum over the batches of a step is the mean over its examples.
    /// `parameters [P]` are on the encoder's device.
    ///
    /// # Errors
    /// [`ModelError::Batch`] if a text has ids that do not belong to the base.
    fn pass(
        &self,
        model: TrainedModel<'_>,
        parameters: &Tensor<1>,
        batch: Batch<'_>,
    ) -> Result<Parts, ModelError>;

    /// Whether there are examples to judge by.
    fn can_judge(&self) -> bool;

    /// Judges parameters. Only called if [`can_judge`](Self::can_judge).
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device fails.
    fn judge(
        &mut self,
        encoder: &Encoder,
        trainable: &TrainableTensors,
    ) -> impl Future<Output = Result<Judgement, ModelError>>;

    /// The message about a judgement after `step` steps; `best` if it is the best one so far.
    fn judged(&self, judgement: &Judgement, step: usize, best: bool) -> Message;

    /// The first messages of a run: its data, and warnings.
    fn opening(&self, config: &TrainConfig, extent: Extent) -> Vec<Message>;

    /// Names and values of what must be the same when a run is resumed, apart from base, method and settings.
    fn identity(&self) -> Map<String, Value>;
}
