//! Gathering rows of `[CLS]`, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::ClsRows;
use crate::ops::differentiate::backward_step;
use crate::ops::{Kernels, Segments};

backward_step!(GatherClsStep<1>, Segments, |g, segments, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::scatter_cls(g, segments));
    }
});

impl<B: Kernels, C: CheckpointStrategy> ClsRows for Autodiff<B, C> {
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GatherClsStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(segments.clone(), B::gather_cls(x, segments)),
            OpsKind::UnTracked(step) => step.finish(B::gather_cls(x, segments)),
        }
    }
}
