//! Messages of a run.

use serde::{Deserialize, Serialize};

use crate::score::PartWeights;

/// One message of a run; serialises as `{"type":"step",...}`. Rates are fractions. Messages have no times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The data are prepared; first message of a run or a resumed run.
    Started {
        /// Training utterances.
        utterances: usize,
        /// Usable utterances.
        usable: usize,
        /// Those without a reference.
        skipped_no_reference: usize,
        /// Those whose hypotheses all have the same number of word errors.
        skipped_equal_errors: usize,
        /// Hypotheses of the usable ones, without those beyond `nbest`.
        hypotheses: usize,
        /// The number of these that were truncated.
        truncated: usize,
        /// Development utterances with a reference.
        dev_utterances: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Steps already done, in a resumed run.
        done: usize,
        /// First-pass scale in training.
        first_scale: f64,
        /// Weights of the parts of the first-pass scores; empty without `parts`.
        #[serde(default, skip_serializing_if = "PartWeights::is_empty")]
        part_weights: PartWeights,
        /// Number of trainable parameters.
        trainable: usize,
        /// Parameters of the frozen base.
        base_parameters: usize,
    },
    /// The texts are prepared; first message of a run that trains a smaller base.
    Learning {
        /// Texts to learn from.
        texts: usize,
        /// Texts kept apart to judge by.
        apart: usize,
        /// Texts that were truncated.
        truncated: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Steps already done, in a resumed run.
        done: usize,
        /// Number of trainable parameters.
        trainable: usize,
    },
    /// One of several batches of a step; sent only with gradient accumulation.
    Batch {
        /// The current step, from 1.
        step: usize,
        /// Finished batches of this step.
        batch: usize,
        /// All batches of this step.
        batches: usize,
    },
    /// An optimiser step. Loss and norm are those before the update.
    Step {
        /// Steps done, from 1.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Epoch, from 1.
        epoch: usize,
        /// Mean over the utterances of this step: `ranking + cor_weight * correlation`.
        loss: f64,
        /// Mean of the objective, with MD at its weight.
        ranking: f64,
        /// Mean of the correlation term; absent if its weight is 0.
        correlation: Option<f64>,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// Learning rate.
        lr: f64,
        /// Utterances of this step.
        utterances: usize,
        /// Hypotheses of this step.
        hypotheses: usize,
        /// Tokens of their distinct texts, which are the computed ones.
        tokens: usize,
    },
    /// The development set was scored and beta tuned on it.
    Evaluated {
        /// Finished steps.
        step: usize,
        /// WER with the tuned beta.
        wer: f64,
        /// WER of the first pass.
        wer_first: f64,
        /// WER of the oracle.
        wer_oracle: f64,
        /// The tuned beta.
        beta: f64,
        /// Word insertion reward; 0, because it is tuned after training.
        gamma: f64,
        /// Whether this WER is the lowest so far.
        best: bool,
    },
    /// The loss on texts that are kept apart, in a run that is judged by it.
    Compared {
        /// Finished steps.
        step: usize,
        /// The loss.
        loss: f64,
        /// Whether it is the lowest so far.
        best: bool,
    },
    /// A warning for the user; the run continues.
    Warning {
        /// The kind of warning.
        kind: WarningKind,
        /// The problem, and advice.
        text: String,
    },
    /// The run finished.
    Finished {
        /// Finished steps.
        steps: usize,
        /// Step of the best evaluation; absent without a development set.
        best_step: Option<usize>,
        /// Its WER.
        best_wer: Option<f64>,
        /// Its loss, in a run that is not judged by a rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        best_loss: Option<f64>,
        /// Whether patience ran out before the last step.
        stopped_early: bool,
    },
}

/// The kinds of [`Message::Warning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// MWED on lists without first-pass scores: the temperature then depends only on the model.
    MwedWithoutScores,
    /// MWED on lists whose scores sum to more than 0, which reverses its orientation.
    MwedOrientation,
    /// The loss does not decrease.
    LossDoesNotMove,
    /// The first-pass scores of the training lists are probably not log-probabilities.
    FirstPassScores,
    /// The first-pass scale is at the lower end of its search: the scores do not agree with the references.
    FirstScaleAtEdge,
    /// There is no development set to select the best adapter.
    NoDevelopmentSet,
    /// References and lists seem to differ in case, punctuation, script or other conventions.
    Conventions,
    /// A resumed run continues with other kernels, on another device.
    OtherTiles,
}
