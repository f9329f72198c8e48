//! What a sweep measures, row by row, so that a sweep that is stopped loses only what it has not measured.

use std::collections::BTreeMap;

use serde::Serialize;

/// A measurement. In JSON it is an object whose `row` is the name of the variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// An empty launch, among many.
    Launch {
        /// Launches in a submission.
        per_submit: usize,
        /// Whether each has parameters and a bind group of its own.
        new_parameters: bool,
        /// The median by the host's clock, per launch.
        microseconds: f64,
        /// The minimum.
        least_microseconds: f64,
        /// By the device's timestamps, if it has them.
        #[serde(skip_serializing_if = "Option::is_none")]
        device_microseconds: Option<f64>,
    },
    /// An upload, until the device has finished it.
    Upload {
        /// Its size.
        bytes: u64,
        /// The median.
        microseconds: f64,
        /// Its rate, in 1e9 bytes per second.
        gb_s: f64,
    },
    /// A read of one number: copy, submission and mapping.
    Read {
        /// The median.
        microseconds: f64,
        /// The minimum.
        least_microseconds: f64,
    },
    /// Multiply-adds in registers, of two operations each.
    Peak {
        /// Floating-point operations, in 1e9 per second.
        gflop_s: f64,
        /// Whether the function `fma` was faster than a product and a sum.
        fused: bool,
    },
    /// A copy of a large buffer.
    Copy {
        /// Bytes read and written, in 1e9 per second.
        gb_s: f64,
    },
    /// A variant of a matrix product at one size.
    Product {
        /// Name of the kernel.
        kernel: &'static str,
        /// Name of the variant.
        variant: &'static str,
        /// Rows of the input.
        rows: u32,
        /// Its columns.
        inputs: u32,
        /// Columns of the output.
        outputs: u32,
        /// The median by the host's clock, per launch.
        microseconds: f64,
        /// By the device's timestamps, if it has them.
        #[serde(skip_serializing_if = "Option::is_none")]
        device_microseconds: Option<f64>,
        /// Operations of the product without its low-rank term, in 1e9 per second of the device's time, or of the host's.
        gflop_s: f64,
        /// Whether LoRB uses this variant at this size.
        chosen: bool,
    },
    /// A step of a training run, or a rescoring pass.
    Step(Box<StepRow>),
    /// A device whose times are predicted, and where its figures are from.
    Assumed {
        /// Its name.
        device: String,
        /// The source of its figures.
        source: String,
    },
    /// A predicted training step or rescoring pass.
    Prediction(Box<Prediction>),
    /// What was not measured.
    LeftOut {
        /// Which measurement.
        what: String,
        /// The reason.
        why: String,
    },
}

/// A step of a training run, or a rescoring pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRow {
    /// `training` or `rescoring`.
    pub step: &'static str,
    /// Requested tokens of a batch.
    pub batch_tokens: usize,
    /// Tokens of a timed step, the mean.
    pub tokens: f64,
    /// Sequences of a timed step, the mean.
    pub hypotheses: f64,
    /// The median by the host's clock, in milliseconds.
    pub milliseconds: f64,
    /// The minimum.
    pub least_milliseconds: f64,
    /// Number of timings.
    pub repeats: usize,
    /// Counted floating-point operations of a step, in 1e9.
    pub gflop: f64,
    /// Counted bytes of a step, in 1e9.
    pub gb: f64,
    /// The operations in 1e9 per second.
    pub gflop_s: f64,
    /// Launches of one of these steps, LoRB's and burn's.
    pub launches: f64,
    /// Sum of the device's own times of these launches, in milliseconds, if it has timestamps. The rest of a step's time is
    /// the host's: launching, uploading, waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_milliseconds: Option<f64>,
    /// The same by kernel: launches of a step and milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<&'static str, KernelTime>,
}

/// A kernel's share of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct KernelTime {
    /// Launches of a step.
    pub launches: usize,
    /// Their time by the device's timestamps.
    pub milliseconds: f64,
}

/// A predicted training step or rescoring pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// `training` or `rescoring`.
    pub step: &'static str,
    /// The device.
    pub device: String,
    /// Tokens of the batch.
    pub tokens: f64,
    /// Time of the step.
    pub milliseconds: f64,
    /// The same in a browser, where a launch costs the host more; not for this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_milliseconds: Option<f64>,
    /// Of which the device computes.
    pub device_milliseconds: f64,
    /// What the host needs for the launches, at the same time.
    pub host_milliseconds: f64,
    /// Floating-point operations of the step, in 1e9.
    pub gflop: f64,
    /// Its bytes, in 1e9.
    pub gb: f64,
    /// Its launches.
    pub launches: f64,
}
