//! The gated GELU, `gelu(a) * b` of a row `[a, b]`: Shazeer 2020, arXiv 2002.05202.

mod cpu;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::composed::columns;
use super::differentiate::backward_step;
use super::gelu::{composed_gelu, composed_gelu_backward};
use super::record::{Cost, Operation};
use super::{Kernels, record};
pub(in crate::ops) use wgsl::cases;

/// The function.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait GatedGelu: Backend {
    /// Of rows `[T, 2I]`: `[T, I]`.
    fn gated_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait GatedGeluKernels: Backend {
    /// From that of the output, `g [T, I]`, at `x [T, 2I]`: `[T, 2I]`.
    fn gated_gelu_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The operation of this name, which moves `halves` times `[T, I]`.
fn operation<B: Backend>(name: &'static str, x: &FloatTensor<B>, halves: usize) -> Operation {
    let [rows, width] = x.shape().dims();
    let cost = Cost::new(0, halves * rows * width / 2);
    Operation::new(name, format!("[{rows}, {width}]"), cost)
}

backward_step!(GatedGeluStep<1>, FloatTensor<B>, |g, x, [to], grads| {
    if let Some(to) = to {
        let describe = |(_, x): &(_, _)| operation::<B>("gated GELU, backward", x, 5);
        let run = |(g, x)| B::gated_gelu_backward(g, x);
        grads.register::<B>(to.id, record::run((g, x), describe, run));
    }
});

impl<B: Kernels, C: CheckpointStrategy> GatedGelu for Autodiff<B, C> {
    fn gated_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let y = B::gated_gelu(x.clone());
        match GatedGeluStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(x, y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}

fn halves<B: Backend>(x: FloatTensor<B>) -> [FloatTensor<B>; 2] {
    let inner = x.shape()[1] / 2;
    [columns::<B>(x.clone(), 0, inner), columns::<B>(x, inner, inner)]
}

fn composed<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [a, b] = halves::<B>(x);
    B::float_mul(composed_gelu::<B>(a), b)
}

fn composed_backward<B: Backend>(g: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let [a, b] = halves::<B>(x);
    let by_a = composed_gelu_backward::<B>(B::float_mul(g.clone(), b), a.clone());
    B::float_cat(vec![by_a, B::float_mul(g, composed_gelu::<B>(a))], 1)
}

/// `gelu(a) * b` of every row `[a, b]` of `x [T, 2I]`: `[T, I]`.
#[must_use]
pub fn gated_gelu(x: Tensor<2>) -> Tensor<2> {
    let describe = |x: &_| operation::<Dispatch>("gated GELU", x, 3);
    record::run(x.into_dispatch(), describe, |x| -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::gated_gelu(x))
    })
}
