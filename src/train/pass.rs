//! One batch forward and backward.

use std::collections::HashMap;

use burn::tensor::Tensor;

use super::config::TrainConfig;
use super::correlation::correlation;
use super::data::TrainData;
use super::objective::{ListBatch, ListView};
use crate::base::BertConfig;
use crate::model::{Encoder, Layout, Leaves, LoraConfig, PackedBatch};

/// What every batch of a run has in common.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The frozen base.
    pub encoder: &'a Encoder,
    /// Its sizes.
    pub base: &'a BertConfig,
    /// Settings of the adapter.
    pub lora: &'a LoraConfig,
    /// Order of its parameters.
    pub layout: &'a Layout,
    /// The training set.
    pub data: &'a TrainData,
    /// Settings of the run.
    pub config: &'a TrainConfig,
}

/// A batch's part of a step's loss, and of its gradient.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Gradient by all parameters, `[P]`.
    pub gradient: Tensor<1>,
    /// The objective, `[1]`.
    pub ranking: Tensor<1>,
    /// The correlation term before its weight, `[1]`; 0 where that weight is 0.
    pub correlation: Tensor<1>,
}

impl Parts {
    /// The parts of two batches of one step together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            ranking: self.ranking + other.ranking,
            correlation: self.correlation + other.correlation,
        }
    }
}

impl Pass<'_> {
    /// Computes the lists of one batch of a step that has `of` lists in all its batches:
    ///
    /// ```text
    /// ranking     = sum over the batch's lists of the objective / of
    /// correlation = correlation over the batch's distinct texts * (lists of the batch / of)
    /// gradient    = d (ranking + cor_weight * correlation) / d parameters
    /// ```
    ///
    /// so that the sum over the batches of a step is the mean over its lists. The correlation is one
    /// per batch, weighted likewise: over texts of several batches it cannot be had from one pass.
    ///
    /// `parameters [P]` lie on the encoder's device; `dropout` is the seed of the batch's dropout.
    #[must_use]
    pub fn run(
        &self,
        parameters: &Tensor<1>,
        lists: &[usize],
        of: usize,
        dropout: Option<u64>,
    ) -> Parts {
        let (batch, rows) = self.pack(lists);
        let views: Vec<ListView<'_>> = lists
            .iter()
            .zip(&rows)
            .map(|(&at, rows)| {
                let list = &self.data.lists[at];
                ListView { first: &list.first, errors: &list.errors, rows }
            })
            .collect();
        let targets = ListBatch::new(self.config.objective, self.config.label_smoothing, &views);
        let leaves = Leaves::tracked(self.base, self.lora, self.layout, parameters);
        let out = self.encoder.forward(&batch, &leaves, dropout);
        let ranking = targets.loss(out.scores, self.config.beta).div_scalar(of as f64);
        let weight = f64::from(self.config.cor_weight);
        let term = if weight > 0.0 { correlation(out.cls) } else { None };
        let term = term.map(|term| term.mul_scalar(lists.len() as f64 / of as f64));
        let loss = match &term {
            Some(term) => ranking.clone() + term.clone().mul_scalar(weight),
            None => ranking.clone(),
        };
        let gradient = leaves.gradient(&loss.backward());
        let ranking = ranking.inner();
        let correlation = term.map_or_else(|| ranking.zeros_like(), Tensor::inner);
        Parts { gradient, ranking, correlation }
    }

    /// The distinct texts of some lists, and for each list the rows of its hypotheses among them.
    fn pack(&self, lists: &[usize]) -> (PackedBatch, Vec<Vec<usize>>) {
        let mut batch = PackedBatch::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        let rows = lists
            .iter()
            .map(|&at| {
                let sequences = self.data.lists[at].sequences.iter();
                let mut row = |&sequence: &usize| {
                    *places.entry(sequence).or_insert_with(|| {
                        batch.push(&self.data.sequences[sequence]);
                        batch.sequences() - 1
                    })
                };
                sequences.map(&mut row).collect()
            })
            .collect();
        (batch, rows)
    }
}
