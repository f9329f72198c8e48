//! Rows as a backward step keeps them.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::Tensor;

use super::LorbOps;

/// The input of a linear layer as its backward step keeps it: as it is, or, to spare memory, as what
/// it was computed from element by element, which the step of that operation keeps anyway.
#[derive(Clone, Debug, ExtensionType)]
pub enum Kept<B: Backend> {
    /// The rows, `[T, K]`.
    Rows(FloatTensor<B>),
    /// What the exact GELU was applied to, `[T, K]`.
    Gelu(FloatTensor<B>),
    /// Normalised rows `[T, K]`, gamma and beta `[K]`: see [`LorbOps::scale_rows`].
    Scaled(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
}

impl<B: Backend> Kept<B> {
    /// An output that is kept as it is.
    pub(super) fn as_it_is(y: FloatTensor<B>) -> (FloatTensor<B>, Self) {
        (y.clone(), Self::Rows(y))
    }

    /// The tensor `[T, K]` that is held.
    pub(super) fn held(&self) -> &FloatTensor<B> {
        match self {
            Self::Rows(held) | Self::Gelu(held) | Self::Scaled(held, ..) => held,
        }
    }

    /// The same of another backend's tensors.
    pub(super) fn map<C: Backend>(self, f: impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> Kept<C> {
        match self {
            Self::Rows(x) => Kept::Rows(f(x)),
            Self::Gelu(before) => Kept::Gelu(f(before)),
            Self::Scaled(normalised, gamma, beta) => Kept::Scaled(f(normalised), f(gamma), f(beta)),
        }
    }
}

impl<B: LorbOps> Kept<B> {
    /// The rows, computed again where they are not kept.
    pub(super) fn rows(self) -> FloatTensor<B> {
        match self {
            Self::Rows(x) => x,
            Self::Gelu(before) => B::gelu_exact(before),
            Self::Scaled(normalised, gamma, beta) => B::scale_rows(normalised, gamma, beta),
        }
    }
}

/// Rows of the model, with how a linear layer that takes them keeps them.
#[derive(Clone, Debug)]
pub struct Rows {
    values: Tensor<2>,
    kept: Kept<Dispatch>,
}

impl Rows {
    pub(super) fn new((values, kept): (FloatTensor<Dispatch>, Kept<Dispatch>)) -> Self {
        Self { values: Tensor::from_dispatch(values), kept }
    }

    pub(super) fn into_parts(self) -> (FloatTensor<Dispatch>, Kept<Dispatch>) {
        (self.values.into_dispatch(), self.kept)
    }

    /// The numbers, `[T, K]`.
    #[must_use]
    pub fn values(&self) -> &Tensor<2> {
        &self.values
    }

    /// The numbers alone, `[T, K]`.
    #[must_use]
    pub fn into_values(self) -> Tensor<2> {
        self.values
    }
}

impl From<Tensor<2>> for Rows {
    fn from(values: Tensor<2>) -> Self {
        let kept = Kept::Rows(values.clone().into_dispatch());
        Self { values, kept }
    }
}
