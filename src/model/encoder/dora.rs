//! DoRA: rows of the adapted weight get lengths of their own.

use burn::tensor::Tensor;

use super::Linear;
use crate::model::trainable::{LowRank, TrainableTensors};
use crate::ops::{self, Activation, LoraPlan, Precision, Storage};

impl Linear {
    /// `scale * B A` added to the weight `[out, in]`, without tracking. Of operations of ours and of burn's sums
    /// and products of elements alone: its slices want more than every GPU has.
    pub(super) fn with_term(&self, factors: &Tensor<1>, plan: &LoraPlan) -> Tensor<2> {
        let Storage { outputs, inputs, .. } = self.weight.storage;
        let (factors, weight) = (factors.clone().inner(), self.dense());
        let (rank, width) = (plan.rank, plan.width);
        let split = plan.stacked_rank() * inputs;
        let block = |index: usize| {
            let at = index * width * inputs;
            let base = ops::cut(&weight, at, width * inputs);
            let Some(place) = plan.adapted.iter().position(|&adapted| adapted == index) else {
                return (at, base);
            };
            let a = ops::cut(&factors, place * rank * inputs, rank * inputs);
            let b = ops::cut(&factors, split + place * width * rank, width * rank);
            let term = ops::product_of(b.reshape([width, rank]), a).flatten(0, 1);
            (at, base + term.mul_scalar(plan.scale))
        };
        let blocks: Vec<_> = (0..outputs / width).map(block).collect();
        ops::join(&blocks, outputs * inputs).reshape([outputs, inputs])
    }

    /// The weight in full, flat. One in fewer bits is read by multiplying with it, which any device can.
    fn dense(&self) -> Tensor<1> {
        let Storage { inputs, precision, .. } = self.weight.storage;
        if precision == Precision::F32 {
            return self.weight.words.clone();
        }
        let (unit, without) =
            (Tensor::<2>::eye(inputs, &self.bias.device()), self.bias.zeros_like());
        let columns = ops::linear(unit, &self.weight, &without, Activation::Identity);
        columns.into_values().transpose().flatten(0, 1)
    }

    /// What DoRA multiplies each output with, `m / |row of the adapted weight|`, and 1 where a block is
    /// not adapted; `[1, out]`.
    pub(super) fn turned(
        &self,
        magnitude: &Tensor<1>,
        factors: &Tensor<1>,
        plan: &LoraPlan,
    ) -> Tensor<2> {
        let (outputs, width) = (self.weight.storage.outputs, plan.width);
        let length = self.with_term(factors, plan).square().sum_dim(1).sqrt();
        let length = length.reshape([1, outputs]);
        let ones = Tensor::<2>::ones([1, width], &length.device());
        let blocks = (0..outputs / width).map(|block| {
            let Some(place) = plan.adapted.iter().position(|&adapted| adapted == block) else {
                return ones.clone();
            };
            let wanted: Tensor<1> =
                magnitude.clone().slice_dim(0, place * width..(place + 1) * width);
            let length = length.clone().slice_dim(1, block * width..(block + 1) * width);
            wanted.reshape([1, width]).div(length)
        });
        Tensor::cat(blocks.collect(), 1)
    }

    /// [`with_term`](Self::with_term) as the layer computes with it, rows at DoRA's lengths.
    pub(super) fn adapted(&self, low_rank: &LowRank, trainable: &TrainableTensors) -> Tensor<2> {
        let factors = &trainable.factors(low_rank);
        let weight = self.with_term(factors, &low_rank.plan);
        let Some(magnitude) = low_rank.magnitude else { return weight };
        let magnitude = trainable.at(magnitude).clone().inner();
        let turned = self.turned(&magnitude, factors, &low_rank.plan);
        weight * turned.reshape([self.weight.storage.outputs, 1])
    }
}
