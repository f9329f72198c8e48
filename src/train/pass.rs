//! One batch forward and backward.
//!
//! Either as one graph, or layer by layer (gradient checkpointing): the forward pass then stores only the input
//! of each layer, and the backward pass runs the layer again to differentiate it. This needs the memory of one
//! layer and of the inputs, and costs one more forward pass of all layers that gradients reach, except the last.
//!
//! A list with more tokens than a batch may have is computed in pieces (Gao et al., arXiv 2101.06983). Its loss depends
//! on all its texts, but only through `[CLS]`. So a first forward pass of all pieces, which saves nothing, gives
//! `[CLS]` and the derivative of the loss with respect to it, and then each piece runs again to be differentiated.

use std::collections::HashMap;

use burn::tensor::{Gradients, Tensor};

use super::batches::dropout_seed;
use super::correlation::correlation;
use super::data::{TrainData, TrainList};
use super::objective::{ListBatch, ListView};
use super::settings::TrainConfig;
use super::task::TrainedModel;
use crate::model::{Forward, ModelError, PackedBatch, Stages, TrainableTensors};
use crate::ops::upload::HostData;
use crate::ops::{Objective, backward_from, record};

/// The data shared by all batches of a run.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The model to train.
    pub model: TrainedModel<'a>,
    /// The training set.
    pub data: &'a TrainData,
}

/// A batch's contribution to the loss and gradient of a step.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Gradient with respect to all parameters, `[P]`.
    pub gradient: Tensor<1>,
    /// The objective, with MD at its weight, `[1]`.
    pub ranking: Tensor<1>,
    /// The unweighted correlation term, `[1]`; 0 if its weight is 0.
    pub correlation: Tensor<1>,
}

impl Parts {
    /// The sum of the contributions of two batches.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            ranking: self.ranking + other.ranking,
            correlation: self.correlation + other.correlation,
        }
    }
}

/// The loss of a batch and its terms, `[1]` each.
struct Loss {
    /// The total to differentiate.
    total: Tensor<1>,
    ranking: Tensor<1>,
    /// Absent if its weight is 0.
    correlation: Option<Tensor<1>>,
}

