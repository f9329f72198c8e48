//! Linear layers, optionally followed by GELU: `activation(x w^T + bias)`.

mod activation;
pub(in crate::ops) mod composed;
pub(in crate::ops) mod cost;
mod cpu;
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
use super::{Activations, Precision, Storage, Weights, record};
pub use activation::Activation;
pub(in crate::ops) use cpu::{
    activate as cpu_activate, dense as cpu_dense, fill_rows, input_grad as cpu_input_grad,
};
pub(in crate::ops) use probe::{backward, cases, forward, name};
pub(in crate::ops) use step::{activated, input_grad as step_input_grad, origin};
pub(in crate::ops) use wgsl::{activate, dense, input_grad};

/// Inputs of a layer.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LinearInputs<B: Backend> {
    /// `[T, K]`.
    pub x: FloatTensor<B>,
    /// The weight `[O, K]`, stored as described by `storage`.
    pub w: FloatTensor<B>,
    /// `[O]`.
    pub bias: FloatTensor<B>,
    /// The storage of the weight.
    pub storage: Storage,
    /// The activation.
    pub activation: Activation,
}

operands!(LinearInputs { x, w, bias; with storage, activation });

/// The result of the forward pass for training, `[T, O]` each.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct LinearForward<B: Backend> {
    /// The output.
    pub y: FloatTensor<B>,
    /// The input of the activation.
    pub before: FloatTensor<B>,
}

/// The layer.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Linear: Backend {
    /// The output, `[T, O]`; `saved` is x in the form that a backward step saves.
    fn base_linear(
        #[extension_type] inputs: LinearInputs<Self>,
        #[extension_type] saved: SavedInput<Self>,
    ) -> Output<Self>;
}

/// Its forward pass for training, and its gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait LinearKernels: Backend {
    /// The output with the inputs of its gradient.
    fn base_linear_forward(#[extension_type] inputs: LinearInputs<Self>) -> LinearForward<Self>;

    /// `g w`, times what precedes the layer: gradient of `x w^T + bias` with respect to `x`; `g [T, O]`, returns
    /// `[T, K]`.
    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
        #[extension_type] preceding: Preceding<Self>,
    ) -> FloatTensor<Self>;

    /// `g^T x`, row-major: gradient of `x w^T + bias` with respect to a trained `w`; `g [T, O]`, `x [T, K]`, returns
    /// `[O * K]`.
    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `activation(x w^T + bias)`: `x [T, K]`, `w [O, K]`, `bias [O]`; returns `[T, O]`.
pub fn linear(
    x: impl Into<Activations>,
    w: &Weights,
    bias: &Tensor<1>,
    activation: Activation,
) -> Activations {
    let (x, saved) = x.into().into_parts();
    let inputs = LinearInputs {
        x,
        w: w.words.clone().into_dispatch(),
        bias: bias.clone().into_dispatch(),
        storage: w.storage,
        activation,
    };
    record::run(
        (inputs, saved),
        |(inputs, _)| inputs.operation(false),
        |(inputs, saved)| Activations::new(Dispatch::base_linear(inputs, saved)),
    )
}

/// `x y^T` in f32: `[n, k]` and `[m, k]` to `[n, m]`.
pub fn product(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let [outputs, inputs] = y.dims();
    let storage = Storage { outputs, inputs, precision: Precision::F32 };
    let none = Tensor::zeros([outputs], &x.device().inner());
    let y = Weights { words: y.flatten(0, 1), storage };
    linear(x, &y, &none, Activation::Identity).into_values()
}

/// `x y` in f32, without tracking: `[n, k]` and the flat `[k, m]` to `[n, m]`.
pub fn product_of(x: Tensor<2>, y: Tensor<1>) -> Tensor<2> {
    let ([_, outputs], [len]) = (x.dims(), y.dims());
    let storage = Storage { outputs, inputs: len / outputs, precision: Precision::F32 };
    record::run(
        (x.into_dispatch(), y.into_dispatch()),
        |(x, _)| cost::input_grad::<Dispatch>(x, storage, &Preceding::Nothing),
        move |(x, y)| -> Tensor<2> {
            let preceding = Preceding::Nothing;
            Tensor::from_dispatch(Dispatch::base_linear_backward(x, y, storage, preceding))
        },
    )
}
