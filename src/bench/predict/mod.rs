//! A model of a step's time: what is counted of a step, at the rates of a device.
//!
//! ```text
//! step     = read + max(device, host)
//! device   = sum of the operations + launches * launch
//! host     = launches * host
//! product  = max((FLOPs + half a wave of tiles) / (peak * product share), bytes / (copy rate * copy share))
//! others   = max(FLOPs / (peak * share), bytes / (copy rate * copy share))
//! ```
//!
//! The operations with their FLOPs and bytes are those that a real step records, and the launches are those of a step of a
//! training run. Both are counted at two sizes of a batch; between and beyond them, work grows in proportion to tokens. The
//! shares of other devices are assumptions (`devices.json`); those of this device are measured at one size. A wave is as
//! many tiles as a device computes at the same time, and on average half of the last one is idle.

use serde::Deserialize;

use super::direct::Peak;
use super::launches::Counting;
use super::row::{Prediction, Row};
use super::sweep::SweepInputs;
use super::{Bench, BenchError};
use crate::ops::record::{Cost, Ran, Recording};
use crate::ops::wgsl::Emptied;

/// The devices whose times are predicted.
const DEVICES: &str = include_str!("devices.json");

/// Tokens of the batches whose work is counted; the first is also the size at which this device's shares are measured.
const COUNTED: [usize; 2] = [512, 1024];

/// Steps of a training run in which launches are counted: it copies its state to the host in one of eight.
const STEPS: usize = 8;

/// Tiles of 64 by 64 that a processor of a GPU computes at the same time.
const TILES_AT_ONCE: f64 = 6.0;

/// Floating-point operations of such a tile, in 1e9, with 768 inner indices.
const TILE_GFLOP: f64 = 2.0 * 64.0 * 64.0 * 768.0 / 1e9;

/// What the model knows about a device.
#[derive(Clone, Debug, Deserialize)]
struct Device {
    name: String,
    /// Highest rate of multiply-adds.
    gflop_s: f64,
    /// Highest rate of copies.
    copy_gb_s: f64,
    /// Processors that each compute some tiles; 0 if half-empty waves are part of the share.
    processors: f64,
    /// Share of the peak that products reach.
    product_share: f64,
    attention_share: f64,
    /// Of the gradients by the factors.
    factors_share: f64,
    /// Share of the copy rate that operations reach which only move memory.
    copy_share: f64,
    /// What a launch costs the device, in microseconds.
    launch_us: f64,
    /// What it costs the host.
    host_us: f64,
    /// The same in a browser.
    #[serde(default)]
    browser_host_us: Option<f64>,
    /// A read after the step's work.
    read_us: f64,
    /// Where the figures are from.
    source: String,
}

/// Which rate limits an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Product,
    Attention,
    Factors,
    Memory,
}

impl Class {
    fn of(kind: &str) -> Self {
        match kind {
            "linear, by factors" => Self::Factors,
            kind if kind.starts_with("linear") => Self::Product,
            kind if kind.starts_with("attention") => Self::Attention,
            _ => Self::Memory,
        }
    }
}

/// An operation of a step, at both sizes.
#[derive(Clone, Debug)]
struct Counted {
    class: Class,
    count: f64,
    costs: [Cost; 2],
}

/// The work of a step.
#[derive(Clone, Debug)]
struct Work {
    step: &'static str,
    tokens: [f64; 2],
    operations: Vec<Counted>,
    launches: f64,
}

impl Work {
    /// The work at both sizes together, if they run the same operations.
    fn new(
        step: &'static str,
        tokens: [usize; 2],
        [few, many]: [Vec<Ran>; 2],
        launches: f64,
    ) -> Result<Self, BenchError> {
        let same = few.len() == many.len()
            && few
                .iter()
                .zip(&many)
                .all(|(a, b)| a.operation.kind == b.operation.kind && a.count == b.count);
        if !same {
            return Err(BenchError::Uneven);
        }
        let operations = few.iter().zip(&many).map(|(a, b)| Counted {
            class: Class::of(a.operation.kind),
            count: a.count as f64,
            costs: [a.operation.cost, b.operation.cost],
        });
        let tokens = tokens.map(|tokens| tokens as f64);
        Ok(Self { step, tokens, operations: operations.collect(), launches })
    }

    /// FLOPs and bytes of an operation for a number of tokens, in 1e9.
    fn at(&self, tokens: f64, costs: [Cost; 2]) -> [f64; 2] {
        let [from, to] = self.tokens;
        let along = (tokens - from) / (to - from);
        let between = |[a, b]: [u64; 2]| (a as f64 + along * (b as f64 - a as f64)) / 1e9;
        [between(costs.map(|cost| cost.flops)), between(costs.map(|cost| cost.bytes))]
    }

