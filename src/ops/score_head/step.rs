//! The score head, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{ScoreHead, ScoreHeadInputs};
use crate::ops::Kernels;
use crate::ops::differentiate::backward_step;
use crate::ops::operands::Tensors;

backward_step!(ScoreHeadStep<2>, ScoreHeadInputs<B>, |g, inputs, [to_cls, to_head], grads| {
    let by = B::score_head_backward(g, inputs);
    if let Some(cls) = to_cls {
        grads.register::<B>(cls.id, by.cls);
    }
    if let Some(head) = to_head {
        grads.register::<B>(head.id, by.head);
    }
});

impl<B: Kernels, C: CheckpointStrategy> ScoreHead for Autodiff<B, C> {
    fn score_head(inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self> {
        let nodes = [inputs.cls.node(), inputs.head.node()];
        let inputs: ScoreHeadInputs<B> = inputs.map(&|tensor| tensor.into_primitive());
        match ScoreHeadStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(inputs.clone(), B::score_head(inputs)),
            OpsKind::UnTracked(step) => step.finish(B::score_head(inputs)),
        }
    }
}
