//! The start of a backward pass from a given gradient.

#[cfg(test)]
mod tests;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Gradients, Shape, Tensor};
use burn_cubecl::CubeBackend;

use super::Kernels;
use super::composed::float_dtype;
use super::differentiate::{backward_step, frozen};

/// The start of a backward pass.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Seed: Backend {
    /// A zero, `[1]`, from which a backward pass starts with the gradient `g [T, H]` of `y [T, H]`.
    fn seeded_root(y: FloatTensor<Self>, g: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn zero<B: Backend>(like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(Shape::new([1]), &like.device(), float_dtype::<B>(like))
}

impl Seed for Flex {
    fn seeded_root(y: FloatTensor<Self>, _g: FloatTensor<Self>) -> FloatTensor<Self> {
        zero::<Self>(&y)
    }
}

impl Seed for CubeBackend {
    fn seeded_root(y: FloatTensor<Self>, _g: FloatTensor<Self>) -> FloatTensor<Self> {
        zero::<Self>(&y)
    }
}

backward_step!(SeedStep<1>, FloatTensor<B>, |_one, g, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, g);
    }
});

impl<B: Kernels, C: CheckpointStrategy> Seed for Autodiff<B, C> {
    fn seeded_root(y: FloatTensor<Self>, g: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([g], nodes) = (frozen::<B, C, _>([g]), [y.node()]);
        let root = zero::<B>(&y.into_primitive());
        match SeedStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(g, root),
            OpsKind::UnTracked(step) => step.finish(root),
        }
    }
}

/// Differentiates `y [T, H]`, whose gradient `g [T, H]` is known. This gives the gradients of `(y g).sum()` without its
/// products and sums.
pub fn backward_from(y: Tensor<2>, g: Tensor<2>) -> Gradients {
    // burn starts with the gradient 1 of the root, so the step can ignore it.
    let root = Dispatch::seeded_root(y.into_dispatch(), g.into_dispatch());
    Tensor::<1>::from_dispatch(root).backward()
}
