//! Linear layers with a low-rank term, differentiated. Their base weight and bias are frozen.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{
    LoraBackward, LoraForward, LoraGradInputs, LoraGrads, LoraInputs, LoraLinear, LoraPlan, cost,
};
use crate::ops::differentiate::{backward_step, frozen};
use crate::ops::linear::{activated, origin, step_input_grad};
use crate::ops::operands::Tensors;
use crate::ops::saved::{Output, Preceding, SavedInput};
use crate::ops::{Kernels, Storage, record};

/// The saved state of a backward pass.
#[derive(Clone, Debug)]
struct LoraSaved<B: Kernels> {
    /// Input of the low-rank path.
    input: SavedInput<B>,
    u: FloatTensor<B>,
    w: FloatTensor<B>,
    factors: FloatTensor<B>,
    plan: LoraPlan,
    storage: Storage,
    preceding: Preceding<B>,
}

/// The inputs saved for a backward pass.
struct Layer<B: Kernels> {
    w: FloatTensor<B>,
    factors: FloatTensor<B>,
    plan: LoraPlan,
    storage: Storage,
}

impl<B: Kernels> Layer<B> {
    fn of(inputs: &LoraInputs<B>) -> Self {
        let LoraInputs { w, factors, plan, storage, .. } = inputs;
        Self { w: w.clone(), factors: factors.clone(), plan: plan.clone(), storage: *storage }
    }

    fn saved(
        self,
        input: SavedInput<B>,
        u: FloatTensor<B>,
        preceding: Preceding<B>,
    ) -> LoraSaved<B> {
        let Self { w, factors, plan, storage } = self;
        LoraSaved { input, u, w, factors, plan, storage, preceding }
    }
}

fn grads_of_factors<B: Kernels>(g: FloatTensor<B>, inputs: LoraGradInputs<B>) -> LoraGrads<B> {
    let operation = |(g, inputs): &(_, LoraGradInputs<B>)| inputs.operation(g);
    record::run((g, inputs), operation, |(g, inputs)| B::lora_grads(g, inputs))
}

backward_step!(LoraLinearStep<2>, LoraSaved<B>, |g, saved, [to_x, to_factors], grads| {
    let LoraSaved { input, u, w, factors, plan, storage, preceding } = saved;
    let inputs = LoraGradInputs { saved: input, u, factors: factors.clone(), plan: plan.clone() };
    let by = grads_of_factors::<B>(g.clone(), inputs);
    if let Some(x) = to_x {
        let inputs = LoraBackward { w, v: by.u, factors, plan, storage, preceding };
        let operation = |(g, inputs): &(_, LoraBackward<B>)| inputs.operation(g);
        let arguments = (g, inputs);
        let grad =
            record::run(arguments, operation, |(g, inputs)| B::lora_linear_backward(g, inputs));
        grads.register::<B>(x.id, grad);
    }
    if let Some(factors) = to_factors {
        grads.register::<B>(factors.id, by.factors);
    }
});

backward_step!(DropoutStep<3>, LoraSaved<B>, |g, saved, [to_x, to_dropped, to_factors], grads| {
    let LoraSaved { input, u, w, factors, plan, storage, preceding } = saved;
    let inputs = LoraGradInputs { saved: input, u, factors: factors.clone(), plan: plan.clone() };
    let by = grads_of_factors::<B>(g.clone(), inputs);
    if let Some(x) = to_x {
        grads.register::<B>(x.id, step_input_grad::<B>(g, w, storage, preceding));
    }
    if let Some(dropped) = to_dropped {
        let arguments = (by.u, factors, plan);
        let operation = |(v, factors, plan): &_| cost::down_backward::<B>(v, factors, plan);
        let grad = record::run(arguments, operation, |(v, factors, plan)| {
            B::lora_down_backward(v, factors, plan)
        });
        grads.register::<B>(dropped.id, grad);
    }
    if let Some(factors) = to_factors {
        grads.register::<B>(factors.id, by.factors);
    }
});

impl<B: Kernels, C: CheckpointStrategy> LoraLinear for Autodiff<B, C> {
    fn lora_linear(inputs: LoraInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        let (x, preceding) = origin::<B, C>(&inputs.x, &saved);
        let nodes = [x.node(), inputs.factors.node()];
        let inputs = frozen_base::<B, C>(inputs);
        let saved: SavedInput<B> = saved.map(&|tensor| tensor.into_primitive());
        match LoraLinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (layer, activation) = (Layer::of(&inputs), inputs.activation);
                let LoraForward { y, before, u } =
                    record::run(inputs, |inputs| inputs.operation(true), B::lora_linear_forward);
                let before = step.finish(layer.saved(saved, u, preceding), before);
                activated(before, y, activation)
            }
            OpsKind::UnTracked(step) => {
                Output::whole(step.finish(B::lora_linear(inputs, saved).values))
            }
        }
    }

    fn lora_linear_with_dropout(
        inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> Output<Self> {
        let nodes = [inputs.x.node(), dropped.node(), inputs.factors.node()];
        let inputs = frozen_base::<B, C>(inputs);
        let dropped = dropped.into_primitive();
        match DropoutStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (layer, activation) = (Layer::of(&inputs), inputs.activation);
                let LoraForward { y, before, u } = record::run(
                    (inputs, dropped.clone()),
                    |(inputs, _)| inputs.operation_with_dropout(true),
                    |(inputs, dropped)| B::lora_linear_with_dropout_forward(inputs, dropped),
                );
                let saved = layer.saved(SavedInput::Whole(dropped), u, Preceding::Nothing);
                activated(step.finish(saved, before), y, activation)
            }
            OpsKind::UnTracked(step) => {
                Output::whole(step.finish(B::lora_linear_with_dropout(inputs, dropped).values))
            }
        }
    }
}

/// The inputs without tracking; base weight and bias must be untracked.
fn frozen_base<B: Kernels, C: CheckpointStrategy>(
    inputs: LoraInputs<Autodiff<B, C>>,
) -> LoraInputs<B> {
    let LoraInputs { x, w, bias, factors, plan, storage, activation } = inputs;
    let [w, bias] = frozen::<B, C, _>([w, bias]);
    let (x, factors) = (x.into_primitive(), factors.into_primitive());
    LoraInputs { x, w, bias, factors, plan, storage, activation }
}
