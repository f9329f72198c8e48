//! DoRA: rows of the adapted weight get lengths of their own.

use burn::tensor::Tensor;

use super::Linear;
use crate::model::leaves::{Leaves, LowRank};
use crate::ops::{self, Activation, LoraPlan, Precision};

impl Linear {
    /// `scale * B A` added to the weight `[out, in]`, without tracking.
    pub(super) fn with_term(&self, factors: &Tensor<1>, plan: &LoraPlan) -> Tensor<2> {
        let storage = self.weight.storage;
        let factors = factors.clone().inner();
        let (n, rank, width) = (plan.adapted.len(), plan.rank, plan.width);
        let split = n * rank * storage.inputs;
        let a = factors.clone().slice_dim(0, 0..split).reshape([n * rank, storage.inputs]);
        let b = factors.slice_dim(0, split..split + n * width * rank).reshape([n * width, rank]);
        let weight = self.dense();
        let blocks = (0..storage.outputs / width).map(|block| {
            let base = weight.clone().slice_dim(0, block * width..(block + 1) * width);
            let Some(place) = plan.adapted.iter().position(|&adapted| adapted == block) else {
                return base;
            };
            let a: Tensor<2> = a.clone().slice_dim(0, place * rank..(place + 1) * rank);
            let b: Tensor<2> = b.clone().slice_dim(0, place * width..(place + 1) * width);
            base.add(ops::product(b, a.transpose()).mul_scalar(plan.scale))
        });
        Tensor::cat(blocks.collect(), 0)
    }

    /// The weight in full. One in fewer bits is read by multiplying with it, which any device can.
    fn dense(&self) -> Tensor<2> {
        let storage = self.weight.storage;
        if storage.precision == Precision::F32 {
            return self.weight.words.clone().reshape([storage.outputs, storage.inputs]);
        }
        let unit = Tensor::<2>::eye(storage.inputs, &self.bias.device());
        let without = self.bias.zeros_like();
        ops::linear(unit, &self.weight, &without, Activation::Identity).into_values().transpose()
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
    pub(super) fn adapted(&self, low_rank: &LowRank, leaves: &Leaves) -> Tensor<2> {
        let factors = &leaves.factors(low_rank);
        let weight = self.with_term(factors, &low_rank.plan);
        let Some(magnitude) = low_rank.magnitude else { return weight };
        let magnitude = leaves.at(magnitude).clone().inner();
        let turned = self.turned(&magnitude, factors, &low_rank.plan);
        weight * turned.reshape([self.weight.storage.outputs, 1])
    }
}
