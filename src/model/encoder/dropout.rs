//! Dropout of the inputs of adapted layers.

use burn::tensor::Tensor;

use crate::ops::{self, DropoutMask};

/// The dropout of one layer.
#[derive(Debug)]
pub(super) struct Dropout {
    /// The mask of the next input; `None` without dropout.
    next: Option<DropoutMask>,
}

impl Dropout {
    /// The masks of a layer depend on the batch's seed, the layer's index, and the order of its inputs.
    pub fn new(probability: f32, seed: Option<u64>, layer: usize) -> Self {
        let seed = seed.filter(|_| probability > 0.0);
        let mask = |seed| DropoutMask { probability, seed, layer: layer as u32, place: 0 };
        Self { next: seed.map(mask) }
    }

    /// The next input `x [T, K]` with dropped elements; `None` without dropout.
    pub fn drop_from(&mut self, x: &Tensor<2>) -> Option<Tensor<2>> {
        let mask = self.next.as_mut()?;
        let dropped = ops::dropout(x.clone(), *mask);
        mask.place += 1;
        Some(dropped)
    }
}
