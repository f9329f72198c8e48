//! The rows of `[CLS]`: the first of each sequence.

mod composed;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::Segments;
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

/// First row of each segment: `x [T, H]` to `[S, H]`.
pub fn gather_cls(x: Tensor<2>, segments: &Segments) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gather_cls(x.into_dispatch(), segments.clone()))
}
