//! The correlation term, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{Correlation, CorrelationForward};
use crate::ops::differentiate::backward_step;
use crate::ops::{Kernels, record};

backward_step!(CorrelationStep<1>, CorrelationForward<B>, |g, saved, [to], grads| {
    if let Some(to) = to {
        let operation = |(_, saved): &(_, CorrelationForward<B>)| saved.backward();
        let grad =
            record::run((g, saved), operation, |(g, saved)| B::correlation_backward(g, saved));
        grads.register::<B>(to.id, grad);
    }
});

impl<B: Kernels, C: CheckpointStrategy> Correlation for Autodiff<B, C> {
    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [cls.node()];
        let cls = cls.into_primitive();
        match CorrelationStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let forward = B::correlation_forward(cls);
                let value = forward.value.clone();
                step.finish(forward, value)
            }
            OpsKind::UnTracked(step) => step.finish(B::correlation(cls)),
        }
    }
}
