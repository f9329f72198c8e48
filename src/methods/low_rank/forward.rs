//! Low-rank terms in the forward pass.

use burn::tensor::Tensor;

use crate::model::{Context, Linear, LinearHook, TensorId, TrainableTensors};
use crate::ops::{self, Activation, Activations, FrozenLinear, LoraPlan, Precision, Storage};

/// The low-rank term of one linear layer, or of several that run as one product.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// The stacked A `[n r, in]` and then the stacked B `[n out, r]`, contiguous.
    pub factors: TensorId,
    /// Which layers of the product are adapted, and the scale.
    pub plan: LoraPlan,
}

impl LinearHook for LowRank {
    fn forward(
        &self,
        linear: &Linear,
        x: Activations,
        activation: Activation,
        context: &mut Context<'_>,
    ) -> Activations {
        let factors = context.tensors.at(self.factors).clone();
        forward_with_lora(linear, x, &factors, &self.plan, activation, context)
    }

    fn merged(&self, linear: &Linear, tensors: &TrainableTensors) -> Option<Tensor<2>> {
        Some(add_term(linear, tensors.at(self.factors), &self.plan))
    }
}

/// The layer's output with the term of `factors`, with dropout in training.
pub fn forward_with_lora(
    linear: &Linear,
    x: Activations,
    factors: &Tensor<1>,
    plan: &LoraPlan,
    activation: Activation,
    context: &mut Context<'_>,
) -> Activations {
    let Linear { weight, bias } = linear;
    let layer = FrozenLinear { weight, bias, activation };
    match context.dropout(x.values()) {
        None => ops::lora_linear(x, layer, factors, plan),
        Some(dropped) => {
            ops::lora_linear_with_dropout(x.into_values(), dropped, layer, factors, plan)
        }
    }
}

/// The stacked A `[n r, in]` and the stacked B `[n out, r]`.
pub fn split(factors: &Tensor<1>, plan: &LoraPlan) -> [Tensor<2>; 2] {
    let [len] = factors.dims();
    let (stacked, inputs) = (plan.stacked_rank(), plan.inputs(len));
    let part = |range| factors.clone().slice_dim(0, range);
    [
        part(0..stacked * inputs).reshape([stacked, inputs]),
        part(stacked * inputs..len).reshape([plan.adapted.len() * plan.width, plan.rank]),
    ]
}

/// `W + scale * B A`, `[out, in]`, without gradients. It uses LoRB's operations and burn's element-wise ones
/// only: burn's slices need features that not every GPU has.
pub fn add_term(linear: &Linear, factors: &Tensor<1>, plan: &LoraPlan) -> Tensor<2> {
    let Storage { outputs, inputs, .. } = linear.weight.storage;
    let (factors, weight) = (factors.clone().inner(), dense(linear));
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

/// The weight in full precision, flat. A weight of lower precision is read by multiplying with it, which
/// every device supports.
fn dense(linear: &Linear) -> Tensor<1> {
    let Storage { inputs, precision, .. } = linear.weight.storage;
    if precision == Precision::F32 {
        return linear.weight.words.clone();
    }
    let unit = Tensor::<2>::eye(inputs, &linear.bias.device());
    let zeros = linear.bias.zeros_like();
    let columns = ops::linear(unit, &linear.weight, &zeros, Activation::Identity);
    columns.into_values().transpose().flatten(0, 1)
}
