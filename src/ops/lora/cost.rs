//! The cost of linear layers with a low-rank term: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Tensor;

use super::{LoraBackward, LoraForward, LoraGradInputs, LoraGrads, LoraInputs, LoraPlan};
use crate::ops::linear::cost::{after, backward, by, forward, sizes};
use crate::ops::record::{Cost, Operation, Sample};
use crate::ops::saved::SavedInput;
use crate::ops::{Activation, Kernels};

/// The adapted blocks.
fn blocks(plan: &LoraPlan) -> String {
    format!(" + {} of rank {}", plan.adapted.len(), plan.rank)
}

impl<B: Backend> LoraInputs<B> {
    pub(in crate::ops) fn operation(&self, saves: bool) -> Operation {
        let Self { plan, storage, activation, .. } = self;
        let (rows, stacked) = (self.x.shape()[0], plan.stacked_rank());
        let factors = stacked * storage.inputs + plan.up_len();
        let saved = if saves { rows * stacked } else { 0 };
        let cost = forward(rows, *storage, *activation, saves)
            + Cost::new(2 * rows * factors, factors + saved);
        let sizes = sizes(rows, *storage, &blocks(plan), *activation);
        Operation::new("linear", sizes, cost).saving(saves)
    }

    /// With a second input.
    pub(in crate::ops) fn operation_with_dropout(&self, saves: bool) -> Operation {
        let mut operation = self.operation(saves);
        operation.kind = "linear, dropout";
        operation.cost = operation.cost + Cost::new(0, self.x.shape().num_elements());
        operation
    }
}

impl<B: Backend> LoraBackward<B> {
    pub(in crate::ops) fn operation(&self, g: &FloatTensor<B>) -> Operation {
        let Self { plan, storage, preceding, .. } = self;
        let (rows, stacked) = (g.shape()[0], plan.stacked_rank());
        let down = stacked * storage.inputs;
        let cost = backward(rows, *storage)
            + Cost::new(2 * rows * down, rows * stacked + down)
            + after::<B>(rows, *storage, preceding);
        let sizes = sizes(rows, *storage, &blocks(plan), Activation::Identity);
        Operation::new("linear, by input", sizes + by::<B>(preceding), cost)
    }
}

impl<B: Backend> LoraGradInputs<B> {
    pub(in crate::ops) fn operation(&self, g: &FloatTensor<B>) -> Operation {
        let [rows, outputs] = g.shape().dims();
        let inputs = self.saved.tensor().shape()[1];
        let (stacked, up) = (self.plan.stacked_rank(), self.plan.up_len());
        let (u, down, adapted) =
            (rows * stacked, stacked * inputs, self.plan.adapted.len() * self.plan.width);
        let (scales, from) = match &self.saved {
            SavedInput::Whole(_) => (0, ""),
            SavedInput::BeforeGelu(_) => (0, ", x from before GELU"),
            SavedInput::Normalised { .. } => (2 * inputs, ", x from normalised rows"),
        };
        let elements = 2 * rows * adapted + rows * inputs + scales + 3 * u + down + 2 * up;
        let cost = Cost::new(2 * rows * (down + 2 * up), elements);
        let blocks = blocks(&self.plan);
        let sizes = format!("[{rows}, {inputs} -> {outputs}]{blocks}{from}");
        Operation::new("linear, by factors", sizes, cost)
    }
}

/// `v A`.
pub(in crate::ops) fn down_backward<B: Backend>(
    v: &FloatTensor<B>,
    factors: &FloatTensor<B>,
    plan: &LoraPlan,
) -> Operation {
    let (rows, stacked) = (v.shape()[0], plan.stacked_rank());
    let inputs = plan.inputs(factors.shape().num_elements());
    let down = stacked * inputs;
    let cost = Cost::new(2 * rows * down, rows * stacked + down + rows * inputs);
    Operation::new("linear, dropout, by input", format!("[{rows}, {inputs}]{}", blocks(plan)), cost)
}

impl<B: Kernels> Sample for LoraForward<B> {
    fn sample(self) -> Tensor<2> {
        self.y.sample()
    }
}

impl<B: Kernels> Sample for LoraGrads<B> {
    fn sample(self) -> Tensor<2> {
        self.factors.sample()
    }
}
