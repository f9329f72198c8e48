//! The device's peak rates, with which everything else is compared.

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::direct::Peak;
use super::report::Rates;
use super::shape::uniform;
use super::{Bench, BenchError, SEED, timing};
use crate::ops::{self, Activation, Precision, Weights, wgsl};

/// Rows and columns of the added tensors on the CPU path: 128 MiB each, more than its caches.
const COPIED: [usize; 2] = [8192, 4096];

/// Sizes of square products. Large ones occupy a large device, small ones save time on a slow one.
const PRODUCTS: [usize; 3] = [1024, 2048, 4096];

/// A product slower than this, in seconds, is large enough.
const LONG: f64 = 0.1;

/// Fraction of a measurement's time for each of these.
const SHARE: f64 = 0.25;

impl Bench<'_> {
    /// Measures the device's own rates, and that of products on it, on random values.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails or returns a non-finite value.
    pub async fn rates(&self) -> Result<Rates, BenchError> {
        let device = self.encoder.device();
        let peak = match &self.direct {
            Some(direct) => Some(direct.peak(self.clock, self.seconds).await?),
            None => None,
        };
        let product_lorb = self.product_rate(&device).await?;
        let product_composed = if self.compare {
            let _composed = Composed::begin();
            Some(self.product_rate(&device).await?)
        } else {
            None
        };
        device.memory_cleanup();
        let product = product_composed.map_or(product_lorb, |other| other.max(product_lorb));
        let (copy_gb_s, peak_gflop_s) = match peak {
            Some(Peak { copy_gb_s, gflop_s, .. }) => (copy_gb_s, gflop_s),
            None => (self.copy_rate(&device).await?, product),
        };
        device.memory_cleanup();
        Ok(Rates { copy_gb_s, peak_gflop_s, product_lorb, product_composed })
    }

    /// `x = x + y` over large tensors: two reads and one write, in 1e9 bytes per second.
    async fn copy_rate(&self, device: &Device) -> Result<f64, BenchError> {
        let mut x = Tensor::<2>::zeros(COPIED, device);
        let y = Tensor::<2>::full(COPIED, 1e-3, device);
        let launch = |count: usize| {
            for _ in 0..count {
                // x is not shared, so the addition is in place.
                let before = std::mem::replace(&mut x, y.clone());
                x = before.add(y.clone());
            }
            x.clone()
        };
        let timing =
            timing::launches(self.clock, self.seconds * SHARE, "adding tensors", launch).await?;
        Ok((3 * 4 * COPIED[0] * COPIED[1]) as f64 / timing.least / 1e9)
    }

    /// The best of square linear layers of increasing size, in 1e9 floating-point operations per second.
    async fn product_rate(&self, device: &Device) -> Result<f64, BenchError> {
        let mut best = 0.0f64;
        for size in PRODUCTS {
            // Constants would need less power, and some GPUs run faster then.
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            let mut values = || uniform(&mut rng, 1.0).take(size * size).collect::<Vec<f32>>();
            let x = Tensor::<1>::from_floats(values().as_slice(), device).reshape([size, size]);
            let w = Weights::new(&values(), [size, size], Precision::F32, device);
            let bias = Tensor::<1>::zeros([size], device);
            let launch = |count: usize| {
                let product =
                    || ops::linear(x.clone(), &w, &bias, Activation::Identity).into_values();
                (1..count).for_each(|_| drop(product()));
                product()
            };
            let timing =
                timing::launches(self.clock, self.seconds * SHARE, "a product", launch).await?;
            best = best.max(2.0 * (size as f64).powi(3) / timing.least / 1e9);
            if timing.least > LONG {
                break;
            }
        }
        Ok(best)
    }
}

/// While this guard exists, operations are composed of burn's own.
pub(super) struct Composed(());

impl Composed {
    pub fn begin() -> Self {
        wgsl::set_enabled(false);
        Self(())
    }
}

impl Drop for Composed {
    fn drop(&mut self) {
        wgsl::set_enabled(true);
    }
}
