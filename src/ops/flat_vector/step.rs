//! Cutting, where gradients are tracked.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::FlatVector;
use crate::ops::Kernels;
use crate::ops::differentiate::{frozen, untracked};

impl<B: Kernels, C: CheckpointStrategy> FlatVector for Autodiff<B, C> {
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        // Each window is tracked by itself: the gradient by the whole would be one of mostly zeros for
        // every window.
        let [flat] = frozen::<B, C, _>([flat]);
        untracked::<B, C>(B::cut(flat, offset, len))
    }
}
