//! Seeded numbers, the same for every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::ops::Segments;

/// Draws tensors for one device, in a fixed order.
pub(super) struct Source {
    generator: ChaCha8Rng,
    /// The device, without autodiff.
    pub device: Device,
}

impl Source {
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    /// Uniform values in [-1, 1).
    pub fn data<const D: usize>(&mut self, shape: [usize; D]) -> TensorData {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| (self.generator.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0)
            .collect();
        TensorData::new(values, shape)
    }

    /// A frozen tensor of such values.
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let data = self.data(shape);
        Tensor::from_data(data, &self.device)
    }
}

/// Segments of these lengths, end to end.
pub(super) fn segments(lengths: &[usize]) -> Segments {
    let mut offsets = vec![0];
    for length in lengths {
        offsets.push(offsets[offsets.len() - 1] + length);
    }
    Segments::new(&offsets)
}
