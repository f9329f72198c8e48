//! The score head: one score for each sequence, from its `[CLS]` row.

mod composed;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::operands::operands;
pub(in crate::ops) use wgsl::cases;

/// Inputs of the score head.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ScoreHeadInputs<B: Backend> {
    /// Rows of `[CLS]`, `[S, H]`.
    pub cls: FloatTensor<B>,
    /// The weight followed by the bias, `[H + 1]`.
    pub head: FloatTensor<B>,
}

operands!(ScoreHeadInputs { cls, head });

/// Gradients of the scores, with the shapes of [`ScoreHeadInputs`].
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ScoreHeadGrads<B: Backend> {
    pub cls: FloatTensor<B>,
    pub head: FloatTensor<B>,
}

/// `cls w + b`.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait ScoreHead: Backend {
    /// The scores, `[S]`.
    fn score_head(#[extension_type] inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self>;
}

/// Its gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait ScoreHeadKernels: Backend {
    /// From the gradient `g [S]` of the scores.
    fn score_head_backward(
        g: FloatTensor<Self>,
        #[extension_type] inputs: ScoreHeadInputs<Self>,
    ) -> ScoreHeadGrads<Self>;
}

/// The score of each row: `cls [S, H]`, `head [H + 1]` the weight followed by the bias; returns `[S]`.
pub fn score_head(cls: Tensor<2>, head: &Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::score_head(ScoreHeadInputs {
        cls: cls.into_dispatch(),
        head: head.clone().into_dispatch(),
    }))
}
