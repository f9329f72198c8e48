//! Linear layers, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{Activation, Linear, LinearForward, LinearInputs, cost};
use crate::ops::differentiate::{Tracked, backward_step};
use crate::ops::gelu::gelu_of;
use crate::ops::layer_norm::sum_of_columns;
use crate::ops::operands::Tensors;
use crate::ops::saved::{Output, Preceding, SavedInput};
use crate::ops::{Kernels, Precision, Storage, record, wgsl};

/// `g w`, times what precedes the layer.
pub(in crate::ops) fn input_grad<B: Kernels>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    storage: Storage,
    preceding: Preceding<B>,
) -> FloatTensor<B> {
    record::run(
        (g, w, preceding),
        |(g, _, preceding)| cost::input_grad::<B>(g, storage, preceding),
        move |(g, w, preceding)| B::base_linear_backward(g, w, storage, preceding),
    )
}

/// Where the gradient by a layer's input goes, and what it is multiplied by. If the input is the output of a GELU, it
/// goes to the input of that GELU, which saves a pass over memory. The GELU has its own step for other uses of its
/// output.
pub(in crate::ops) fn origin<'a, B: Kernels, C: CheckpointStrategy>(
    x: &'a Tracked<B, C>,
    saved: &'a SavedInput<Autodiff<B, C>>,
) -> (&'a Tracked<B, C>, Preceding<B>) {
    match saved {
        SavedInput::BeforeGelu(before) if before.is_tracked() => {
            (before, Preceding::Gelu(before.clone().into_primitive()))
        }
        _ => (x, Preceding::Nothing),
    }
}

/// The output `y` of a layer from its tracked output before the activation, which the next layer saves, if there is an
/// activation.
pub(in crate::ops) fn activated<B: Kernels, C: CheckpointStrategy>(
    before: Tracked<B, C>,
    y: FloatTensor<B>,
    activation: Activation,
) -> Output<Autodiff<B, C>> {
    match activation {
        Activation::Identity => Output::whole(before),
        Activation::Gelu => {
            let values = gelu_of::<B, C>(before.clone(), y);
            if wgsl::recomputes_inputs() {
                Output { values, saved: SavedInput::BeforeGelu(before) }
            } else {
                Output::whole(values)
            }
        }
    }
}

/// Inputs of the backward pass.
#[derive(Clone, Debug)]
struct LinearSaved<B: Kernels> {
    /// x, if the weight is trained.
    input: Option<SavedInput<B>>,
    w: FloatTensor<B>,
    storage: Storage,
    preceding: Preceding<B>,
}

backward_step!(LinearStep<3>, LinearSaved<B>, |g, saved, [to_x, to_w, to_bias], grads| {
    let LinearSaved { input, w, storage, preceding } = saved;
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
        grads.register::<B>(x.id, input_grad::<B>(g, w, storage, preceding));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Linear for Autodiff<B, C> {
    fn base_linear(inputs: LinearInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        let (storage, activation) = (inputs.storage, inputs.activation);
        let trained = inputs.w.is_tracked();
        assert!(!trained || storage.precision == Precision::F32, "a trained weight must be f32");
        let (x, preceding) = origin::<B, C>(&inputs.x, &saved);
        let nodes = [x.node(), inputs.w.node(), inputs.bias.node()];
        let inputs: LinearInputs<B> = inputs.map(&|tensor| tensor.into_primitive());
        let saved: SavedInput<B> = saved.map(&|tensor| tensor.into_primitive());
        match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (input, w) = (trained.then_some(saved), inputs.w.clone());
                let LinearForward { y, before } =
                    record::run(inputs, |inputs| inputs.operation(true), B::base_linear_forward);
                let before = step.finish(LinearSaved { input, w, storage, preceding }, before);
                activated(before, y, activation)
            }
            OpsKind::UnTracked(step) => {
                Output::whole(step.finish(B::base_linear(inputs, saved).values))
            }
        }
    }
}