    /// The step's time on a device, for a number of tokens.
    fn predict(&self, device: &Device, tokens: f64) -> Prediction {
        let idle = TILES_AT_ONCE * device.processors * TILE_GFLOP / 2.0;
        let (mut seconds, mut gflop, mut gb) = (0.0, 0.0, 0.0);
        for operation in &self.operations {
            let [flops, bytes] = self.at(tokens, operation.costs);
            let (share, idle) = match operation.class {
                Class::Product => (device.product_share, idle),
                Class::Attention => (device.attention_share, 0.0),
                Class::Factors => (device.factors_share, 0.0),
                Class::Memory => (1.0, 0.0),
            };
            let compute = (flops + idle) / (device.gflop_s * share);
            let memory = bytes / (device.copy_gb_s * device.copy_share);
            seconds += operation.count * compute.max(memory);
            gflop += operation.count * flops;
            gb += operation.count * bytes;
        }
        let on_device = 1e3 * seconds + 1e-3 * self.launches * device.launch_us;
        let on_host = |us: f64| 1e-3 * self.launches * us;
        let whole = |us: f64| 1e-3 * device.read_us + on_device.max(on_host(us));
        Prediction {
            step: self.step,
            device: device.name.clone(),
            tokens,
            milliseconds: whole(device.host_us),
            browser_milliseconds: device.browser_host_us.map(whole),
            device_milliseconds: on_device,
            host_milliseconds: on_host(device.host_us),
            gflop,
            gb,
            launches: self.launches,
        }
    }
}

/// Sums of measured operations by class.
#[derive(Default)]
struct Measured([f64; 4], [f64; 4], [f64; 4]);

impl Measured {
    fn add(&mut self, class: Class, cost: Cost, seconds: f64) {
        let at = class as usize;
        self.0[at] += cost.flops as f64 / 1e9;
        self.1[at] += cost.bytes as f64 / 1e9;
        self.2[at] += seconds;
    }

    fn gflop_s(&self, class: Class) -> f64 {
        self.0[class as usize] / self.2[class as usize].max(f64::MIN_POSITIVE)
    }

    fn gb_s(&self, class: Class) -> f64 {
        self.1[class as usize] / self.2[class as usize].max(f64::MIN_POSITIVE)
    }
}

impl Bench<'_> {
    /// Predicts training steps and rescoring passes on known devices and on this one, and passes each to `found`. Rescoring
    /// merges the adapter, so training cannot be measured after it.
    ///
    /// # Errors
    /// [`BenchError::NoKernels`] if the device launches no kernels, [`BenchError`] if it fails.
    pub async fn predictions(
        &mut self,
        inputs: SweepInputs<'_>,
        found: &mut dyn FnMut(Row),
    ) -> Result<(), BenchError> {
        self.check_unmerged()?;
        let Some(direct) = self.direct.clone() else { return Err(BenchError::NoKernels) };
        let mut devices = known_devices();
        let peak = direct.peak(inputs.clock, inputs.seconds).await?;
        let mut floors = Vec::new();
        direct.floors(inputs.clock, inputs.seconds, &mut |row| floors.push(row)).await?;
        let mut measured = Measured::default();
        let mut works = Vec::new();
        for step in ["training", "rescoring"] {
            if step == "rescoring" {
                self.merge();
            }
            works.push(self.counted(step).await?);
            self.calibrate(step, &mut measured).await?;
        }
        devices.push(this_device(peak, &floors, &measured));
        for device in &devices {
            found(Row::Assumed { device: device.name.clone(), source: device.source.clone() });
            for work in &works {
                for &tokens in inputs.sizes {
                    found(Row::Prediction(Box::new(work.predict(device, tokens as f64))));
                }
            }
        }
        Ok(())
    }

    /// Counts a step's work at two sizes; its kernels return at once.
    async fn counted(&mut self, step: &'static str) -> Result<Work, BenchError> {
        let _emptied = Emptied::begin();
        let (mut ran, mut tokens, mut launches) = (Vec::new(), Vec::new(), 0.0);
        for size in COUNTED {
            self.resize(size);
            tokens.push(self.sizes().tokens);
            let recording = Recording::begin(false);
            self.once(step).await?;
            ran.push(recording.end());
            launches = self.launches_of(step).await?;
        }
        let both = |all: Vec<Vec<Ran>>| <[_; 2]>::try_from(all).map_err(|_| BenchError::NoKernels);
        Work::new(step, [tokens[0], tokens[1]], both(ran)?, launches)
    }

    async fn once(&self, step: &str) -> Result<(), BenchError> {
        if step == "training" {
            let mut step = self.training_step();
            step().await
        } else {
            let mut pass = self.rescoring_pass();
            pass().await
        }
    }

    /// Launches of a step, LoRB's and burn's.
    async fn launches_of(&self, step: &str) -> Result<f64, BenchError> {
        let counting = Counting::begin();
        if step == "training" {
            let mut step = self.trained(STEPS);
            for _ in 0..STEPS {
                step().await?;
            }
            return Ok(counting.seen() as f64 / STEPS as f64);
        }
        self.once(step).await?;
        Ok(counting.seen() as f64)
    }

    /// Times each operation of a step by itself.
    async fn calibrate(&mut self, step: &str, measured: &mut Measured) -> Result<(), BenchError> {
        self.resize(COUNTED[0]);
        let recording = Recording::begin(true);
        self.once(step).await?;
        for ran in recording.end() {
            let time = self.time(&ran).await?;
            let cost = ran.operation.cost.times(ran.count);
            measured.add(Class::of(ran.operation.kind), cost, time.seconds * ran.count as f64);
        }
        self.encoder.device().memory_cleanup();
        Ok(())
    }
}

