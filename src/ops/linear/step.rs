//! Linear layers, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{Activation, Linear, LinearForward, LinearInputs, cost};
use crate::ops::differentiate::{Tracked, backward_step, untracked};
use crate::ops::gelu::gelu_backward;
use crate::ops::layer_norm::sum_of_columns;
use crate::ops::operands::Tensors;
use crate::ops::saved::{Output, SavedInput};
use crate::ops::{Kernels, Precision, Storage, record, wgsl};

/// Gradient of the input of an activation from that of its output; `before` is saved only if there is an activation.
pub(in crate::ops) fn activation_gradient<B: Kernels>(
    g: FloatTensor<B>,
    before: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    match before {
        Some(before) => gelu_backward::<B>(g, before),
        None => g,
    }
}

/// `g w`.
pub(in crate::ops) fn input_grad<B: Kernels>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    storage: Storage,
) -> FloatTensor<B> {
    record::run(
        (g, w),
        |(g, _)| cost::input_grad::<B>(g, storage),
        move |(g, w)| B::base_linear_backward(g, w, storage),
    )
}

/// The saved state of an activation's backward step.
pub(in crate::ops) fn before_activation<B: Kernels>(
    before: FloatTensor<B>,
    activation: Activation,
) -> Option<FloatTensor<B>> {
    match activation {
        Activation::Identity => None,
        Activation::Gelu => Some(before),
    }
}

/// An output, which the next layer saves as the input of its activation, if there is one.
pub(in crate::ops) fn activated<B: Kernels, C: CheckpointStrategy>(
    y: Tracked<B, C>,
    before: Option<FloatTensor<B>>,
) -> Output<Autodiff<B, C>> {
    match before {
        Some(before) if wgsl::recomputes_inputs() => {
            Output { values: y, saved: SavedInput::BeforeGelu(untracked::<B, C>(before)) }
        }
        _ => Output::whole(y),
    }
}

/// Inputs of the backward pass.
#[derive(Clone, Debug)]
struct LinearSaved<B: Kernels> {
    /// x, if the weight is trained.
    input: Option<SavedInput<B>>,
    w: FloatTensor<B>,
    storage: Storage,
    /// The input of the activation, if there is one.
    before: Option<FloatTensor<B>>,
}

backward_step!(LinearStep<3>, LinearSaved<B>, |g, saved, [to_x, to_w, to_bias], grads| {
    let LinearSaved { input, w, storage, before } = saved;
    let g = activation_gradient::<B>(g, before);
    if let (Some(w), Some(input)) = (to_w, input) {
        let arguments = (g.clone(), input.input());
        let operation = |(g, x): &_| cost::weight_grad::<B>(g, x);
        let grad = record::run(arguments, operation, |(g, x)| B::weight_grad(g, x));
        grads.register::<B>(w.id, grad);
    }
    if let Some(bias) = to_bias {
        grads.register::<B>(bias.id, sum_of_columns::<B>(g.clone()));
    }
    if let Some(x) = to_x {
        grads.register::<B>(x.id, input_grad::<B>(g, w, storage));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Linear for Autodiff<B, C> {
    fn base_linear(inputs: LinearInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        let (storage, activation) = (inputs.storage, inputs.activation);
        let trained = inputs.w.is_tracked();
        assert!(!trained || storage.precision == Precision::F32, "a trained weight must be f32");
        let nodes = [inputs.x.node(), inputs.w.node(), inputs.bias.node()];
        let inputs: LinearInputs<B> = inputs.map(&|tensor| tensor.into_primitive());
        let saved: SavedInput<B> = saved.map(&|tensor| tensor.into_primitive());
        match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (input, w) = (trained.then_some(saved), inputs.w.clone());
                let LinearForward { y, before } =
                    record::run(inputs, |inputs| inputs.operation(true), B::base_linear_forward);
                let before = before_activation::<B>(before, activation);
                let y = step.finish(LinearSaved { input, w, storage, before: before.clone() }, y);
                activated(y, before)
            }
            OpsKind::UnTracked(step) => {
                Output::whole(step.finish(B::base_linear(inputs, saved).values))
            }
        }
    }
}
