//! Measurements over many sizes.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};

use super::direct::{Direct, Product, Products};
use super::row::{Row, StepRow};
use super::stamps::{DeviceTimes, Stamped};
use super::timing::{self, Clock, Timing};
use super::{Bench, BenchError, SEED, lists};
use crate::base::BertConfig;
use crate::model::read;
use crate::ops::record::{Cost, Recording};
use crate::ops::{self, Activation, FrozenLinear, LoraPlan, Precision, Weights, wgsl};

/// What varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Nothing: the least that launches, uploads and reads cost, and the device's own rates.
    Floor,
    /// Variants of the matrix products, and their sizes.
    Tiles,
    /// Tokens of a batch, for training and rescoring.
    Steps,
    /// The same, predicted for known devices and for this one.
    Predictions,
}

impl Sweep {
    const NAMES: [(&'static str, Self); 4] = [
        ("floor", Self::Floor),
        ("tiles", Self::Tiles),
        ("steps", Self::Steps),
        ("predictions", Self::Predictions),
    ];

    /// The sizes that are measured unless others are requested, those first that say the most.
    #[must_use]
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Self::Floor => &[],
            Self::Tiles => &[4096, 1024, 256, 16_384, 60, 1226],
            Self::Steps | Self::Predictions => &[4096, 1024, 512, 16_384],
        }
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, sweep)| sweep == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, sweep)| *sweep);
        found.ok_or_else(|| {
            format!("unknown sweep {name:?}; use floor, tiles, steps or predictions")
        })
    }
}

/// How a sweep is measured.
#[derive(Clone, Copy)]
pub struct SweepInputs<'a> {
    /// The clock.
    pub clock: Clock<'a>,
    /// Duration of a measurement, in seconds; single kernels take a fiftieth.
    pub seconds: f64,
    /// Sizes: rows of the products, or tokens of a batch.
    pub sizes: &'a [usize],
    /// Seconds after which nothing new is measured.
    pub limit: f64,
}

/// When a sweep ends.
struct Deadline<'a> {
    clock: Clock<'a>,
    end: f64,
}

impl<'a> Deadline<'a> {
    fn new(inputs: SweepInputs<'a>) -> Self {
        Self { clock: inputs.clock, end: (inputs.clock)() + inputs.limit }
    }

    /// Whether there is time for another measurement; otherwise it is reported as left out.
    fn allows(&self, what: impl FnOnce() -> String, found: &mut dyn FnMut(Row)) -> bool {
        let allowed = (self.clock)() < self.end;
        if !allowed {
            found(Row::LeftOut { what: what(), why: "the time limit was reached".to_owned() });
        }
        allowed
    }
}

/// Measures the floors and the rates of a device.
///
/// # Errors
/// [`BenchError`] if the device fails.
pub async fn floors(
    direct: &Direct,
    inputs: SweepInputs<'_>,
    found: &mut dyn FnMut(Row),
) -> Result<(), BenchError> {
    let SweepInputs { clock, seconds, .. } = inputs;
    direct.floors(clock, seconds, found).await?;
    let peak = direct.peak(clock, seconds).await?;
    found(Row::Peak { gflop_s: peak.gflop_s, fused: peak.fused });
    found(Row::Copy { gb_s: peak.copy_gb_s });
    Ok(())
}

/// Times every variant of the products at every size, for the layers of a base that are all adapted at `rank`.
///
/// # Errors
/// [`BenchError`] if the device fails.
pub async fn tiles(
    direct: &Direct,
    device: &Device,
    (base, rank): (&BertConfig, usize),
    inputs: SweepInputs<'_>,
    found: &mut dyn FnMut(Row),
) -> Result<(), BenchError> {
    let SweepInputs { clock, seconds, sizes, .. } = inputs;
    let deadline = Deadline::new(inputs);
    let all = sizes.iter().flat_map(|&rows| Product::of(base, rows as u32, rank as u32));
    let (fitting, large): (Vec<_>, Vec<_>) =
        all.partition(|product| Products::fits(direct, *product));
    for product in large {
        let why = "the device cannot bind its tensors".to_owned();
        found(Row::LeftOut { what: name(product), why });
    }
    let products = Products::new(direct, &fitting).await?;
    for product in fitting {
        if deadline.allows(|| name(product), found) {
            let chosen = launched(device, product).await?;
            let chosen = |variant: &str| chosen.contains(&variant);
            products.time(clock, seconds, product, &chosen, found).await?;
        }
    }
    Ok(())
}

fn name(product: Product) -> String {
    format!("[{}, {} -> {}]", product.rows, product.inputs, product.outputs())
}

/// The variants that LoRB's operations launch for a layer, both ways, without and with a low-rank term.
async fn launched(device: &Device, product: Product) -> Result<Vec<&'static str>, BenchError> {
    let [rows, inputs, width, blocks, rank] =
        [product.rows, product.inputs, product.width, product.blocks, product.rank]
            .map(|size| size as usize);
    let outputs = width * blocks;
    let values = vec![0.01f32; outputs * inputs];
    let weight = Weights::new(&values, [outputs, inputs], Precision::F32, device);
    let bias = Tensor::<1>::zeros([outputs], device);
    let plan = LoraPlan { adapted: (0..blocks).collect(), width, rank, scale: 1.0 };
    let factors = Tensor::<1>::full([rank * (blocks * inputs + outputs)], 0.01, device);
    let frozen = FrozenLinear { weight: &weight, bias: &bias, activation: Activation::Identity };
    let x = || Tensor::<2>::full([rows, inputs], 0.01, device).autodiff().require_grad();
    let run = async || {
        for adapted in [false, true] {
            let x = x();
            let y = if adapted {
                let factors = factors.clone().autodiff().require_grad();
                ops::lora_linear(x.clone(), frozen, &factors, &plan)
            } else {
                ops::linear(x.clone(), &weight, &bias, Activation::Identity)
            };
            let gradients = y.into_values().sum().backward();
            if let Some(gradient) = x.grad(&gradients) {
                // Waits, so that the next measurement has the device for itself.
                read(gradient.slice([0..1, 0..1]).reshape([1])).await?;
            }
        }
        Ok::<_, BenchError>(())
    };
    // The first time, a device may try several.
    run().await?;
    drop(wgsl::launched());
    run().await?;
    Ok(wgsl::launched().into_iter().collect())
}

