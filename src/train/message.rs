//! What a run tells whoever watches it.

use serde::{Deserialize, Serialize};

/// One message of a run; serialises as `{"type":"step",...}`. Rates are fractions, times are the
/// watcher's own affair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The data are prepared; first message of a run, and of a resumed one.
    Started {
        /// Training utterances given.
        utterances: usize,
        /// Those trained on.
        usable: usize,
        /// Those without a reference.
        skipped_no_reference: usize,
        /// Those whose hypotheses all have equally many word errors, so that nothing can be chosen.
        skipped_equal_errors: usize,
        /// Hypotheses of the usable ones, those beyond `nbest` not counted.
        hypotheses: usize,
        /// Of these, those cut at the base's position limit.
        truncated: usize,
        /// Development utterances with a reference.
        dev_utterances: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Steps done before, in a resumed run.
        done: usize,
        /// Factor of the first-pass scores in training.
        first_scale: f64,
        /// Parameters trained.
        trainable: usize,
        /// Parameters of the frozen base.
        base_parameters: usize,
    },
    /// A batch of a step that has more of them; sent only where gradients are accumulated.
    Batch {
        /// The step under way, from 1.
        step: usize,
        /// Batches of this step done.
        batch: usize,
        /// Batches of this step in all.
        batches: usize,
    },
    /// A step of the optimiser. Loss and norm are those before it.
    Step {
        /// Steps done, from 1.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Pass over the data, from 1.
        epoch: usize,
        /// Mean over the utterances of this step: `ranking + cor_weight * correlation`.
        loss: f64,
        /// Mean of the objective.
        ranking: f64,
        /// Mean of the correlation term; absent where its weight is 0.
        correlation: Option<f64>,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// Learning rate.
        lr: f64,
        /// Utterances of this step.
        utterances: usize,
        /// Hypotheses of this step.
        hypotheses: usize,
        /// Tokens of their distinct texts, which is what is computed.
        tokens: usize,
    },
    /// The development set was scored and beta tuned on it.
    Evaluated {
        /// Steps done.
        step: usize,
        /// WER with the tuned beta.
        wer: f64,
        /// WER of the first pass.
        wer_first: f64,
        /// WER of the best choice from each list.
        wer_oracle: f64,
        /// The tuned beta.
        beta: f64,
        /// Weight per word; 0, since it is tuned after training.
        gamma: f64,
        /// Whether this WER is the lowest so far.
        best: bool,
    },
    /// Something that the user should look at; the run goes on.
    Warning {
        /// Which warning.
        kind: WarningKind,
        /// What is the matter, and what to do about it.
        text: String,
    },
    /// The run is over.
    Finished {
        /// Steps done.
        steps: usize,
        /// Step of the best evaluation; absent without a development set.
        best_step: Option<usize>,
        /// Its WER.
        best_wer: Option<f64>,
        /// Whether patience ran out before the last step.
        stopped_early: bool,
    },
}

/// What a [`Message::Warning`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// MWED on lists without first-pass scores, whose temperature then hangs on the model alone.
    MwedWithoutScores,
    /// MWED on lists whose scores add up to more than 0, which it trains the wrong way round.
    MwedOrientation,
    /// The loss does not go down.
    LossDoesNotMove,
    /// Nothing tells which adapter of the run is best.
    NoDevelopmentSet,
}
