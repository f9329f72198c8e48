//! Slicing with tracked gradients.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::FlatVector;
use crate::ops::Kernels;
use crate::ops::differentiate::{frozen, untracked};

impl<B: Kernels, C: CheckpointStrategy> FlatVector for Autodiff<B, C> {
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        // Track each window separately: the gradient of the whole vector would be mostly zeros for each
        // window.
        let [flat] = frozen::<B, C, _>([flat]);
        untracked::<B, C>(B::cut(flat, offset, len))
    }
}