fn known_devices() -> Vec<Device> {
    serde_json::from_str(DEVICES).expect("a test reads them")
}

/// The device that the program runs on, from its floors, its rates and its times of single operations.
fn this_device(peak: Peak, floors: &[Row], measured: &Measured) -> Device {
    let launch = floors.iter().find_map(|row| match row {
        Row::Launch { per_submit: 32, new_parameters: true, microseconds, .. } => {
            Some(*microseconds)
        }
        _ => None,
    });
    let read = floors.iter().find_map(|row| match row {
        Row::Read { microseconds, .. } => Some(*microseconds),
        _ => None,
    });
    let share = |class| measured.gflop_s(class) / peak.gflop_s;
    Device {
        name: "this device".to_owned(),
        gflop_s: peak.gflop_s,
        copy_gb_s: peak.copy_gb_s,
        processors: 0.0,
        product_share: share(Class::Product),
        attention_share: share(Class::Attention),
        factors_share: share(Class::Factors),
        copy_share: measured.gb_s(Class::Memory) / peak.copy_gb_s,
        // Part of the measured operations.
        launch_us: 0.0,
        host_us: launch.unwrap_or_default(),
        browser_host_us: None,
        read_us: read.unwrap_or_default(),
        source: format!(
            "measured: {:.1} GFLOP/s, {:.1} GB/s; products reach {:.2} of the peak, attention {:.3}, gradients by factors \
             {:.3}, the others {:.2} of the copy rate at {} tokens",
            peak.gflop_s,
            peak.copy_gb_s,
            share(Class::Product),
            share(Class::Attention),
            share(Class::Factors),
            measured.gb_s(Class::Memory) / peak.copy_gb_s,
            COUNTED[0]
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            name: "a device".to_owned(),
            gflop_s: 1000.0,
            copy_gb_s: 100.0,
            processors: 0.0,
            product_share: 0.5,
            attention_share: 0.1,
            factors_share: 0.2,
            copy_share: 0.5,
            launch_us: 1.0,
            host_us: 10.0,
            browser_host_us: Some(1000.0),
            read_us: 100.0,
            source: String::new(),
        }
    }

    fn work() -> Work {
        let cost = |flops, bytes| Cost { flops, bytes };
        let counted = |class, count, costs| Counted { class, count, costs };
        Work {
            step: "training",
            tokens: [100.0, 200.0],
            operations: vec![
                counted(Class::Product, 2.0, [cost(1_000_000_000, 0), cost(2_000_000_000, 0)]),
                counted(Class::Memory, 1.0, [cost(0, 50_000_000), cost(0, 50_000_000)]),
            ],
            launches: 40.0,
        }
    }

    #[test]
    fn a_step_takes_its_read_and_the_longer_of_device_and_host() {
        let prediction = work().predict(&device(), 400.0);
        // Twice 4 GFLOP at 500 GFLOP/s, 50 MB at 50 GB/s, 40 launches of 1 us.
        assert!((prediction.device_milliseconds - (16.0 + 1.0 + 0.04)).abs() < 1e-9);
        assert!((prediction.milliseconds - 17.14).abs() < 1e-9, "{prediction:?}");
        assert!((prediction.gflop - 8.0).abs() < 1e-9 && (prediction.gb - 0.05).abs() < 1e-9);
        // In the browser, the host is slower than the device: 40 launches of 1 ms.
        assert!((prediction.browser_milliseconds.unwrap() - 40.1).abs() < 1e-9);
        // Half a wave of tiles.
        let large = Device { processors: 100.0, ..device() };
        let more = work().predict(&large, 400.0).device_milliseconds;
        let idle = 2.0 * 1e3 * (3.0 * 100.0 * TILE_GFLOP) / 500.0;
        assert!((more - prediction.device_milliseconds - idle).abs() < 1e-9);
    }

    #[test]
    fn the_devices_are_complete_and_plausible() {
        let devices = known_devices();
        assert!(devices.len() >= 4);
        for device in devices {
            let shares = [
                device.product_share,
                device.attention_share,
                device.factors_share,
                device.copy_share,
            ];
            assert!(shares.iter().all(|share| (0.01..1.0).contains(share)), "{device:?}");
            assert!(device.processors >= 1.0 && device.browser_host_us.unwrap() > device.host_us);
            assert!(device.source.len() > 20, "{device:?}");
        }
    }

    #[test]
    fn operations_have_classes() {
        for (kind, class) in [
            ("linear", Class::Product),
            ("linear, by input", Class::Product),
            ("linear, by factors", Class::Factors),
            ("attention, backward", Class::Attention),
            ("attention of [CLS]", Class::Attention),
            ("residual, LayerNorm", Class::Memory),
        ] {
            assert_eq!(Class::of(kind), class, "{kind}");
        }
    }
}
