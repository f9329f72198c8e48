//! The correlation term: the root mean square correlation between the columns of the `[CLS]` rows.
//!
//! For `cls [n, d]`, n and d of 2 or more:
//!
//! ```text
//! z   = (cls - mean) / max(std, 1e-5)     by column, std with n - 1
//! R   = z^T z / (n - 1)
//! cor = || R - I ||_F / sqrt(d (d - 1))
//! ```

mod composed;
mod cost;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::record;
pub(in crate::ops) use wgsl::cases;

/// The result of the forward pass; the backward pass needs all of it.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct CorrelationForward<B: Backend> {
    /// The term, `[1]`.
    pub value: FloatTensor<B>,
    /// The standardised columns, `[n, d]`.
    pub z: FloatTensor<B>,
    /// For each column one over its divisor, and whether the divisor depends on the column (1 or 0); `[d, 2]`.
    pub scales: FloatTensor<B>,
    /// `R - I`, `[d, d]`.
    pub off_diagonal: FloatTensor<B>,
}

/// The term.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Correlation: Backend {
    /// The term for the columns of `cls [n, d]`; returns `[1]`.
    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Its forward pass for training, and its gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait CorrelationKernels: Backend {
    /// The term with the inputs of its gradient.
    fn correlation_forward(cls: FloatTensor<Self>) -> CorrelationForward<Self>;

    /// Gradient with respect to `cls`, from that of the term, `g [1]`.
    fn correlation_backward(
        g: FloatTensor<Self>,
        #[extension_type] saved: CorrelationForward<Self>,
    ) -> FloatTensor<Self>;
}

/// The term of the columns of `cls [n, d]`, n and d of 2 or more; returns `[1]`.
pub fn correlation(cls: Tensor<2>) -> Tensor<1> {
    record::run(cls.into_dispatch(), cost::forward::<Dispatch>, |cls| -> Tensor<1> {
        Tensor::from_dispatch(Dispatch::correlation(cls))
    })
}
