//! Residual and layer normalisation: `LN(x + residual) = n gamma + beta`, where each row of n has mean 0 and (biased)
//! variance 1.

pub(in crate::ops) mod composed;
mod cost;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::operands::operands;
use super::saved::Output;
use super::{Activations, record};
pub(in crate::ops) use cpu::{add, normalise, scale_and_shift};
pub(in crate::ops) use step::{backward, norm_grads, sum_of_columns};
pub(in crate::ops) use wgsl::{cases, row_group, subgroup_cases};

/// Inputs of the operation.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct AddLayerNormInputs<B: Backend> {
    /// `[T, H]`.
    pub x: FloatTensor<B>,
    /// Added to x, `[T, H]`.
    pub residual: FloatTensor<B>,
    /// Scale, `[H]`.
    pub gamma: FloatTensor<B>,
    /// Shift, `[H]`.
    pub beta: FloatTensor<B>,
    /// Added to the variance.
    pub epsilon: f32,
}

operands!(AddLayerNormInputs { x, residual, gamma, beta; with epsilon });

/// The result of the forward pass for training.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct AddLayerNormForward<B: Backend> {
    /// The output, `[T, H]`.
    pub y: FloatTensor<B>,
    /// The rows before gamma, `[T, H]`.
    pub normalised: FloatTensor<B>,
    /// One over each row's standard deviation, `[T, 1]`.
    pub inverse_deviation: FloatTensor<B>,
}

/// Inputs of the backward pass.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LayerNormSaved<B: Backend> {
    /// See [`AddLayerNormForward::normalised`].
    pub normalised: FloatTensor<B>,
    /// See [`AddLayerNormForward::inverse_deviation`].
    pub inverse_deviation: FloatTensor<B>,
    /// Scale, `[H]`.
    pub gamma: FloatTensor<B>,
}

operands!(LayerNormSaved { normalised, inverse_deviation, gamma });

/// The normalisation.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait LayerNorm: Backend {
    /// `LN(x + residual)`, `[T, H]`.
    fn add_layer_norm(#[extension_type] inputs: AddLayerNormInputs<Self>) -> Output<Self>;
}

/// Its forward pass for training, and its gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait LayerNormKernels: Backend {
    /// The output with the inputs of its gradient.
    fn add_layer_norm_forward(
        #[extension_type] inputs: AddLayerNormInputs<Self>,
    ) -> AddLayerNormForward<Self>;

    /// Gradient with respect to x, which is also that of the residual, from that of the output, `g [T, H]`.
    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        #[extension_type] saved: LayerNormSaved<Self>,
    ) -> FloatTensor<Self>;

    /// `n gamma + beta`: the output from its normalised rows `n [T, H]`.
    fn scale_rows(
        n: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Sum over the rows of `x [T, O]`, `[O]`: the gradient of a bias or a shift from that of the output.
    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `LN(x)` of rows `[T, H]`, with `gamma` and `beta` `[H]`.
pub fn layer_norm(x: Tensor<2>, gamma: &Tensor<1>, beta: &Tensor<1>, epsilon: f32) -> Activations {
    // Twice a row has four times its variance, and both factors are exact in floating point. So the kernels with a
    // residual are enough, and no tensor of zeros is read.
    add_layer_norm(x.clone(), x, gamma, beta, 4.0 * epsilon)
}

/// `LN(x + residual)` of rows `[T, H]`, with `gamma` and `beta` `[H]`.
pub fn add_layer_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    epsilon: f32,
) -> Activations {
    let inputs = AddLayerNormInputs {
        x: x.into_dispatch(),
        residual: residual.into_dispatch(),
        gamma: gamma.clone().into_dispatch(),
        beta: beta.clone().into_dispatch(),
        epsilon,
    };
    record::run(
        inputs,
        |inputs| inputs.operation(false),
        |inputs| Activations::new(Dispatch::add_layer_norm(inputs)),
    )
}
