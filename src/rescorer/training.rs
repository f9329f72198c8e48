//! Training of an adapter for the rescorer's base.

use std::ops::ControlFlow;

use crate::adapter::AdapterMeta;
use crate::model::{Adapter, ModelError};
use crate::nbest::Utterance;
use crate::score::Weights;
use crate::train::{Message, TrainConfig, TrainError, TrainInputs, Trainer};

use super::{Rescorer, RescorerError};

/// A training run, and the metadata of its adapter.
#[derive(Debug)]
pub struct Run {
    /// The run, which advances message by message.
    pub trainer: Trainer,
    meta: AdapterMeta,
}

/// A trained adapter.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The adapter.
    pub adapter: Adapter,
    /// Its base, objective and weights.
    pub meta: AdapterMeta,
    /// The weights in `meta`: tuned on the dev lists, else derived from training's weights.
    pub weights: Weights,
    /// Whether the adapter was selected by an evaluation on dev lists.
    pub evaluated: bool,
}

impl Run {
    /// The adapter of the best evaluation so far; before the first one, the current adapter with the LM weight derived
    /// from training's weights.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails before the first evaluation.
    pub async fn best_async(&self) -> Result<Trained, TrainError> {
        let (adapter, tuned) = self.trainer.best().await?;
        let weights = tuned.clone().unwrap_or_else(|| self.trainer.rescoring_weights());
        let meta = AdapterMeta { weights: Some(weights.clone()), ..self.meta.clone() };
        Ok(Trained { adapter, meta, weights, evaluated: tuned.is_some() })
    }
}

impl Rescorer {
    /// Prepares a run that trains `start` on `train` and selects the best checkpoint on `dev`, which may be empty.
    /// `checkpoint` is the state of an interrupted run with the same data and settings.
    ///
    /// # Errors
    /// [`RescorerError::Train`] names the invalid setting, utterance or part of the checkpoint;
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
        let conventions = config.conventions();
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
        Ok(Run {
            trainer: trainer?,
            meta: AdapterMeta { objective, conventions, ..self.new_meta() },
        })
    }

    /// Trains `start` to the end. `on_message` receives every [`Message`] and may stop the run. The adapter is returned
    /// but not added; use [`Rescorer::add_adapter`].
    ///
    /// # Errors
    /// [`RescorerError::Train`]; [`ModelError::Stopped`] if `on_message` stops the run.
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
