//! Linear layers with a low-rank term: `activation(x w^T + bias + scale (x A^T) B^T)` in the adapted blocks of
//! the output. A and B of a layer are contiguous in one vector, the factors.

pub(in crate::ops) mod composed;
mod cost;
mod cpu;
mod plan;
mod probe;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::operands::operands;
use super::saved::{Output, Preceding, SavedInput};
use super::{Activation, Activations, Storage, Weights, record};
pub use plan::LoraPlan;
pub(in crate::ops) use probe::cases;

/// Inputs of a layer.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraInputs<B: Backend> {
    /// `[T, K]`.
    pub x: FloatTensor<B>,
    /// The weight `[O, K]`, stored as described by `storage`.
    pub w: FloatTensor<B>,
    /// `[O]`.
    pub bias: FloatTensor<B>,
    /// The stacked A followed by the stacked B: see [`LoraPlan`].
    pub factors: FloatTensor<B>,
    /// The adapted blocks.
    pub plan: LoraPlan,
    /// The storage of the weight.
    pub storage: Storage,
    /// The activation.
    pub activation: Activation,
}

operands!(LoraInputs { x, w, bias, factors; with plan, storage, activation });

/// The result of a forward pass for training.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraForward<B: Backend> {
    /// The output, `[T, O]`.
    pub y: FloatTensor<B>,
    /// The input of the activation, `[T, O]`.
    pub before: FloatTensor<B>,
    /// `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
}

/// Inputs of the gradient of the factors.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraGradInputs<B: Backend> {
    /// The input of the low-rank path, `[T, K]`.
    #[extension_type]
    pub saved: SavedInput<B>,
    /// `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
    /// See [`LoraInputs::factors`].
    pub factors: FloatTensor<B>,
    /// The adapted blocks.
    pub plan: LoraPlan,
}

operands!(LoraGradInputs { u, factors; nested saved; with plan });

/// Gradients of the low-rank path.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraGrads<B: Backend> {
    /// With respect to `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
    /// With respect to the factors.
    pub factors: FloatTensor<B>,
}

/// Inputs of the gradient of the layer's input.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraBackward<B: Backend> {
    /// The weight `[O, K]`, stored as described by `storage`.
    pub w: FloatTensor<B>,
    /// The gradient of `x A^T`, `[T, n * rank]`.
    pub v: FloatTensor<B>,
    /// See [`LoraInputs::factors`].
    pub factors: FloatTensor<B>,
    /// The adapted blocks.
    pub plan: LoraPlan,
    /// The storage of the weight.
    pub storage: Storage,
    /// What the gradient is multiplied by.
    #[extension_type]
    pub preceding: Preceding<B>,
}

operands!(LoraBackward { w, v, factors; nested preceding; with plan, storage });

/// The layer.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait LoraLinear: Backend {
    /// The output, `[T, O]`; `saved` is x in the form that a backward step saves.
    fn lora_linear(
        #[extension_type] inputs: LoraInputs<Self>,
        #[extension_type] saved: SavedInput<Self>,
    ) -> Output<Self>;

    /// The output with the low-rank term of `dropped [T, K]` instead of x: dropout on the low-rank path.
    fn lora_linear_with_dropout(
        #[extension_type] inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> Output<Self>;
}

/// Forward passes for training, and gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait LoraLinearKernels: Backend {
    /// [`LoraLinear::lora_linear`] with the inputs of its gradient.
    fn lora_linear_forward(#[extension_type] inputs: LoraInputs<Self>) -> LoraForward<Self>;

    /// [`LoraLinear::lora_linear_with_dropout`] with the inputs of its gradient; `u` is `dropped A^T`.
    fn lora_linear_with_dropout_forward(
        #[extension_type] inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> LoraForward<Self>;

    /// Gradients of the low-rank path, from that of the activation's input, `g [T, O]`.
    fn lora_grads(
        g: FloatTensor<Self>,
        #[extension_type] inputs: LoraGradInputs<Self>,
    ) -> LoraGrads<Self>;

    /// `g w + v A`, times what precedes the layer: gradient of the activation's input with respect to x; returns `[T, K]`.
    fn lora_linear_backward(
        g: FloatTensor<Self>,
        #[extension_type] inputs: LoraBackward<Self>,
    ) -> FloatTensor<Self>;

    /// `v A`: gradient of `x A^T` with respect to x, `[T, K]`.
    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self>;
}

/// A frozen linear layer and its activation.
#[derive(Clone, Copy, Debug)]
pub struct FrozenLinear<'a> {
    /// The weight, `[O, K]`.
    pub weight: &'a Weights,
    /// `[O]`.
    pub bias: &'a Tensor<1>,
    /// The activation, applied to the output including the low-rank term.
    pub activation: Activation,
}

impl FrozenLinear<'_> {
    fn with(
        self,
        x: FloatTensor<Dispatch>,
        factors: &Tensor<1>,
        plan: &LoraPlan,
    ) -> LoraInputs<Dispatch> {
        LoraInputs {
            x,
            w: self.weight.words.clone().into_dispatch(),
            bias: self.bias.clone().into_dispatch(),
            factors: factors.clone().into_dispatch(),
            plan: plan.clone(),
            storage: self.weight.storage,
            activation: self.activation,
        }
    }
}

/// A layer on `x [T, K]` with the low-rank term of `plan`; `factors` is the stacked A followed by the stacked B.
/// Returns `[T, O]`.
pub fn lora_linear(
    x: impl Into<Activations>,
    layer: FrozenLinear<'_>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
) -> Activations {
    let (x, saved) = x.into().into_parts();
    record::run(
        (layer.with(x, factors, plan), saved),
        |(inputs, _)| inputs.operation(false),
        |(inputs, saved)| Activations::new(Dispatch::lora_linear(inputs, saved)),
    )
}

/// [`lora_linear`] with the low-rank term of `dropped [T, K]` instead of x: dropout on the low-rank path.
pub fn lora_linear_with_dropout(
    x: Tensor<2>,
    dropped: Tensor<2>,
    layer: FrozenLinear<'_>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
) -> Activations {
    let inputs = layer.with(x.into_dispatch(), factors, plan);
    record::run(
        (inputs, dropped.into_dispatch()),
        |(inputs, _)| inputs.operation_with_dropout(false),
        |(inputs, dropped)| Activations::new(Dispatch::lora_linear_with_dropout(inputs, dropped)),
    )
}
