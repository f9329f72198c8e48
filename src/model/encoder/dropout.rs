//! Dropout of the inputs of adapted layers.

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Dropout masks, drawn on the host so that a seed gives the same masks on every device.
#[derive(Debug)]
pub(super) struct Dropout {
    probability: f32,
    rng: Option<ChaCha8Rng>,
}

impl Dropout {
    /// The masks of one layer. Each layer has its own random stream.
    pub fn new(probability: f32, seed: Option<u64>, layer: usize) -> Self {
        let rng = seed.filter(|_| probability > 0.0).map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(layer as u64);
            rng
        });
        Self { probability, rng }
    }

    /// A mask for `x [T, K]` of zeros and, to keep the mean, `1 / (1 - p)`.
    pub fn mask(&mut self, x: &Tensor<2>) -> Option<Tensor<2>> {
        let rng = self.rng.as_mut()?;
        let [rows, columns] = x.dims();
        let dropped = (f64::from(self.probability) * 2f64.powi(32)) as u32;
        let kept = 1.0 / (1.0 - self.probability);
        let mask: Vec<f32> = (0..rows * columns)
            .map(|_| if rng.next_u32() < dropped { 0.0 } else { kept })
            .collect();
        let device = x.device().inner();
        Some(Tensor::from_data(TensorData::new(mask, [rows, columns]), &device))
    }
}