impl Pass<'_> {
    /// Computes one batch of a step that has `of` lists in all its batches:
    ///
    /// ```text
    /// ranking     = sum over the batch's lists of (the objective + md_weight * MD) / of
    /// correlation = correlation over the batch's distinct texts * (lists of the batch / of)
    /// gradient    = d (ranking + cor_weight * correlation) / d parameters
    /// ```
    ///
    /// with the method's [`penalty`](crate::model::TuningMethod::penalty), with the same weighting, added to the
    /// sum that is differentiated.
    ///
    /// So the sum over the batches of a step is the mean over its lists. Each batch has a separate
    /// correlation term, because one pass cannot compute it over the texts of several batches.
    ///
    /// `parameters [P]` are on the encoder's device; `dropout` is the dropout seed of the batch. `with` is copied to the
    /// device together with the batch.
    ///
    /// # Errors
    /// [`ModelError::Batch`] if a text has ids that do not belong to the base.
    pub fn run(
        &self,
        parameters: &Tensor<1>,
        lists: &[usize],
        of: usize,
        dropout: Option<u64>,
        with: Option<&dyn HostData>,
    ) -> Result<Parts, ModelError> {
        let (pieces, rows) = self.pack(lists);
        let views: Vec<ListView<'_>> = lists
            .iter()
            .zip(&rows)
            .map(|(&at, rows)| {
                let list = &self.data.lists[at];
                let TrainList { first, errors, teacher, .. } = list;
                ListView { first, errors, teacher, rows }
            })
            .collect();
        let TrainConfig { objective, label_smoothing, beta, md_weight, .. } = *self.model.config;
        let targets = ListBatch::new(objective, label_smoothing, beta, &views);
        let teacher =
            (md_weight > 0.0).then(|| ListBatch::new(Objective::Md, label_smoothing, beta, &views));
        let share = lists.len() as f64 / of as f64;
        let loss = |out: Forward| self.loss(out, &targets, teacher.as_ref(), of, share);
        let trainable = TrainableTensors::untracked(self.model.base, self.model.method, parameters);
        // The penalty belongs to the step; each batch adds its fraction.
        let more = |trainable: &TrainableTensors| {
            let (term, weight) = self.model.method.penalty(trainable)?;
            Some(term.mul_scalar(weight * share).backward())
        };
        let of_lists = std::iter::once(&targets).chain(&teacher);
        let of_lists = of_lists.map(|lists| -> &dyn HostData { lists.host_data() });
        let with: Vec<&dyn HostData> = of_lists.chain(with).collect();
        let (loss, gradient) = match pieces.as_slice() {
            [batch] => {
                let stages = self.model.encoder.stages(batch, dropout)?;
                stages.upload(&trainable, &with);
                self.differentiate(&stages, &trainable, loss, more)
            }
            pieces => self.by_piece(pieces, &trainable, dropout, &with, loss, more)?,
        };
        let ranking = loss.ranking.inner();
        let correlation =
            loss.correlation.map_or_else(|| ranking.zeros_like(), |term| term.inner());
        Ok(Parts { gradient, ranking, correlation })
    }

    fn loss(
        &self,
        out: Forward,
        targets: &ListBatch,
        teacher: Option<&ListBatch>,
        of: usize,
        share: f64,
    ) -> Loss {
        let mut ranking = targets.loss(out.scores.clone()).div_scalar(of as f64);
        if let Some(teacher) = teacher {
            let weight = f64::from(self.model.config.md_weight) / of as f64;
            ranking = ranking + teacher.loss(out.scores).mul_scalar(weight);
        }
        let weight = f64::from(self.model.config.cor_weight);
        let term = if weight > 0.0 { correlation(out.cls) } else { None };
        let term = term.map(|term| term.mul_scalar(share));
        let total = match &term {
            Some(term) => ranking.clone() + term.clone().mul_scalar(weight),
            None => ranking.clone(),
        };
        Loss { total, ranking, correlation: term }
    }

    /// Forward and backward of one batch.
    fn differentiate(
        &self,
        stages: &Stages<'_>,
        trainable: &TrainableTensors,
        loss: impl FnOnce(Forward) -> Loss,
        more: impl FnOnce(&TrainableTensors) -> Option<Gradients>,
    ) -> (Loss, Tensor<1>) {
        if !self.model.config.recompute {
            return at_once(stages, trainable, loss, more);
        }
        let run = |at, x: Tensor<2>, trainable: &TrainableTensors| {
            stages.layer(at, x.into(), trainable).into_values()
        };
        by_layer(stages, trainable, run, loss, more)
    }

    /// Forward and backward of one batch in several pieces.
    fn by_piece(
        &self,
        pieces: &[PackedBatch],
        trainable: &TrainableTensors,
        dropout: Option<u64>,
        with: &[&dyn HostData],
        loss: impl FnOnce(Forward) -> Loss,
        more: impl FnOnce(&TrainableTensors) -> Option<Gradients>,
    ) -> Result<(Loss, Tensor<1>), ModelError> {
        // A piece has its own dropout, the same in both passes.
        let stages = |at: usize| {
            self.model.encoder.stages(&pieces[at], dropout.map(|seed| dropout_seed(seed, 0, at)))
        };
        let stages: Vec<Stages<'_>> = (0..pieces.len()).map(stages).collect::<Result<_, _>>()?;
        stages[0].upload(trainable, with);
        let forward = |stages: &Stages<'_>| record::repeated(|| stages.cls(trainable));
        let cls = Tensor::cat(stages.iter().map(forward).collect(), 0);
        let cls = cls.autodiff().require_grad();
        let tracked = trainable.track();
        let loss = loss(stages[0].score(cls.clone(), &tracked));
        let mut parts = Vec::new();
        let by_cls = keep(loss.total.backward(), &cls, &mut parts);
        parts.extend(more(&tracked));
        let mut gradient = tracked.gather(&parts);
        drop((cls, parts));
        if trainable.lowest_trained().is_none() && !trainable.embeddings_trained() {
            return Ok((loss, gradient));
        }
        let Some(by_cls) = by_cls else { unreachable!("the loss depends on every score") };
        let mut start = 0;
        for (stages, piece) in stages.iter().zip(pieces) {
            let rows = start..start + piece.sequences();
            start = rows.end;
            let g = by_cls.clone().slice([rows]);
            // The derivative of this sum with respect to `cls` is exactly g.
            let along = |out: Forward| {
                let total = (out.cls * g).sum();
                Loss { ranking: total.clone(), total, correlation: None }
            };
            gradient = gradient + self.differentiate(stages, trainable, along, |_| None).1;
        }
        Ok((loss, gradient))
    }

    /// The distinct texts of some lists, and the rows of each list's hypotheses in them. They are one piece, unless a
    /// single list has more tokens than a batch may have.
    fn pack(&self, lists: &[usize]) -> (Vec<PackedBatch>, Vec<Vec<usize>>) {
        let most = if lists.len() == 1 { self.model.config.batch_tokens } else { usize::MAX };
        let mut pieces = vec![PackedBatch::new()];
        let mut places: HashMap<usize, usize> = HashMap::new();
        let rows = lists
            .iter()
            .map(|&at| {
                let sequences = self.data.lists[at].sequences.iter();
                let mut row = |&sequence: &usize| {
                    let next = places.len();
                    *places.entry(sequence).or_insert_with(|| {
                        push(&mut pieces, &self.data.sequences[sequence], most);
                        next
                    })
                };
                sequences.map(&mut row).collect()
            })
            .collect();
        (pieces, rows)
    }
}

/// Appends a text to the last piece, or to a new one if the last would have more than `most` tokens.
fn push(pieces: &mut Vec<PackedBatch>, ids: &[u32], most: usize) {
    match pieces.last_mut() {
        Some(piece) if piece.is_empty() || piece.len().saturating_add(ids.len()) <= most => {
            piece.push(ids);
        }
        _ => {
            let mut piece = PackedBatch::new();
            piece.push(ids);
            pieces.push(piece);
        }
    }
}

