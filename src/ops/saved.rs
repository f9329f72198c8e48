//! Saved activations: the input of a layer for its backward step.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::Tensor;

use super::operands::Tensors;
use super::{GeluKernels, Kernels};

/// The saved input of a linear layer: either unchanged, or, to save memory, as the tensor from which it was computed
/// element by element, which the step of that operation saves anyway.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum SavedInput<B: Backend> {
    /// The input, `[T, K]`.
    Whole(FloatTensor<B>),
    /// The input of the exact GELU, `[T, K]`.
    BeforeGelu(FloatTensor<B>),
    /// Rows of a layer normalisation before its scale: see
    /// [`LayerNormKernels::scale_rows`](super::LayerNormKernels::scale_rows).
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
    /// The saved tensor, `[T, K]`.
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

/// What the gradient by a linear layer's input is multiplied by, in the same operation.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) enum Preceding<B: Backend> {
    /// Nothing.
    Nothing,
    /// The derivative of the exact GELU whose output is the layer's input, at this input of the GELU, `[T, K]`. The
    /// gradient is then that by the GELU's input.
    Gelu(FloatTensor<B>),
}

impl<B: Backend> Tensors<B> for Preceding<B> {
    type On<C: Backend> = Preceding<C>;

    fn map<C: Backend>(self, f: &impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> Preceding<C> {
        match self {
            Self::Nothing => Preceding::Nothing,
            Self::Gelu(before) => Preceding::Gelu(f(before)),
        }
    }

    fn all(&self, test: &impl Fn(&FloatTensor<B>) -> bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::Gelu(before) => test(before),
        }
    }
}

impl<B: Backend> Preceding<B> {
    /// The input of the GELU.
    pub(in crate::ops) fn before(&self) -> Option<&FloatTensor<B>> {
        match self {
            Self::Nothing => None,
            Self::Gelu(before) => Some(before),
        }
    }
}

impl<B: GeluKernels> Preceding<B> {
    /// Multiplies a gradient in an operation of its own.
    pub(in crate::ops) fn multiply(self, g: FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::Nothing => g,
            Self::Gelu(before) => B::gelu_exact_backward(g, before),
        }
    }
}

impl<B: Kernels> SavedInput<B> {
    /// The input, recomputed if it is not saved unchanged.
    pub(in crate::ops) fn input(self) -> FloatTensor<B> {
        match self {
            Self::Whole(x) => x,
            Self::BeforeGelu(x) => B::gelu_exact(x),
            Self::Normalised { rows, gamma, beta } => B::scale_rows(rows, gamma, beta),
        }
    }
}

/// The output of an operation, and the form in which the next linear layer saves it.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct Output<B: Backend> {
    /// The values, `[T, K]`.
    pub values: FloatTensor<B>,
    /// The same, in the form that a backward step saves.
    #[extension_type]
    pub saved: SavedInput<B>,
}

impl<B: Backend> Output<B> {
    /// An output that is saved unchanged.
    pub(in crate::ops) fn whole(values: FloatTensor<B>) -> Self {
        Self { saved: SavedInput::Whole(values.clone()), values }
    }
}

/// Activations of the model, and the form in which the next linear layer saves them.
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

    /// Only the values, `[T, K]`.
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
