//! Saved activations: how a backward step gets at the input of its layer.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::Tensor;

use super::Kernels;
use super::operands::Tensors;

/// The input of a linear layer as its backward step saves it: whole, or, to save memory, as what it was
/// computed from element by element, which the step of that operation saves anyway.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum SavedInput<B: Backend> {
    /// The input, `[T, K]`.
    Whole(FloatTensor<B>),
    /// What the exact GELU was applied to, `[T, K]`.
    BeforeGelu(FloatTensor<B>),
    /// Rows of a layer normalisation before its scale: see [`LayerNorm::scale_rows`](super::LayerNorm::scale_rows).
    Normalised {
        /// The normalised rows, `[T, K]`.
        rows: FloatTensor<B>,
        /// Scale, `[K]`.
        gamma: FloatTensor<B>,
        /// Shift, `[K]`.
        beta: FloatTensor<B>,
    },
}

impl<B: Backend> SavedInput<B> {
    /// The tensor `[T, K]` that is saved.
    pub(in crate::ops) fn tensor(&self) -> &FloatTensor<B> {
        match self {
            Self::Whole(rows) | Self::BeforeGelu(rows) | Self::Normalised { rows, .. } => rows,
        }
    }
}

impl<B: Backend> Tensors<B> for SavedInput<B> {
    type On<C: Backend> = SavedInput<C>;

    fn map<C: Backend>(self, f: &impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> SavedInput<C> {
        match self {
            Self::Whole(x) => SavedInput::Whole(f(x)),
            Self::BeforeGelu(x) => SavedInput::BeforeGelu(f(x)),
            Self::Normalised { rows, gamma, beta } => {
                SavedInput::Normalised { rows: f(rows), gamma: f(gamma), beta: f(beta) }
            }
        }
    }

    fn all(&self, test: &impl Fn(&FloatTensor<B>) -> bool) -> bool {
        match self {
            Self::Whole(x) | Self::BeforeGelu(x) => test(x),
            Self::Normalised { rows, gamma, beta } => test(rows) && test(gamma) && test(beta),
        }
    }
}

impl<B: Kernels> SavedInput<B> {
    /// The input, computed again where it is not saved whole.
    pub(in crate::ops) fn input(self) -> FloatTensor<B> {
        match self {
            Self::Whole(x) => x,
            Self::BeforeGelu(x) => B::gelu_exact(x),
            Self::Normalised { rows, gamma, beta } => B::scale_rows(rows, gamma, beta),
        }
    }
}

/// The output of an operation, and how a linear layer that takes it saves it.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct Output<B: Backend> {
    /// The values, `[T, K]`.
    pub values: FloatTensor<B>,
    /// The same, as a backward step saves them.
    #[extension_type]
    pub saved: SavedInput<B>,
}

impl<B: Backend> Output<B> {
    /// An output that is saved whole.
    pub(in crate::ops) fn whole(values: FloatTensor<B>) -> Self {
        Self { saved: SavedInput::Whole(values.clone()), values }
    }
}

/// Activations of the model, and how a linear layer that takes them saves them for its backward step.
#[derive(Clone, Debug)]
pub struct Activations {
    values: Tensor<2>,
    saved: SavedInput<Dispatch>,
}

impl Activations {
    pub(in crate::ops) fn new(output: Output<Dispatch>) -> Self {
        Self { values: Tensor::from_dispatch(output.values), saved: output.saved }
    }

    pub(in crate::ops) fn into_parts(self) -> (FloatTensor<Dispatch>, SavedInput<Dispatch>) {
        (self.values.into_dispatch(), self.saved)
    }

    /// The values, `[T, K]`.
    #[must_use]
    pub fn values(&self) -> &Tensor<2> {
        &self.values
    }

    /// The values without how they are saved, `[T, K]`.
    #[must_use]
    pub fn into_values(self) -> Tensor<2> {
        self.values
    }
}

impl From<Tensor<2>> for Activations {
    fn from(values: Tensor<2>) -> Self {
        let saved = SavedInput::Whole(values.clone().into_dispatch());
        Self { values, saved }
    }
}
