//! Results of a benchmark.

use serde::Serialize;

use super::timing::Timing;
use crate::ops::record::Cost;

/// The device's own rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Bytes read and written by copying a large buffer (on the CPU path, by adding large tensors), in 1e9 per second.
    pub copy_gb_s: f64,
    /// Floating-point operations of multiply-adds in registers, in 1e9 per second. On the CPU path, the best product.
    pub peak_gflop_s: f64,
    /// Those of a large linear layer with LoRB's own products.
    #[serde(rename = "product_lorb_gflop_s")]
    pub product_lorb: f64,
    /// With burn's, if both run on the device.
    #[serde(rename = "product_composed_gflop_s", skip_serializing_if = "Option::is_none")]
    pub product_composed: Option<f64>,
}

/// The time of an operation, with its counted work and the device's rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Median, in seconds.
    pub seconds: f64,
    /// Number of timings.
    pub repeats: usize,
    /// Floating-point operations, in 1e9 per second.
    pub gflop_s: f64,
    /// Fraction of the device's peak.
    pub share_of_peak: f64,
    /// Counted bytes, in 1e9 per second.
    pub gb_s: f64,
    /// Fraction of the device's copy bandwidth.
    pub share_of_copy: f64,
}

impl Timed {
    pub(super) fn new(timing: Timing, cost: Cost, rates: &Rates) -> Self {
        let rate = |work: u64| work as f64 / timing.seconds / 1e9;
        let (gflop_s, gb_s) = (rate(cost.flops), rate(cost.bytes));
        Self {
            seconds: timing.seconds,
            repeats: timing.repeats,
            gflop_s,
            share_of_peak: gflop_s / rates.peak_gflop_s,
            gb_s,
            share_of_copy: gb_s / rates.copy_gb_s,
        }
    }
}

/// A training step or a rescoring pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Its time and rates.
    #[serde(flatten)]
    pub timed: Timed,
    /// Hypotheses per second.
    pub hypotheses_s: f64,
    /// Tokens per second.
    pub tokens_s: f64,
    /// Number of LoRB's kernels that one pass launches.
    pub dispatches: u64,
    /// Peak bytes of the device's allocator, including base and adapter; absent if the device does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<u64>,
}

/// The same on LoRB's operations and on burn's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Counted floating-point operations.
    pub flops: u64,
    /// Counted bytes.
    pub bytes: u64,
    /// On LoRB's operations.
    pub lorb: Measured,
    /// With the model composed of burn's operations, if both run on the device; loss and optimiser are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composed: Option<Measured>,
    /// Time of the latter divided by that of the former.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composed_over_lorb: Option<f64>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelReport {
    /// The operation and its sizes.
    pub name: String,
    /// Number of runs per training step.
    pub in_training: usize,
    /// Number of runs per rescoring pass.
    pub in_rescoring: usize,
    /// Counted floating-point operations.
    pub flops: u64,
    /// Counted bytes.
    pub bytes: u64,
    /// On LoRB's operations.
    pub lorb: Timed,
    /// Composed of burn's operations, if both run on the device and both have the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composed: Option<Timed>,
    /// Time of the latter divided by that of the former.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composed_over_lorb: Option<f64>,
}

impl KernelReport {
    pub(super) fn cost(&self) -> Cost {
        Cost { flops: self.flops, bytes: self.bytes }
    }
}
