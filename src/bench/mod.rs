//! How fast a device computes the model, and how near that is to what the device can do.
//!
//! [`Bench`] holds a base, an adapter and a batch of synthetic lists. It measures the device's own rates, a
//! training step and a rescoring pass, and single operations, and compares each with the work that was counted
//! while it ran: see [`record`](crate::ops::record). The caller provides the clock.
//!
//! | file | what |
//! |---|---|
//! | `shape` | bases of random numbers in the sizes of known ones |
//! | `lists` | synthetic lists |
//! | `timing` | how often something is run, and which time counts |
//! | `rates` | copy bandwidth and product rate of a device |
//! | `steps` | a training step and a rescoring pass |
//! | `kernels` | single operations |
//! | `report` | what came of it |

mod error;
mod kernels;
mod lists;
mod rates;
mod report;
mod shape;
mod steps;
mod timing;

#[cfg(test)]
mod tests;

pub use error::BenchError;
pub use kernels::Step;
pub use report::{Compared, KernelReport, Measured, Rates, Timed};
pub use shape::{Shape, random_weights};
pub use timing::{Clock, Timing};

use burn::tensor::Device;

use crate::base::{BaseWeights, BertConfig};
use crate::methods::LoraConfig;
use crate::model::{Adapter, Encoder, PackedBatch, TrainableTensors};
use crate::ops::{Precision, wgsl};
use crate::train::{TrainConfig, TrainData};
use rates::Composed;

/// Seed of all that is drawn: two runs compute with the same numbers.
const SEED: u64 = 7;

/// What to measure, and on what.
pub struct BenchInputs<'a> {
    /// Sizes of the base.
    pub base: BertConfig,
    /// Its tensors, which are taken out.
    pub weights: &'a mut BaseWeights,
    /// The adapter.
    pub lora: LoraConfig,
    /// How many bits the base's linear layers are kept in.
    pub precision: Precision,
    /// Tokens of the batch, about.
    pub tokens: usize,
    /// Whether training keeps the input of each layer alone and runs the layer again.
    pub recompute: bool,
    /// Where to compute.
    pub device: &'a Device,
    /// How long a measurement goes on, in seconds.
    pub seconds: f64,
}

/// Sizes of a packed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens of all sequences, T.
    pub tokens: usize,
    /// Sequences, S.
    pub sequences: usize,
}

/// A base, an adapter and a batch on a device, ready to be measured.
pub struct Bench<'a> {
    base: BertConfig,
    encoder: Encoder,
    lora: LoraConfig,
    adapter: Adapter,
    /// The trainable tensors that stay outside the encoder that the adapter is merged into.
    merged: Option<TrainableTensors>,
    data: TrainData,
    batch: PackedBatch,
    config: TrainConfig,
    clock: Clock<'a>,
    seconds: f64,
    /// Whether burn's own operations are measured beside LoRB's kernels, and on the same base.
    compare: bool,
}

impl<'a> Bench<'a> {
    /// Puts the base on the device and makes the lists.
    ///
    /// # Errors
    /// [`BenchError::Model`] when a tensor of the base is at fault or the adapter does not suit it.
    pub fn new(inputs: BenchInputs<'_>, clock: Clock<'a>) -> Result<Self, BenchError> {
        let BenchInputs { base, weights, lora, precision, tokens, recompute, device, seconds } =
            inputs;
        let adapter = Adapter::init(&base, lora.clone(), SEED)?;
        let encoder = Encoder::with_precision(&base, weights, precision, device)?;
        let data = lists::synthetic(&base, tokens, SEED);
        let batch = data.sequences.iter().map(Vec::as_slice).collect();
        let config = TrainConfig { recompute, ..TrainConfig::default() };
        let ours = wgsl::runs_on(device);
        // Elsewhere weights are rounded, but kept in full.
        let precision = if ours { precision } else { Precision::F32 };
        // burn's operations do not read weights of fewer bits.
        let compare = ours && precision == Precision::F32;
        Ok(Self {
            base,
            encoder,
            lora,
            adapter,
            merged: None,
            data,
            batch,
            config,
            clock,
            seconds,
            compare,
        })
    }

    /// The adapter that is trained and scored with.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Its settings.
    #[must_use]
    pub fn lora(&self) -> &LoraConfig {
        &self.lora
    }

    /// Lists of the batch.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.data.lists.len()
    }

    /// Sizes of the batch.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes { tokens: self.batch.len(), sequences: self.batch.sequences() }
    }
}
