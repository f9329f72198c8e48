//! A training step and a rescoring pass.

use burn::tensor::Tensor;

use super::cost::Cost;
use super::op::Op;
use super::rates::Composed;
use super::report::{Compared, Measured, Rates, Timed};
use super::timing::{self, Timing};
use super::{Bench, BenchError};
use crate::model::{Leaves, read, score_sequences};
use crate::ops::{end_to_end, wgsl};
use crate::train::{AdamW, Moments, Pass};

/// Learning rate of the steps: small, so that many of them change little.
const RATE: f64 = 1e-5;

/// A step's time, and what was seen beside it.
struct Seen {
    timing: Timing,
    dispatches: u64,
    device_bytes: Option<u64>,
}

impl Bench<'_> {
    /// Times training steps: forward, MWER, backward, clipping and AdamW, until the loss is read.
    ///
    /// # Errors
    /// [`BenchError`] when the device fails or gives what is no number.
    pub async fn training(&self, rates: &Rates) -> Result<Compared, BenchError> {
        let lorb = self.time_training().await?;
        let composed = if self.compare {
            let _composed = Composed::begin();
            Some(self.time_training().await?)
        } else {
            None
        };
        Ok(self.compared(&self.training_ops(), rates, &lorb, composed.as_ref()))
    }

    /// Times rescoring passes over the batch, until its scores are read.
    ///
    /// # Errors
    /// [`BenchError`] when the device fails or gives what is no number.
    pub async fn rescoring(&self, rates: &Rates) -> Result<Compared, BenchError> {
        let lorb = self.time_rescoring().await?;
        let composed = if self.compare {
            let _composed = Composed::begin();
            Some(self.time_rescoring().await?)
        } else {
            None
        };
        Ok(self.compared(&self.rescoring_ops(), rates, &lorb, composed.as_ref()))
    }

    async fn time_training(&self) -> Result<Seen, BenchError> {
        let device = self.encoder.device();
        let pass = Pass {
            encoder: &self.encoder,
            base: &self.base,
            lora: &self.adapter.config,
            layout: &self.adapter.layout,
            data: &self.data,
            config: &self.config,
        };
        let lists: Vec<usize> = (0..self.lists()).collect();
        let optimizer = AdamW::new(self.config.weight_decay, self.config.clip_norm);
        let start = self.adapter.parameters.as_slice();
        let mut parameters = Tensor::<1>::from_floats(start, &device);
        let mut moments = Moments::zeros(start.len(), &device);
        let step = async || {
            let parts = pass.run(&parameters, &lists, lists.len(), None);
            let updated = optimizer.step(parameters.clone(), parts.gradient, moments.clone(), RATE);
            (parameters, moments) = (updated.parameters, updated.moments);
            let numbers = read(end_to_end(vec![parts.ranking, updated.norm])).await?;
            match numbers.iter().find(|number| !number.is_finite()) {
                Some(&value) => Err(BenchError::NotFinite { what: "a training step", value }),
                None => Ok(()),
            }
        };
        self.see(step).await
    }

    async fn time_rescoring(&self) -> Result<Seen, BenchError> {
        let leaves = Leaves::new(&self.base, &self.adapter, &self.encoder.device());
        let (sequences, tokens) = (&self.data.sequences, self.sizes().tokens);
        let pass = async || {
            score_sequences(&self.encoder, &leaves, sequences, tokens, |_| ()).await?;
            Ok(())
        };
        self.see(pass).await
    }

    /// Times a step from memory that nothing earlier has filled.
    async fn see(
        &self,
        mut step: impl AsyncFnMut() -> Result<(), BenchError>,
    ) -> Result<Seen, BenchError> {
        let device = self.encoder.device();
        device.memory_cleanup();
        let held = || device.memory_pool_usage().map(|usage| usage.bytes_reserved);
        let (mut dispatches, mut device_bytes) = (0, None);
        let watched = async || {
            let before = wgsl::dispatches();
            step().await?;
            dispatches = wgsl::dispatches() - before;
            device_bytes = device_bytes.max(held());
            Ok(())
        };
        let timing = timing::steps(self.clock, self.seconds, watched).await?;
        Ok(Seen { timing, dispatches, device_bytes })
    }

    fn compared(
        &self,
        ops: &[Op],
        rates: &Rates,
        lorb: &Seen,
        composed: Option<&Seen>,
    ) -> Compared {
        let sizes = self.sizes();
        let cost: Cost = ops.iter().map(|op| op.cost(&self.base, sizes)).sum();
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
