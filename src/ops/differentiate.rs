//! Shared by the backward steps of all operations.
//!
//! The backend `Autodiff<B>` implements the operations that the model calls, over any backend `B` that has the kernels.
//! A step computes gradients only for tracked inputs. If an operation has no gradient with respect to a tensor, such as
//! the base weight of an adapted linear layer, it panics if that tensor is tracked, because the gradient would silently
//! be missing.

use burn::backend::autodiff::{
    Autodiff, NodeId, checkpoint::strategy::CheckpointStrategy, grads::Gradients,
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend};

use super::{Kernels, record};

/// Declares a backward step: its name, its number of parents, its saved state, and the body, which receives the
/// output's gradient, the saved state, the parents and the registry of gradients. The backend is `B`.
macro_rules! backward_step {
    ($name:ident<$n:literal>, $state:ty, |$grad:ident, $saved:pat_param, $parents:pat_param, $grads:ident| $body:block) => {
        #[derive(Debug)]
        struct $name;
        impl<B: $crate::ops::Kernels> burn::backend::autodiff::ops::Backward<B, $n> for $name {
            type State = $state;
            fn backward(
                self,
                ops: burn::backend::autodiff::ops::Ops<Self::State, $n>,
                gradients: &mut burn::backend::autodiff::grads::Gradients,
                _checkpointer: &mut burn::backend::autodiff::checkpoint::base::Checkpointer,
            ) {
                let $grad = gradients.consume::<B>(&ops.node);
                let $grads = &mut $crate::ops::differentiate::GradientSink(gradients);
                let ($saved, $parents) = (ops.state, ops.parents);
                $body
            }
        }
    };
}

pub(in crate::ops) use backward_step;

/// Where a backward step registers the gradients of its parents.
pub(in crate::ops) struct GradientSink<'a>(pub &'a mut Gradients);

impl GradientSink<'_> {
    /// Adds to the gradient of a parent.
    pub(in crate::ops) fn register<B: Kernels>(
        &mut self,
        parent: NodeId,
        gradient: FloatTensor<B>,
    ) {
        record::gradient::<B>(parent, &gradient);
        self.0.register::<B>(parent, gradient);
    }
}

pub(in crate::ops) type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

/// Detaches frozen tensors from the graph.
pub(in crate::ops) fn frozen<B: Backend, C: CheckpointStrategy, const N: usize>(
    tensors: [Tracked<B, C>; N],
) -> [FloatTensor<B>; N] {
    tensors.map(|tensor| {
        assert!(
            !tensor.is_tracked(),
            "base weights are frozen: this operation has no gradient with respect to them"
        );
        tensor.into_primitive()
    })
}

/// An untracked tensor.
pub(in crate::ops) fn untracked<B: Backend, C: CheckpointStrategy>(
    tensor: FloatTensor<B>,
) -> Tracked<B, C> {
    <Autodiff<B, C> as AutodiffBackend>::from_inner(tensor)
}