/// Forward and backward as one graph, which saves the activations of every layer.
fn at_once(
    stages: &Stages<'_>,
    trainable: &TrainableTensors,
    loss: impl FnOnce(Forward) -> Loss,
    more: impl FnOnce(&TrainableTensors) -> Option<Gradients>,
) -> (Loss, Tensor<1>) {
    let trainable = trainable.track();
    let loss = loss(stages.score(stages.cls(&trainable), &trainable));
    let parts: Vec<Gradients> =
        [loss.total.backward()].into_iter().chain(more(&trainable)).collect();
    let gradient = trainable.gather(&parts);
    (loss, gradient)
}

/// Forward, then backward layer by layer, recomputing each layer.
///
/// The last layer is not recomputed, because its backward step follows immediately. Layers below the lowest
/// adapted one need no gradient, so they run once and their inputs are freed. `run` is [`Stages::layer`].
fn by_layer(
    stages: &Stages<'_>,
    trainable: &TrainableTensors,
    run: impl Fn(usize, Tensor<2>, &TrainableTensors) -> Tensor<2>,
    loss: impl FnOnce(Forward) -> Loss,
    more: impl FnOnce(&TrainableTensors) -> Option<Gradients>,
) -> (Loss, Tensor<1>) {
    let last = stages.layers() - 1;
    let below = trainable.embeddings_trained();
    let lowest = if below { 0 } else { trainable.lowest_trained().unwrap_or(last) };
    let mut x = stages.embed(trainable);
    for layer in 0..lowest {
        x = run(layer, x, trainable);
    }
    let mut inputs = Vec::with_capacity(last - lowest);
    for layer in lowest..last {
        inputs.push(x.clone());
        x = record::repeated(|| run(layer, x, trainable));
    }
    // A layer's input needs a gradient if a lower layer or the embeddings are trained.
    let start = |layer: usize, x: Tensor<2>| {
        if layer > lowest || below { x.autodiff().require_grad() } else { x }
    };
    let tracked = trainable.track();
    let x = start(last, x);
    let loss = loss(stages.score(run(last, x.clone(), &tracked), &tracked));
    let mut parts = Vec::with_capacity(inputs.len() + 1);
    let mut above = keep(loss.total.backward(), &x, &mut parts);
    drop(x);
    for layer in (lowest..last).rev() {
        let (Some(g), Some(x)) = (above, inputs.pop()) else {
            unreachable!("every layer above the lowest has an input and its gradient")
        };
        let x = start(layer, x);
        let y = run(layer, x.clone(), &tracked);
        above = keep(backward_from(y, g), &x, &mut parts);
    }
    if let (true, Some(g)) = (below, above) {
        parts.push(backward_from(stages.embed(&tracked), g));
    }
    parts.extend(more(&tracked));
    (loss, tracked.gather(&parts))
}

/// Stores the gradients of the trainable tensors, and returns that of `x` if it is tracked.
fn keep(mut gradients: Gradients, x: &Tensor<2>, parts: &mut Vec<Gradients>) -> Option<Tensor<2>> {
    let by_x = x.grad_remove(&mut gradients);
    parts.push(gradients);
    by_x
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::methods::LoraConfig;
    use crate::model::{Adapter, Target};
    use crate::train::tests::tiny::{Setup, golden_lists};

    #[test]
    fn only_layers_with_gradients_are_recomputed() {
        let setup = Setup::new(golden_lists(), vec![], TrainConfig::default());
        let runs = |layers: &[usize]| {
            let lora = LoraConfig {
                layers: Some(layers.to_vec()),
                targets: Target::ALL.into(),
                ..setup.lora.clone()
            };
            let adapter = Adapter::init(&setup.base.config, lora, 1).unwrap();
            let trainable =
                TrainableTensors::new(&setup.base.config, &adapter, &setup.encoder.device());
            let batch: PackedBatch = [&[1u32, 5, 2][..], &[1, 7, 8, 2]].into_iter().collect();
            let stages = setup.encoder.stages(&batch, None).unwrap();
            let seen = RefCell::new(Vec::new());
            let run = |at: usize, x: Tensor<2>, trainable: &TrainableTensors| {
                let tracked = x.is_tracked();
                let y = stages.layer(at, x.into(), trainable).into_values();
                seen.borrow_mut().push((at, tracked, y.is_tracked()));
                y
            };
            let loss = |out: Forward| {
                let total = out.scores.sum();
                Loss { ranking: total.clone(), total, correlation: None }
            };
            by_layer(&stages, &trainable, run, loss, |_| None);
            seen.into_inner()
        };
        let (plain, first, above) =
            (|at| (at, false, false), |at| (at, false, true), |at| (at, true, true));
        // The tiny base has three layers.
        assert_eq!(runs(&[2]), [plain(0), plain(1), first(2)]);
        assert_eq!(runs(&[1]), [plain(0), plain(1), above(2), first(1)]);
        assert_eq!(runs(&[1, 2]), [plain(0), plain(1), above(2), first(1)]);
        assert_eq!(runs(&[0]), [plain(0), plain(1), above(2), above(1), first(0)]);
    }
}