/// Batches of a training run, so that its sizes differ as a user's do.
const BATCHES: usize = 4;

/// Tokens and sequences of a step.
type Computed = (usize, usize);

/// Seconds, tokens and sequences of a step.
type Timed = (f64, usize, usize);

/// Steps over at least half of the tokens of the largest: the last batch of an epoch has what is left.
fn full(steps: &[Timed]) -> Vec<Timed> {
    let most = steps.iter().map(|step| step.1).max().unwrap_or(0);
    steps.iter().copied().filter(|step| 2 * step.1 >= most).collect()
}

impl Bench<'_> {
    /// Times steps of a training run, then rescoring passes, at every size.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails, or if rescoring was measured before.
    pub async fn steps(
        &mut self,
        inputs: SweepInputs<'_>,
        found: &mut dyn FnMut(Row),
    ) -> Result<(), BenchError> {
        self.check_unmerged()?;
        let deadline = Deadline::new(inputs);
        for &tokens in inputs.sizes {
            if deadline.allows(|| format!("training, {tokens} tokens"), found) {
                self.resize(tokens);
                let row = self.step(("training", tokens), inputs, self.trained(BATCHES)).await?;
                found(Row::Step(Box::new(row)));
            }
        }
        self.merge();
        for &tokens in inputs.sizes {
            if deadline.allows(|| format!("rescoring, {tokens} tokens"), found) {
                self.resize(tokens);
                let sizes = (self.sizes().tokens, self.sizes().sequences);
                let mut pass = self.rescoring_pass();
                let pass = async || pass().await.map(|()| sizes);
                let row = self.step(("rescoring", tokens), inputs, pass).await?;
                found(Row::Step(Box::new(row)));
            }
        }
        Ok(())
    }

    /// Makes a batch of another size.
    pub(super) fn resize(&mut self, tokens: usize) {
        self.data = lists::synthetic(&self.base, tokens, SEED);
        self.batch = self.data.sequences.iter().map(Vec::as_slice).collect();
        self.encoder.device().memory_cleanup();
    }

    async fn step(
        &self,
        (step, batch_tokens): (&'static str, usize),
        inputs: SweepInputs<'_>,
        mut run: impl AsyncFnMut() -> Result<Computed, BenchError>,
    ) -> Result<StepRow, BenchError> {
        let recording = Recording::begin(false);
        let mut counted = (0, 0);
        for _ in 0..timing::WARM_UP {
            let (tokens, sequences) = run().await?;
            counted = (counted.0 + tokens, counted.1 + sequences);
        }
        let cost: Cost =
            recording.end().iter().map(|ran| ran.operation.cost.times(ran.count)).sum();
        let mut seen = Vec::new();
        let full = loop {
            let start = (inputs.clock)();
            let (tokens, sequences) = run().await?;
            seen.push(((inputs.clock)() - start, tokens, sequences));
            let full = full(&seen);
            let taken: f64 = full.iter().map(|(seconds, ..)| seconds).sum();
            if full.len() >= timing::LEAST_REPEATS && taken >= inputs.seconds {
                break full;
            }
        };
        let time = Timing::of(full.iter().map(|(seconds, ..)| *seconds).collect(), 1);
        let mean = |of: fn(&Timed) -> usize| {
            full.iter().map(|step| of(step) as f64).sum::<f64>() / full.len() as f64
        };
        let (tokens, hypotheses) = (mean(|step| step.1), mean(|step| step.2));
        // Of two, because one may be the last batch of an epoch.
        let (one, other) = (self.stamped(&mut run).await?, self.stamped(&mut run).await?);
        let device = if one.milliseconds() > other.milliseconds() { one } else { other };
        // The timed steps have about as many tokens as the counted ones.
        let share = tokens / counted.0 as f64;
        let (gflop, gb) = (share * cost.flops as f64 / 1e9, share * cost.bytes as f64 / 1e9);
        Ok(StepRow {
            step,
            batch_tokens,
            tokens,
            hypotheses,
            milliseconds: 1e3 * time.seconds,
            least_milliseconds: 1e3 * time.least,
            repeats: time.repeats,
            gflop,
            gb,
            gflop_s: gflop / time.seconds,
            launches: device.launches,
            device_milliseconds: device.milliseconds(),
            kernels: device.kernels.unwrap_or_default(),
        })
    }

    async fn stamped(
        &self,
        run: &mut impl AsyncFnMut() -> Result<Computed, BenchError>,
    ) -> Result<DeviceTimes, BenchError> {
        let stamped = Stamped::begin(&self.encoder.device());
        run().await?;
        Ok(stamped.end().await)
    }
}
