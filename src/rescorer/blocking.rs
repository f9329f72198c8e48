//! Blocking versions of the calls.

use std::ops::ControlFlow;

use pollster::block_on;

use crate::model::{Adapter, MaskedScores, Scored};
use crate::nbest::Utterance;
use crate::score::{RankedList, ScoredList, Search, Weights};
use crate::train::{Message, TrainConfig, TrainError};

use super::{Evaluated, Options, Rescorer, RescorerError, Run, Trained, TunedWeights};

impl Rescorer {
    /// [`Rescorer::score_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn score(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<Scored, RescorerError> {
        block_on(self.score_async(lists, options))
    }

    /// [`Rescorer::rescore_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn rescore(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<Vec<RankedList>, RescorerError> {
        block_on(self.rescore_async(lists, options))
    }

    /// [`Rescorer::evaluate_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
        seed: u64,
    ) -> Result<Evaluated, RescorerError> {
        block_on(self.evaluate_async(lists, options, seed))
    }

    /// [`Rescorer::scored_lists_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn scored_lists(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<(Vec<ScoredList>, usize), RescorerError> {
        block_on(self.scored_lists_async(lists, options))
    }

    /// [`Rescorer::tune_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn tune(
        &mut self,
        lists: &[Utterance],
        options: Options<'_>,
        search: Search,
    ) -> Result<TunedWeights, RescorerError> {
        block_on(self.tune_async(lists, options, search))
    }

    /// [`Rescorer::train_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn train(
        &self,
        start: Adapter,
        train: &[Utterance],
        dev: &[Utterance],
        config: TrainConfig,
        on_message: impl FnMut(&Message) -> ControlFlow<()>,
    ) -> Result<Trained, RescorerError> {
        block_on(self.train_async(start, train, dev, config, on_message))
    }

    /// [`Rescorer::score_texts_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn score_texts(
        &self,
        texts: &[&str],
        options: Options<'_>,
    ) -> Result<Vec<f64>, RescorerError> {
        block_on(self.score_texts_async(texts, options))
    }

    /// [`Rescorer::pseudo_log_likelihood_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn pseudo_log_likelihood(
        &self,
        texts: &[&str],
        options: Options<'_>,
        progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<MaskedScores, RescorerError> {
        block_on(self.pseudo_log_likelihood_async(texts, options, progress))
    }

    /// [`Rescorer::rescore_by_pll_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn rescore_by_pll(
        &self,
        lists: &[Utterance],
        weights: &Weights,
        options: Options<'_>,
    ) -> Result<Vec<RankedList>, RescorerError> {
        block_on(self.rescore_by_pll_async(lists, weights, options))
    }

    /// [`Rescorer::embed_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn embed(&self, texts: &[&str], options: Options<'_>) -> Result<Vec<f32>, RescorerError> {
        block_on(self.embed_async(texts, options))
    }
}

impl Run {
    /// [`Run::best_async`], blocking.
    ///
    /// # Errors
    /// As there.
    pub fn best(&self) -> Result<Trained, TrainError> {
        block_on(self.best_async())
    }
}
