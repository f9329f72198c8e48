//! A training step and a rescoring pass.

use burn::tensor::Tensor;

use super::rates::Composed;
use super::report::{Compared, Measured, Rates, Timed};
use super::timing::{self, Timing, WARM_UP};
use super::{Bench, BenchError};
use crate::model::{TrainableTensors, read, score_sequences};
use crate::ops::record::{Cost, Recording};
use crate::ops::{end_to_end, square_sums, wgsl};
use crate::train::{self, AdamW, Moments, Pass, TrainedModel};

/// Learning rate of the steps: small, so that many of them change little.
const RATE: f64 = 1e-5;

/// A step's time, and other measurements of it.
struct Seen {
    timing: Timing,
    cost: Cost,
    dispatches: u64,
    device_bytes: Option<u64>,
}

impl Bench<'_> {
    /// Times training steps: forward, MWER, backward, clipping and AdamW, until the loss is read.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails or returns a non-finite value.
    pub async fn training(&self, rates: &Rates) -> Result<Compared, BenchError> {
        self.check_unmerged()?;
        let (lorb, composed) = self.both(self.training_step(), self.training_step()).await?;
        Ok(self.compared(rates, &lorb, composed.as_ref()))
    }

    /// Times rescoring passes over the batch, until its scores are read, with the adapter merged into the
    /// base: training cannot be measured after it.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails or returns a non-finite value.
    pub async fn rescoring(&mut self, rates: &Rates) -> Result<Compared, BenchError> {
        self.merge();
        let (lorb, composed) = self.both(self.rescoring_pass(), self.rescoring_pass()).await?;
        Ok(self.compared(rates, &lorb, composed.as_ref()))
    }

    /// Training needs the adapter beside the base.
    pub(super) fn check_unmerged(&self) -> Result<(), BenchError> {
        if self.merged.is_some() { Err(BenchError::Merged) } else { Ok(()) }
    }

    /// Merges the adapter into the base, unless it is merged already.
    pub(super) fn merge(&mut self) {
        if self.merged.is_none() {
            let trainable =
                TrainableTensors::new(&self.base, &self.adapter, &self.encoder.device());
            let (encoder, trainable) = self.encoder.clone().merged(trainable);
            (self.encoder, self.merged) = (encoder, Some(trainable));
        }
    }

    pub(super) fn training_step(&self) -> impl AsyncFnMut() -> Result<(), BenchError> {
        let device = self.encoder.device();
        let model = TrainedModel {
            encoder: &self.encoder,
            base: &self.base,
            method: &self.adapter.method,
            config: &self.config,
        };
        let pass = Pass { model, data: &self.data };
        let lists: Vec<usize> = (0..self.lists()).collect();
        let optimizer = AdamW::new(self.config.weight_decay, self.config.clip_norm);
        let start = self.adapter.parameters.as_slice();
        let mut parameters = Tensor::<1>::from_floats(start, &device);
        let mut moments = Moments::zeros(start.len(), &device);
        async move || {
            let next = moments.next(optimizer, RATE);
            let parts = pass.run(&parameters, &lists, lists.len(), None, Some(&next))?;
            let updated = train::step(next, parameters.clone(), parts.gradient, moments.clone());
            (parameters, moments) = (updated.parameters, updated.moments);
            let size = square_sums(parameters.clone());
            let numbers = read(end_to_end(vec![parts.ranking, updated.norm, size])).await?;
            match numbers.iter().find(|number| !number.is_finite()) {
                Some(&value) => Err(BenchError::NotFinite { what: "a training step", value }),
                None => Ok(()),
            }
        }
    }

    pub(super) fn rescoring_pass(&self) -> impl AsyncFnMut() -> Result<(), BenchError> {
        let Some(trainable) = &self.merged else { unreachable!("merged by the caller") };
        let (sequences, tokens) = (&self.data.sequences, self.sizes().tokens);
        async move || {
            score_sequences(&self.encoder, trainable, sequences, tokens, |_| ()).await?;
            Ok(())
        }
    }

    /// Times a step of LoRB. If the two are compared, alternates with the same step composed of burn's
    /// own operations.
    async fn both(
        &self,
        mut ours: impl AsyncFnMut() -> Result<(), BenchError>,
        mut composed: impl AsyncFnMut() -> Result<(), BenchError>,
    ) -> Result<(Seen, Option<Seen>), BenchError> {
        let first = self.warm(&mut ours).await?;
        if !self.compare {
            let timing = timing::steps(self.clock, self.seconds, ours).await?;
            return Ok((Seen { timing, ..first }, None));
        }
        let mut composed = async || {
            let _composed = Composed::begin();
            composed().await
        };
        let second = self.warm(&mut composed).await?;
        let (one, other) = timing::in_turn(self.clock, self.seconds, ours, composed).await?;
        Ok((Seen { timing: one, ..first }, Some(Seen { timing: other, ..second })))
    }

    /// Runs the warm-up of a step, starting from empty device memory.
    async fn warm(
        &self,
        step: &mut impl AsyncFnMut() -> Result<(), BenchError>,
    ) -> Result<Seen, BenchError> {
        let device = self.encoder.device();
        device.memory_cleanup();
        let (mut dispatches, mut device_bytes, start) = (0, None, (self.clock)());
        let mut cost = Cost::default();
        for _ in 0..WARM_UP {
            let before = wgsl::dispatches();
            let recording = Recording::begin(false);
            step().await?;
            dispatches = wgsl::dispatches() - before;
            cost = recording.end().iter().map(|ran| ran.operation.cost.times(ran.count)).sum();
            let held = device.memory_pool_usage().map(|usage| usage.bytes_reserved);
            device_bytes = device_bytes.max(held);
        }
        let seconds = ((self.clock)() - start) / WARM_UP as f64;
        Ok(Seen {
            timing: Timing { seconds, least: seconds, repeats: 0 },
            cost,
            dispatches,
            device_bytes,
        })
    }

    /// Either is compared with the work of LoRB's own step.
    fn compared(&self, rates: &Rates, lorb: &Seen, composed: Option<&Seen>) -> Compared {
        let (sizes, cost) = (self.sizes(), lorb.cost);
        let measured = |seen: &Seen| Measured {
            timed: Timed::new(seen.timing, cost, rates),
            hypotheses_s: sizes.sequences as f64 / seen.timing.seconds,
            tokens_s: sizes.tokens as f64 / seen.timing.seconds,
            dispatches: seen.dispatches,
            device_bytes: seen.device_bytes,
        };
        Compared {
            flops: cost.flops,
            bytes: cost.bytes,
            lorb: measured(lorb),
            composed: composed.map(measured),
            composed_over_lorb: composed.map(|seen| seen.timing.seconds / lorb.timing.seconds),
        }
    }
}
