//! Layer normalisation, differentiated.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{AddLayerNormForward, AddLayerNormInputs, LayerNorm, LayerNormSaved, cost};
use crate::ops::differentiate::{GradientSink, backward_step, untracked};
use crate::ops::operands::Tensors;
use crate::ops::saved::{Output, SavedInput};
use crate::ops::{Kernels, record, wgsl};

/// Sum over the rows.
pub(in crate::ops) fn sum_of_columns<B: Kernels>(x: FloatTensor<B>) -> FloatTensor<B> {
    record::run(x, cost::column_sums::<B>, B::column_sums)
}

/// Gradient of a layer normalisation by its input.
pub(in crate::ops) fn backward<B: Kernels>(
    g: FloatTensor<B>,
    saved: LayerNormSaved<B>,
) -> FloatTensor<B> {
    let operation = |(_, saved): &(_, LayerNormSaved<B>)| saved.operation();
    record::run((g, saved), operation, |(g, saved)| B::add_layer_norm_backward(g, saved))
}

/// Gradients of a layer normalisation with respect to gamma and beta, if they are trained.
pub(in crate::ops) fn norm_grads<B: Kernels>(
    g: &FloatTensor<B>,
    normalised: &FloatTensor<B>,
    [gamma, beta]: [Option<NodeId>; 2],
    grads: &mut GradientSink<'_>,
) {
    if let Some(gamma) = gamma {
        let by_row = B::float_mul(g.clone(), normalised.clone());
        grads.register::<B>(gamma, sum_of_columns::<B>(by_row));
    }
    if let Some(beta) = beta {
        grads.register::<B>(beta, sum_of_columns::<B>(g.clone()));
    }
}

backward_step!(
    AddLayerNormStep<4>,
    LayerNormSaved<B>,
    |g, saved, [to_x, to_residual, to_gamma, to_beta], grads| {
        let scales = [to_gamma, to_beta].map(|to| to.map(|to| to.id));
        norm_grads::<B>(&g, &saved.normalised, scales, grads);
        if to_x.is_none() && to_residual.is_none() {
            return;
        }
        let grad = backward::<B>(g, saved);
        for parent in [to_x, to_residual].into_iter().flatten() {
            grads.register::<B>(parent.id, grad.clone());
        }
    }
);

impl<B: Kernels, C: CheckpointStrategy> LayerNorm for Autodiff<B, C> {
    fn add_layer_norm(inputs: AddLayerNormInputs<Self>) -> Output<Self> {
        let nodes =
            [inputs.x.node(), inputs.residual.node(), inputs.gamma.node(), inputs.beta.node()];
        let inputs: AddLayerNormInputs<B> = inputs.map(&|tensor| tensor.into_primitive());
        match AddLayerNormStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (gamma, beta) = (inputs.gamma.clone(), inputs.beta.clone());
                let AddLayerNormForward { y, normalised, inverse_deviation } =
                    record::run(inputs, |inputs| inputs.operation(true), B::add_layer_norm_forward);
                let saved = SavedInput::<B>::Normalised {
                    rows: normalised.clone(),
                    gamma: gamma.clone(),
                    beta,
                };
                let y = step.finish(LayerNormSaved { normalised, inverse_deviation, gamma }, y);
                if wgsl::recomputes_inputs() {
                    Output { values: y, saved: saved.map(&untracked::<B, C>) }
                } else {
                    Output::whole(y)
                }
            }
            OpsKind::UnTracked(step) => {
                Output::whole(step.finish(B::add_layer_norm(inputs).values))
            }
        }
    }
}
