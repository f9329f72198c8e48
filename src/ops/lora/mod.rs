//! Linear layers with a low-rank term: `activation(x w^T + bias + scale (x A^T) B^T)` in the adapted blocks of
//! the output. A and B of a layer are contiguous in one vector, the factors.

pub(in crate::ops) mod composed;
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
use super::saved::{Output, SavedInput};
use super::{Activation, Activations, Storage, Weights};
pub use plan::LoraPlan;
pub(in crate::ops) use probe::cases;

/// What a layer takes.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraInputs<B: Backend> {
    /// `[T, K]`.
    pub x: FloatTensor<B>,
    /// The weight `[O, K]`, as `storage` says.
    pub w: FloatTensor<B>,
    /// `[O]`.
    pub bias: FloatTensor<B>,
    /// The stacked A and then the stacked B: see [`LoraPlan`].
    pub factors: FloatTensor<B>,
    /// Which blocks are adapted.
    pub plan: LoraPlan,
    /// How the weight is stored.
    pub storage: Storage,
    /// What is applied to the sum.
    pub activation: Activation,
}

operands!(LoraInputs { x, w, bias, factors; with plan, storage, activation });

/// What a forward pass gives for training.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraForward<B: Backend> {
    /// The output, `[T, O]`.
    pub y: FloatTensor<B>,
    /// What the activation was applied to, `[T, O]`.
    pub before: FloatTensor<B>,
    /// `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
}

/// What the gradient of the factors takes.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraGradInputs<B: Backend> {
    /// The input of the low-rank path, `[T, K]`.
    #[extension_type]
    pub saved: SavedInput<B>,
    /// `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
    /// See [`LoraInputs::factors`].
    pub factors: FloatTensor<B>,
    /// Which blocks are adapted.
    pub plan: LoraPlan,
}

operands!(LoraGradInputs { u, factors; nested saved; with plan });

/// Gradients of the low-rank path.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraGrads<B: Backend> {
    /// By `x A^T`, `[T, n * rank]`.
    pub u: FloatTensor<B>,
    /// By the factors.
    pub factors: FloatTensor<B>,
}

/// What the gradient of the input takes.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LoraBackward<B: Backend> {
    /// The weight `[O, K]`, as `storage` says.
    pub w: FloatTensor<B>,
    /// The gradient of `x A^T`, `[T, n * rank]`.
    pub v: FloatTensor<B>,
    /// See [`LoraInputs::factors`].
    pub factors: FloatTensor<B>,
    /// Which blocks are adapted.
    pub plan: LoraPlan,
    /// How the weight is stored.
    pub storage: Storage,
}

operands!(LoraBackward { w, v, factors; with plan, storage });

/// The layer.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait LoraLinear: Backend {
    /// The output, `[T, O]`; `saved` is x as a backward step saves it.
    fn lora_linear(
        #[extension_type] inputs: LoraInputs<Self>,
        #[extension_type] saved: SavedInput<Self>,
    ) -> Output<Self>;

    /// The output with the low-rank term of `dropped [T, K]` in place of that of x: dropout on the low-rank
    /// path.
    fn lora_linear_with_dropout(
        #[extension_type] inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> Output<Self>;
}

/// Forward passes for training, and gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait LoraLinearKernels: Backend {
    /// [`LoraLinear::lora_linear`] with what its gradient takes.
    fn lora_linear_forward(#[extension_type] inputs: LoraInputs<Self>) -> LoraForward<Self>;

    /// [`LoraLinear::lora_linear_with_dropout`] with what its gradient takes; `u` is `dropped A^T`.
    fn lora_linear_with_dropout_forward(
        #[extension_type] inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> LoraForward<Self>;

    /// Gradients of the low-rank path, from that of what the activation is applied to, `g [T, O]`.
    fn lora_grads(
        g: FloatTensor<Self>,
        #[extension_type] inputs: LoraGradInputs<Self>,
    ) -> LoraGrads<Self>;

    /// `g w + v A`: gradient by x of what the activation is applied to; returns `[T, K]`.
    fn lora_linear_backward(
        g: FloatTensor<Self>,
        #[extension_type] inputs: LoraBackward<Self>,
    ) -> FloatTensor<Self>;

    /// `v A`: gradient of `x A^T` by x, `[T, K]`.
    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self>;
}

/// A frozen linear layer, and what is applied to its output.
#[derive(Clone, Copy, Debug)]
pub struct FrozenLinear<'a> {
    /// The weight, `[O, K]`.
    pub weight: &'a Weights,
    /// `[O]`.
    pub bias: &'a Tensor<1>,
    /// What is applied to the output, the low-rank term included.
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

/// A layer of `x [T, K]` with the low-rank term of `plan`; `factors` holds the stacked A and then the stacked
/// B. Returns `[T, O]`.
pub fn lora_linear(
    x: impl Into<Activations>,
    layer: FrozenLinear<'_>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
) -> Activations {
    let (x, saved) = x.into().into_parts();
    Activations::new(Dispatch::lora_linear(layer.with(x, factors, plan), saved))
}

/// [`lora_linear`] whose low-rank term is that of `dropped [T, K]` in place of x: dropout on the low-rank path.
pub fn lora_linear_with_dropout(
    x: Tensor<2>,
    dropped: Tensor<2>,
    layer: FrozenLinear<'_>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
) -> Activations {
    let inputs = layer.with(x.into_dispatch(), factors, plan);
    Activations::new(Dispatch::lora_linear_with_dropout(inputs, dropped.into_dispatch()))
}
