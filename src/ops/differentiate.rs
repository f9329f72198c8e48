//! What the backward steps of all operations share.
//!
//! The backend `Autodiff<B>` implements the operations that the model calls, over any backend `B` that has
//! the kernels. A step computes gradients only for the inputs that are tracked. Where an operation has no
//! gradient by a tensor, as adapted linear layers by their base weight, it refuses one that is tracked:
//! its gradient would silently be missing.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend};

/// Declares a backward step: its name, its number of parents, what it saves, and the body, which receives
/// the output's gradient, the saved state, the parents and where gradients are registered. The backend
/// is `B`.
macro_rules! backward_step {
    ($name:ident<$n:literal>, $state:ty, |$grad:ident, $saved:pat_param, $parents:pat_param, $grads:ident| $body:block) => {
        #[derive(Debug)]
        struct $name;
        impl<B: $crate::ops::Kernels> burn::backend::autodiff::ops::Backward<B, $n> for $name {
            type State = $state;
            fn backward(
                self,
                ops: burn::backend::autodiff::ops::Ops<Self::State, $n>,
                $grads: &mut burn::backend::autodiff::grads::Gradients,
                _checkpointer: &mut burn::backend::autodiff::checkpoint::base::Checkpointer,
            ) {
                let $grad = $grads.consume::<B>(&ops.node);
                let ($saved, $parents) = (ops.state, ops.parents);
                $body
            }
        }
    };
}

pub(in crate::ops) use backward_step;

pub(in crate::ops) type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

/// Takes frozen tensors out of the graph.
pub(in crate::ops) fn frozen<B: Backend, C: CheckpointStrategy, const N: usize>(
    tensors: [Tracked<B, C>; N],
) -> [FloatTensor<B>; N] {
    tensors.map(|tensor| {
        assert!(
            !tensor.is_tracked(),
            "base weights are frozen: this operation has no gradient by them"
        );
        tensor.into_primitive()
    })
}

/// A tensor that is not tracked.
pub(in crate::ops) fn untracked<B: Backend, C: CheckpointStrategy>(
    tensor: FloatTensor<B>,
) -> Tracked<B, C> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(tensor)
}
