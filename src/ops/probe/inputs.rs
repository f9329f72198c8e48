//! Seeded random tensors, the same on every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::ops::{Precision, Segments, Weights};

/// Draws tensors for one device, in a fixed order.
pub(in crate::ops) struct Source {
    generator: ChaCha8Rng,
    /// The device, without autodiff.
    pub device: Device,
}

impl Source {
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    /// Uniform values in [-spread, spread).
    pub fn data<const D: usize>(&mut self, shape: [usize; D], spread: f32) -> TensorData {
        TensorData::new(self.values(shape.iter().product(), spread), shape)
    }

    fn values(&mut self, count: usize, spread: f32) -> Vec<f32> {
        let unit = |bits: u32| (bits >> 8) as f32 / (1 << 23) as f32 - 1.0;
        (0..count).map(|_| spread * unit(self.generator.next_u32())).collect()
    }

    /// A frozen tensor of values in [-1, 1).
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let data = self.data(shape, 1.0);
        Tensor::from_data(data, &self.device)
    }

    /// A frozen weight with such values.
    pub fn weights(&mut self, [outputs, inputs]: [usize; 2], precision: Precision) -> Weights {
        let values = self.values(outputs * inputs, 1.0);
        Weights::new(&values, [outputs, inputs], precision, &self.device)
    }
}

/// Consecutive segments of these lengths.
pub(in crate::ops) fn segments(lengths: &[usize]) -> Segments {
    let mut offsets = vec![0];
    for length in lengths {
        offsets.push(offsets[offsets.len() - 1] + length);
    }
    Segments::new(&offsets)
}
