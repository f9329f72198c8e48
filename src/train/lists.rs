//! The task of training an adapter: to choose well in N-best lists.

use burn::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::batches::{batches, tokens};
use super::calibrate::is_at_lower_end;
use super::data::TrainData;
use super::dev::DevData;
use super::message::{Message, WarningKind};
use super::pass::{Parts, Pass};
use super::settings::TrainConfig;
use super::task::{Batch, Extent, Judgement, Size, Task, TrainedModel};
use crate::model::{Encoder, ModelError, TrainableTensors};
use crate::ops::Objective;
use crate::score::{ScoreWarning, Weights};

/// Lists to train on, and lists that judge the adapter by their error rate.
#[derive(Debug)]
pub struct Lists {
    pub(crate) data: TrainData,
    pub(crate) dev: Option<DevData>,
    /// What is suspicious about the first-pass scores of the training lists.
    pub(crate) score_warnings: Vec<ScoreWarning>,
}

impl Lists {
    /// Rescoring weights with these parts.
    pub(super) fn weights(&self, beta: f64) -> Weights {
        Weights { parts: self.data.part_weights.clone(), ..Weights::new(beta, 0.0) }
    }
}

impl Task for Lists {
    const IS_RATE: bool = true;

    fn batches(&self, config: &TrainConfig, epoch: usize) -> Vec<Vec<usize>> {
        batches(&self.data, config.seed, epoch, config.batch_tokens)
    }

    fn size(&self, lists: &[usize]) -> Size {
        let texts = lists.iter().map(|&at| self.data.lists[at].errors.len()).sum();
        Size { texts, tokens: tokens(&self.data, lists) }
    }

    fn pass(
        &self,
        model: TrainedModel<'_>,
        parameters: &Tensor<1>,
        batch: Batch<'_>,
    ) -> Result<Parts, ModelError> {
        let Batch { examples, of, dropout, with } = batch;
        let pass = Pass { model, data: &self.data };
        pass.run(parameters, examples, of, dropout, with)
    }

    fn can_judge(&self) -> bool {
        self.dev.is_some()
    }

    async fn judge(
        &mut self,
        encoder: &Encoder,
        trainable: &TrainableTensors,
    ) -> Result<Judgement, ModelError> {
        let Some(dev) = &mut self.dev else { unreachable!("there are lists to judge by") };
        let tuned = dev.evaluate(encoder, trainable).await?;
        // A development set without reference words was rejected earlier.
        Ok(Judgement { measure: tuned.wer.unwrap_or_default(), weights: tuned.weights })
    }

    fn judged(&self, judgement: &Judgement, step: usize, best: bool) -> Message {
        let Judgement { measure: wer, weights: Weights { beta, gamma, .. } } = *judgement;
        let rates = self.dev.as_ref().map(|dev| (dev.wer_first(), dev.wer_oracle()));
        let (wer_first, wer_oracle) = rates.unwrap_or_default();
        Message::Evaluated { step, wer, wer_first, wer_oracle, beta, gamma, best }
    }

    fn opening(&self, config: &TrainConfig, extent: Extent) -> Vec<Message> {
        let Self { data, dev, score_warnings } = self;
        let counts = data.counts;
        let usable = data.lists.len();
        let started = Message::Started {
            utterances: counts.utterances,
            usable,
            skipped_no_reference: counts.no_reference,
            skipped_equal_errors: counts.equal_errors,
            hypotheses: counts.hypotheses,
            truncated: counts.truncated,
            dev_utterances: dev.as_ref().map_or(0, DevData::len),
            steps: extent.steps,
            done: extent.done,
            first_scale: data.first_scale,
            part_weights: data.part_weights.clone(),
            trainable: extent.trainable,
            base_parameters: extent.base_parameters,
        };
        let mut messages = vec![started];
        let mut warn = |kind, text| messages.push(Message::Warning { kind, text });
        if config.objective == Objective::Mwed && counts.without_scores > 0 {
            let text = format!(
                "{} of {usable} training lists have no first-pass scores: MWED then computes its temperature from the \
                 model's scores, whose sign is arbitrary; use mwer or listwise for such lists",
                counts.without_scores
            );
            warn(WarningKind::MwedWithoutScores, text);
        }
        if config.objective == Objective::Mwed && counts.positive_sums > 0 {
            let text = format!(
                "the first-pass scores of {} of {usable} training lists sum to more than 0, which reverses MWED's \
                 orientation: scores must be log-probabilities; use mwer or listwise, or scores below 0",
                counts.positive_sums
            );
            warn(WarningKind::MwedOrientation, text);
        }
        let of_dev = dev.iter().flat_map(|dev| dev.findings());
        let sets = data.findings.iter().map(|found| ("training", found));
        for (set, found) in sets.chain(of_dev.map(|found| ("development", found))) {
            warn(WarningKind::Conventions, format!("{set} lists: {found}"));
        }
        for warning in score_warnings {
            warn(WarningKind::FirstPassScores, warning.to_string());
        }
        if config.first_scale.is_none() && is_at_lower_end(data.first_scale, usable) {
            let text = format!(
                "the first-pass scale ends at the edge of its search, {:.1e}: the first-pass scores do not agree with the \
                 references; are they costs, or without meaning?",
                data.first_scale
            );
            warn(WarningKind::FirstScaleAtEdge, text);
        }
        if dev.is_none() {
            let text = "without a development set, there is no evaluation to select the best step: the adapter of the last \
                        step is kept, and beta must be tuned afterwards";
            warn(WarningKind::NoDevelopmentSet, text.to_owned());
        }
        messages
    }

    fn identity(&self) -> Map<String, Value> {
        let training = json!(self.data.fingerprint());
        let development = json!(self.dev.as_ref().map(DevData::fingerprint));
        Map::from_iter([
            ("training data (SHA-256)".to_owned(), training),
            ("development data (SHA-256)".to_owned(), development),
        ])
    }
}
