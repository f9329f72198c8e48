//! Losses of lists, differentiated.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{ListLoss, ListLossForward, ListLossSaved, Lists};
use crate::ops::differentiate::backward_step;
use crate::ops::{Kernels, record};

backward_step!(ListLossStep<1>, ListLossSaved<B>, |g, saved, [to], grads| {
    if let Some(to) = to {
        let operation = |(_, saved): &(_, ListLossSaved<B>)| saved.operation();
        let grad = record::run((g, saved), operation, |(g, saved)| B::list_loss_backward(g, saved));
        grads.register::<B>(to.id, grad);
    }
});

impl<B: Kernels, C: CheckpointStrategy> ListLoss for Autodiff<B, C> {
    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self> {
        let nodes = [scores.node()];
        let scores = scores.into_primitive();
        let texts = scores.shape().num_elements();
        match ListLossStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let ListLossForward { loss, slopes } = B::list_loss_forward(scores, lists.clone());
                step.finish(ListLossSaved { slopes, lists, texts }, loss)
            }
            OpsKind::UnTracked(step) => step.finish(B::list_loss(scores, lists)),
        }
    }
}
