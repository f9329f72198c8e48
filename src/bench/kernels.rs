//! Benchmarks of single operations, at the sizes of a batch.

use super::report::{KernelReport, Rates, Timed};
use super::{Bench, BenchError, Composed, timing};
use crate::ops::record::{Ran, Recording};

/// Fraction of a measurement's time for each operation.
const SHARE: f64 = 0.1;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A training step.
    Training,
    /// A rescoring pass.
    Rescoring,
}

impl Bench<'_> {
    /// Records a step and times every operation of it, on the tensors of that step, once per size. Operations that
    /// `reports` has from the other step are not timed again. `progress` receives the next operation.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails or returns a non-finite value, or if a training step is requested after
    /// rescoring.
    pub async fn kernels(
        &mut self,
        step: Step,
        rates: &Rates,
        reports: &mut Vec<KernelReport>,
        mut progress: impl FnMut(&str),
    ) -> Result<(), BenchError> {
        let recording = Recording::begin(true);
        match step {
            Step::Training => {
                self.check_unmerged()?;
                let mut step = self.training_step();
                step().await?;
            }
            Step::Rescoring => {
                self.merge();
                let mut pass = self.rescoring_pass();
                pass().await?;
            }
        }
        for ran in recording.end() {
            let (name, cost) = (ran.operation.to_string(), ran.operation.cost);
            let known =
                reports.iter_mut().find(|report| report.name == name && report.cost() == cost);
            let report = match known {
                Some(report) => report,
                None => {
                    progress(&name);
                    let lorb = self.time(&ran).await?;
                    let composed = if self.compare && ran.operation.composable {
                        let _composed = Composed::begin();
                        Some(self.time(&ran).await?)
                    } else {
                        None
                    };
                    reports.push(KernelReport {
                        name,
                        in_training: 0,
                        in_rescoring: 0,
                        flops: cost.flops,
                        bytes: cost.bytes,
                        lorb: Timed::new(lorb, cost, rates),
                        composed: composed.map(|timing| Timed::new(timing, cost, rates)),
                        composed_over_lorb: composed.map(|timing| timing.seconds / lorb.seconds),
                    });
                    let last = reports.len() - 1;
                    &mut reports[last]
                }
            };
            match step {
                Step::Training => report.in_training = ran.count,
                Step::Rescoring => report.in_rescoring = ran.count,
            }
        }
        self.encoder.device().memory_cleanup();
        Ok(())
    }

    pub(super) async fn time(&self, ran: &Ran) -> Result<timing::Timing, BenchError> {
        let again = || ran.again().expect("the recording keeps tensors");
        let launches = |count: usize| {
            (1..count).for_each(|_| drop(again()));
            again()
        };
        timing::launches(self.clock, self.seconds * SHARE, ran.operation.kind, launches).await
    }
}
