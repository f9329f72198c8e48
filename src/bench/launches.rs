//! What a step costs the host.
//!
//! The steps are those of a user's run, but LoRB's kernels are [`Emptied`], so that little else than the work of the host
//! remains: building the graph, launching, uploading, submitting and waiting for the read-backs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cubecl::logging::{LaunchObservation, LaunchObserver};
use serde::Serialize;

use super::device_calls::{Counter, DeviceCalls};
use super::timing::{self, Timing};
use super::{Bench, BenchError, SEED, lists};
use crate::ops::wgsl::{self, Emptied};
use crate::train::{Lists, Message, Prepared, TrainConfig, TrainData, Trainer};

/// Batches in the lists of the training run. Their sizes differ, as those of a user's do, so that nothing which the
/// runtime keeps by size is found again.
const BATCHES: usize = 16;

/// Epochs of the training run; a longer measurement starts it again.
const EPOCHS: usize = 100;

/// Steps before the measurement, in which kernels are compiled.
const WARM_UP: usize = BATCHES;

/// Steps whose launches and calls are counted. A run copies its state to the host in one of eight steps.
const COUNTED: usize = BATCHES;

/// The host's work for one training step or one rescoring pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HostWork {
    /// Median time, in seconds.
    pub seconds: f64,
    /// The minimum.
    pub least_seconds: f64,
    /// Number of timings.
    pub repeats: usize,
    /// Launches of LoRB's kernels. These are emptied. Counts are means per step.
    pub launches: f64,
    /// Launches of burn's own kernels, which are not emptied.
    pub other_launches: f64,
    /// The median time by these launches, in microseconds.
    pub microseconds_per_launch: f64,
    /// Copies of index and parameter tensors of operations to the device.
    pub uploads: f64,
    /// Calls of the graphics library; absent if its log is not available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<DeviceCalls>,
}

/// The host's work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HostReport {
    /// Of a step of a training run.
    pub training: HostWork,
    /// Of a rescoring pass over one batch, with the adapter merged into the base.
    pub rescoring: HostWork,
}

impl Bench<'_> {
    /// Measures steps of a real training run, and rescoring passes, with emptied kernels.
    ///
    /// # Errors
    /// [`BenchError::NoKernels`] if the device runs no kernels of LoRB's, [`BenchError`] if it fails.
    pub async fn launches(&mut self) -> Result<HostReport, BenchError> {
        self.check_unmerged()?;
        if !wgsl::runs_on(&self.encoder.device()) {
            return Err(BenchError::NoKernels);
        }
        let _emptied = Emptied::begin();
        let training = {
            let mut step = self.trained(BATCHES);
            self.host_work(async || step().await.map(|_| ())).await?
        };
        self.merge();
        let rescoring = self.host_work(self.rescoring_pass()).await?;
        Ok(HostReport { training, rescoring })
    }

    async fn host_work(
        &self,
        mut step: impl AsyncFnMut() -> Result<(), BenchError>,
    ) -> Result<HostWork, BenchError> {
        for _ in 0..WARM_UP {
            step().await?;
        }
        let (counting, own, uploads) = (Counting::begin(), wgsl::dispatches(), wgsl::uploads());
        let counter = Counter::begin();
        for _ in 0..COUNTED {
            step().await?;
        }
        let calls = counter.map(|counter| counter.end(COUNTED));
        let mean = |count: u64| count as f64 / COUNTED as f64;
        let (all, launches) = (mean(counting.seen()), mean(wgsl::dispatches() - own));
        drop(counting);
        let uploads = mean(wgsl::uploads() - uploads);
        let Timing { seconds, least, repeats } =
            timing::steps(self.clock, self.seconds, step).await?;
        Ok(HostWork {
            seconds,
            least_seconds: least,
            repeats,
            launches,
            other_launches: all - launches,
            microseconds_per_launch: 1e6 * seconds / all,
            uploads,
            calls,
        })
    }

    /// The next step of a training run over synthetic lists of a number of batches; returns its tokens and hypotheses.
    pub(super) fn trained(
        &self,
        batches: usize,
    ) -> impl AsyncFnMut() -> Result<(usize, usize), BenchError> {
        let tokens = self.sizes().tokens;
        let data = lists::synthetic(&self.base, batches * tokens, SEED);
        let config = TrainConfig { epochs: EPOCHS, batch_tokens: tokens, ..self.config.clone() };
        let mut trainer = self.trainer(data.clone(), config.clone());
        async move || loop {
            match trainer.next().await? {
                Some(Message::Step { tokens, hypotheses, .. }) => return Ok((tokens, hypotheses)),
                Some(_) => {}
                None => trainer = self.trainer(data.clone(), config.clone()),
            }
        }
    }

    fn trainer(&self, data: TrainData, config: TrainConfig) -> Trainer {
        let inputs = Prepared {
            encoder: self.encoder.clone(),
            base: &self.base,
            base_hash: "",
            adapter: self.adapter.clone(),
            task: Lists { data, dev: None, score_warnings: Vec::new() },
        };
        Trainer::prepared(inputs, config)
    }
}

/// Counts the launches of the process, LoRB's and burn's, while it exists.
pub(super) struct Counting {
    launches: Arc<Launches>,
    _observation: LaunchObservation,
}

impl Counting {
    pub fn begin() -> Self {
        let launches = Arc::new(Launches::default());
        Self { _observation: LaunchObservation::new(launches.clone()), launches }
    }

    /// The launches so far.
    pub fn seen(&self) -> u64 {
        self.launches.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Launches(AtomicU64);

impl LaunchObserver for Launches {
    fn launched(&self, _kernel: &'static str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
