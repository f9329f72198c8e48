//! The rows of `[CLS]`: the first of each sequence.

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
use burn::tensor::{Shape, Tensor};

use super::composed::{float_dtype, indices};
use super::differentiate::backward_step;
use super::record::{Cost, Operation};
use super::{Kernels, Segments, record};
pub(in crate::ops) use wgsl::cases;

/// Gathering.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait ClsRows: Backend {
    /// First row of each segment: `x [T, H]` to `[S, H]`.
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self>;
}

/// The gradient of gathering.
#[backend_extension(Cube, Flex)]
pub(crate) trait ClsRowsKernels: Backend {
    /// The rows of `g [S, H]` at the first rows, zeros elsewhere, `[T, H]`.
    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self>;
}

backward_step!(GatherClsStep<1>, Segments, |g, segments, [to], grads| {
    if let Some(to) = to {
        let operation = |(g, segments): &(FloatTensor<B>, Segments)| {
            let cost = Cost::new(0, (segments.len() + segments.rows()) * g.shape()[1]);
            Operation::new("gather [CLS], backward", String::new(), cost)
        };
        let grad =
            record::run((g, segments), operation, |(g, segments)| B::scatter_cls(g, segments));
        grads.register::<B>(to.id, grad);
    }
});

impl<B: Kernels, C: CheckpointStrategy> ClsRows for Autodiff<B, C> {
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GatherClsStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(segments.clone(), B::gather_cls(x, segments)),
            OpsKind::UnTracked(step) => step.finish(B::gather_cls(x, segments)),
        }
    }
}

fn composed_gather_cls<B: Backend>(x: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    let rows = indices::<B>(segments.first_rows(), &x);
    B::float_select(x, 0, rows)
}

fn composed_scatter_cls<B: Backend>(g: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    // Append a row of zeros to the gradients, and use it for every row except the first of a segment.
    let (sequences, width) = (g.shape()[0], g.shape()[1]);
    let zeros = B::float_zeros(Shape::new([1, width]), &g.device(), float_dtype::<B>(&g));
    let sources = segments.ranges().enumerate().flat_map(|(s, range)| {
        std::iter::once(s).chain(std::iter::repeat_n(sequences, range.len() - 1))
    });
    let sources = indices::<B>(sources, &g);
    B::float_select(B::float_cat(vec![g, zeros], 0), 0, sources)
}

/// First row of each segment: `x [T, H]` to `[S, H]`.
pub fn gather_cls(x: Tensor<2>, segments: &Segments) -> Tensor<2> {
    record::run(
        (x.into_dispatch(), segments.clone()),
        |(x, segments)| {
            let cost = Cost::new(0, 2 * segments.len() * x.shape()[1]);
            Operation::new("gather [CLS]", String::new(), cost)
        },
        |(x, segments)| -> Tensor<2> { Tensor::from_dispatch(Dispatch::gather_cls(x, segments)) },
    )
}
