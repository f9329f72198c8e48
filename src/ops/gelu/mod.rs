//! The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`: Hendrycks and Gimpel, arXiv 1606.08415.

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

use super::differentiate::{Tracked, backward_step};
use super::record::{Cost, Operation};
use super::{Kernels, record};

pub(in crate::ops) use cpu::{gelu as cpu_gelu, normal_cdf, slope};
pub(in crate::ops) use wgsl::cases;

/// The function.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Gelu: Backend {
    /// Applied to every element of `[T, O]`.
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait GeluKernels: Backend {
    /// `g` times the derivative at `x`.
    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The operation of this name, whose cost is `tensors` of the size of `x`.
fn operation<B: Backend>(name: &'static str, x: &FloatTensor<B>, tensors: usize) -> Operation {
    let shape = x.shape();
    let cost = Cost::new(0, tensors * shape.num_elements());
    Operation::new(name, format!("[{}]", shape[0]), cost)
}

/// `g` times the derivative at `x`, in a backward step.
fn gelu_backward<B: Kernels>(g: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let describe = |(_, x): &_| operation::<B>("GELU, backward", x, 3);
    record::run((g, x), describe, |(g, x)| B::gelu_exact_backward(g, x))
}

backward_step!(GeluStep<1>, FloatTensor<B>, |g, x, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, gelu_backward::<B>(g, x));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Gelu for Autodiff<B, C> {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::gelu_exact(x.clone().into_primitive());
        gelu_of::<B, C>(x, y)
    }
}

/// Tracks `y`, the values of the function at `x`.
pub(in crate::ops) fn gelu_of<B: Kernels, C: CheckpointStrategy>(
    x: Tracked<B, C>,
    y: FloatTensor<B>,
) -> Tracked<B, C> {
    match GeluStep.prepare::<C>([x.node()]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(x.into_primitive(), y),
        OpsKind::UnTracked(step) => step.finish(y),
    }
}

/// `(1 + erf(x / sqrt 2)) / 2`, the normal distribution function.
fn composed_cdf<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2.into());
    B::float_mul_scalar(B::float_add_scalar(B::float_erf(scaled), 1f32.into()), 0.5f32.into())
}

pub(in crate::ops) fn composed_gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x.clone(), composed_cdf::<B>(x))
}

/// The derivative is `cdf(x) + x pdf(x)`.
pub(in crate::ops) fn composed_gelu_backward<B: Backend>(
    g: FloatTensor<B>,
    x: FloatTensor<B>,
) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x.clone());
    let bell = B::float_exp(B::float_mul_scalar(square, (-0.5f32).into()));
    let pdf = B::float_mul_scalar(
        bell,
        (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2).into(),
    );
    let slope = B::float_add(composed_cdf::<B>(x.clone()), B::float_mul(x, pdf));
    B::float_mul(g, slope)
}

/// The exact GELU of every element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    let describe = |x: &_| operation::<Dispatch>("GELU", x, 2);
    record::run(x.into_dispatch(), describe, |x| -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::gelu_exact(x))
    })
}
