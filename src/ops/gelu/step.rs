//! GELU, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::Gelu;
use crate::ops::Kernels;
use crate::ops::differentiate::backward_step;

backward_step!(GeluStep<1>, FloatTensor<B>, |g, x, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::gelu_exact_backward(g, x));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Gelu for Autodiff<B, C> {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GeluStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(x.clone(), B::gelu_exact(x)),
            OpsKind::UnTracked(step) => step.finish(B::gelu_exact(x)),
        }
    }
}
