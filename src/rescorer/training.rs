//! Training an adapter for the base at hand.

use std::ops::ControlFlow;

use crate::adapter::AdapterMeta;
use crate::model::{Adapter, ModelError};
use crate::nbest::Utterance;
use crate::score::Weights;
use crate::train::{Message, TrainConfig, TrainError, TrainInputs, Trainer};

use super::{Rescorer, RescorerError};

/// A training run, and what its adapter will state of itself.
#[derive(Debug)]
pub struct Run {
    /// The run, to advance message by message.
    pub trainer: Trainer,
    meta: AdapterMeta,
}

/// An adapter out of a run.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The adapter.
    pub adapter: Adapter,
    /// Its base, objective and weights.
    pub meta: AdapterMeta,
    /// The weights in `meta`: tuned on the dev lists, else what training's own come to.
    pub weights: Weights,
    /// Whether the adapter is that of an evaluation on dev lists.
    pub evaluated: bool,
}

impl Run {
    /// The adapter of the best evaluation so far; before there is one, the present one with the LM weight that
    /// training's own comes to.
    ///
    /// # Errors
    /// [`TrainError::Device`] when the device fails before there was an evaluation.
    pub async fn best_async(&self) -> Result<Trained, TrainError> {
        let (adapter, tuned) = self.trainer.best().await?;
        let beta = self.trainer.rescoring_beta();
        let weights = tuned.unwrap_or(Weights { beta, gamma: 0.0 });
        let meta = AdapterMeta { weights: Some(weights), ..self.meta.clone() };
        Ok(Trained { adapter, meta, weights, evaluated: tuned.is_some() })
    }
}

impl Rescorer {
    /// Prepares a run that trains `start` on `train` and chooses the best state on `dev`, which may be empty.
    /// `checkpoint` is what an interrupted run of the same data and settings left behind.
    ///
    /// # Errors
    /// [`RescorerError::Train`] names the setting, the utterance or the part of the checkpoint at fault;
    /// [`RescorerError::Merged`].
    pub fn run(
        &self,
        start: Adapter,
        train: &[Utterance],
        dev: &[Utterance],
        config: TrainConfig,
        checkpoint: Option<&[u8]>,
    ) -> Result<Run, RescorerError> {
        self.can_serve()?;
        let objective = Some(config.objective.to_string());
        let inputs = TrainInputs {
            encoder: self.encoder.clone(),
            base: self.base(),
            base_hash: self.hash(),
            tokenizer: self.tokenizer(),
            adapter: start,
            train,
            dev,
        };
        let trainer = match checkpoint {
            None => Trainer::new(inputs, config),
            Some(bytes) => Trainer::resume(inputs, config, bytes),
        };
        Ok(Run { trainer: trainer?, meta: AdapterMeta { objective, ..self.new_meta() } })
    }

    /// Trains `start` from beginning to end. `on_message` is given every [`Message`], and may stop the run. The
    /// adapter is returned and not added: [`Rescorer::add_adapter`] does that.
    ///
    /// # Errors
    /// [`RescorerError::Train`]; [`ModelError::Stopped`] when `on_message` breaks off.
    pub async fn train_async(
        &self,
        start: Adapter,
        train: &[Utterance],
        dev: &[Utterance],
        config: TrainConfig,
        mut on_message: impl FnMut(&Message) -> ControlFlow<()>,
    ) -> Result<Trained, RescorerError> {
        let mut run = self.run(start, train, dev, config, None)?;
        while let Some(message) = run.trainer.next().await? {
            if on_message(&message).is_break() {
                return Err(ModelError::Stopped.into());
            }
        }
        Ok(run.best_async().await?)
    }
}
