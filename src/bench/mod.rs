//! Benchmarks of a device: the speed of the model, compared with the device's peak.
//!
//! [`Bench`] has a base, an adapter and a batch of synthetic lists. It measures the device's own rates, a
//! training step and a rescoring pass, and single operations, and compares each with the work that was counted
//! while it ran: see [`record`](crate::ops::record). The caller provides the clock.
//!
//! | file | what |
//! |---|---|
//! | `shape` | bases with random weights in the shapes of known ones |
//! | `lists` | synthetic lists |
//! | `timing` | repetitions and timing |
//! | `direct` | a device's own speed, without burn's runtime |
//! | `rates` | the rates with which everything is compared |
//! | `steps` | a training step and a rescoring pass |
//! | `sweep`, `row` | floors, variants of products and steps over many sizes, and their results |
//! | `predict` | a model of a step's time on other devices |
//! | `stamps` | the device's own time for every launch |
//! | `kernels` | single operations |
//! | `launches`, `device_calls` | the host's work for a step, and calls of the graphics library |
//! | `report` | results |

mod device_calls;
mod direct;
mod error;
mod kernels;
mod launches;
mod lists;
mod predict;
mod rates;
mod report;
mod row;
mod shape;
mod stamps;
mod steps;
mod sweep;
mod timing;

#[cfg(test)]
mod tests;

pub use device_calls::DeviceCalls;
pub use direct::Direct;
pub use error::BenchError;
pub use kernels::Step;
pub use launches::{HostReport, HostWork};
pub use report::{Compared, KernelReport, Measured, Rates, Timed};
pub use row::{KernelTime, Prediction, Row, StepRow};
pub use shape::{Shape, random_weights};
pub use sweep::{Sweep, SweepInputs, floors, tiles};
pub use timing::{Clock, Timing};

use burn::tensor::Device;

use crate::base::{BaseWeights, BertConfig};
use crate::methods::LoraConfig;
use crate::model::{Adapter, Encoder, PackedBatch, TrainableTensors};
use crate::ops::{Precision, wgsl};
use crate::train::{TrainConfig, TrainData};
use rates::Composed;

/// Seed of all random values, so that two runs compute with the same values.
const SEED: u64 = 7;

/// Settings of a benchmark.
pub struct BenchInputs<'a> {
    /// Shape of the base.
    pub base: BertConfig,
    /// Its tensors, which are moved out.
    pub weights: &'a mut BaseWeights,
    /// The adapter.
    pub lora: LoraConfig,
    /// Precision of the base's linear layers.
    pub precision: Precision,
    /// Approximate number of tokens in the batch.
    pub tokens: usize,
    /// Whether training uses gradient checkpointing.
    pub recompute: bool,
    /// The device.
    pub device: &'a Device,
    /// The same device without burn's runtime, if it has one: for its own rates.
    pub direct: Option<Direct>,
    /// Duration of a measurement, in seconds.
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
    /// The trainable tensors that are not merged into the encoder.
    merged: Option<TrainableTensors>,
    data: TrainData,
    batch: PackedBatch,
    config: TrainConfig,
    direct: Option<Direct>,
    clock: Clock<'a>,
    seconds: f64,
    /// Whether burn's own operations are measured for comparison, on the same base.
    compare: bool,
}

impl<'a> Bench<'a> {
    /// Copies the base to the device and creates the lists.
    ///
    /// # Errors
    /// [`BenchError::Model`] if a tensor of the base is invalid or the adapter does not fit it.
    pub fn new(inputs: BenchInputs<'_>, clock: Clock<'a>) -> Result<Self, BenchError> {
        let BenchInputs { base, weights, lora, precision, tokens, recompute, .. } = inputs;
        let (device, direct, seconds) = (inputs.device, inputs.direct, inputs.seconds);
        let adapter = Adapter::init(&base, lora.clone(), SEED)?;
        let encoder = Encoder::with_precision(&base, weights, precision, device)?;
        let data = lists::synthetic(&base, tokens, SEED);
        let batch = data.sequences.iter().map(Vec::as_slice).collect();
        let config = TrainConfig { recompute, ..TrainConfig::default() };
        let ours = wgsl::runs_on(device);
        // On other devices, weights are rounded but stored as f32.
        let precision = if ours { precision } else { Precision::F32 };
        // burn's operations do not read f16 or int8 weights.
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
            direct,
            clock,
            seconds,
            compare,
        })
    }

    /// The adapter for training and scoring.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Its settings.
    #[must_use]
    pub fn lora(&self) -> &LoraConfig {
        &self.lora
    }

    /// Number of lists in the batch.
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
