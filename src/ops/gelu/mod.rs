//! The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`: Hendrycks and Gimpel, arXiv 1606.08415.

mod composed;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

pub(in crate::ops) use composed::gelu as composed_gelu;
pub(in crate::ops) use cpu::gelu as cpu_gelu;
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

/// The exact GELU of every element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gelu_exact(x.into_dispatch()))
}
