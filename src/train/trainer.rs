//! The run itself: one message at a time.

mod step;

use std::collections::VecDeque;

use super::checkpoint::{self, Identity};
use super::data::TrainData;
use super::dev::DevData;
use super::error::TrainError;
use super::lists::Lists;
use super::message::Message;
use super::schedule::Schedule;
use super::settings::TrainConfig;
use super::state::{BestEvaluation, Counters, Snapshot, State};
use super::task::{Extent, Task};
use super::watch::LossMonitor;
use crate::base::{BertConfig, BertTokenizer};
use crate::model::{
    Adapter, Encoder, Layout, Method, ModelError, StepHook, TrainableTensors, base_parameters,
    guarded, read,
};
use crate::nbest::Utterance;
use crate::ops::AdamW;
use crate::score::{ScoreCheck, Weights};
use step::{Launched, steps_ahead};

/// The inputs of a run.
#[derive(Debug)]
pub struct TrainInputs<'a> {
    /// The frozen base, on the device to train on.
    pub encoder: Encoder,
    /// Its sizes.
    pub base: &'a BertConfig,
    /// SHA-256 of its weights, stored in checkpoints.
    pub base_hash: &'a str,
    /// Its tokenizer.
    pub tokenizer: &'a BertTokenizer,
    /// The adapter to start from.
    pub adapter: Adapter,
    /// Lists to train on.
    pub train: &'a [Utterance],
    /// Lists that select the best checkpoint; may be empty.
    pub dev: &'a [Utterance],
}

/// What a run starts with, if its examples are prepared.
pub(crate) struct Prepared<'a, T> {
    pub encoder: Encoder,
    pub base: &'a BertConfig,
    pub base_hash: &'a str,
    pub adapter: Adapter,
    pub task: T,
}

/// Trains an adapter, step by step. The [`Task`] is what for.
///
/// [`Trainer::next`] does one bounded piece of work and returns a message, so that the caller can display, log,
/// stop and save between pieces. A run resumed from a [`Trainer::checkpoint`] equals the uninterrupted one, bit
/// for bit on the CPU path. Dropping the future of an unfinished call leaves the run unchanged.
///
/// On a GPU, a step is launched before the numbers of the one before it are awaited, so that the device does not wait for
/// the host. Messages, checkpoints and results are those of the last step whose message was returned.
///
/// If the device fails or is lost, [`Trainer::kept`] returns a recent state of the run from a copy on the host.
#[derive(Debug)]
pub struct Trainer<T = Lists> {
    encoder: Encoder,
    base: BertConfig,
    method: Method,
    layout: Layout,
    config: TrainConfig,
    task: T,
    identity: Identity,
    schedule: Schedule,
    optimizer: AdamW,
    /// What the method does after every step.
    hook: Option<Box<dyn StepHook>>,
    watch: LossMonitor,
    /// Batches of the current epoch.
    plan: Vec<Vec<usize>>,
    state: State,
    /// Steps after `state` whose numbers are not on the host yet, in order.
    launched: VecDeque<Launched>,
    /// How many steps may be launched before the numbers of a step are awaited.
    ahead: usize,
    /// The last copy of the run on the host.
    kept: Snapshot,
    /// Messages to send before any work.
    opening: VecDeque<Message>,
    over: bool,
}

impl Trainer {
    /// Prepares a new run.
    ///
    /// # Errors
    /// [`TrainError`] names the invalid setting, parameter or data.
    pub fn new(inputs: TrainInputs<'_>, config: TrainConfig) -> Result<Self, TrainError> {
        config.validate()?;
        let TrainInputs { encoder, base, base_hash, tokenizer, adapter, train, dev } = inputs;
        if let Some(index) = adapter.parameters.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::StartNotFinite { index, value: adapter.parameters[index] });
        }
        TrainableTensors::check(&adapter, &encoder.device())?;
        let data = TrainData::prepare(train, tokenizer, &config)?;
        let dev = DevData::prepare(dev, tokenizer, config.conventions(), &data.part_weights)?;
        let score_warnings = ScoreCheck::of(train).warnings();
        let task = Lists { data, dev, score_warnings };
        Ok(Self::prepared(Prepared { encoder, base, base_hash, adapter, task }, config))
    }

    /// Prepares a run that continues from a checkpoint. Inputs and settings must be those of the interrupted run.
    /// The adapter's settings must match; its values are replaced. The device may differ.
    ///
    /// # Errors
    /// Those of [`Trainer::new`], and [`TrainError::Checkpoint`] if the file is damaged or belongs to another run,
    /// with the difference.
    pub fn resume(
        inputs: TrainInputs<'_>,
        config: TrainConfig,
        bytes: &[u8],
    ) -> Result<Self, TrainError> {
        Self::new(inputs, config)?.continued(bytes)
    }

    /// The adapter of the best evaluation so far, with its beta; before the first evaluation, the
    /// current adapter without weights. It is in the form to save (see [`Adapter::finished`]).
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails before the first evaluation.
    pub async fn best(&self) -> Result<(Adapter, Option<Weights>), TrainError> {
        let parameters = self.best_parameters().await?;
        let adapter =
            Adapter { method: self.method.clone(), layout: self.layout.clone(), parameters };
        let weights = self.state.counters.best.map(|best| self.task.weights(best.beta));
        Ok((adapter.finished(), weights))
    }

    /// The rescoring weights that correspond to those of training, for an adapter without tuned ones: in rescoring, the
    /// first pass has weight 1.
    #[must_use]
    pub fn rescoring_weights(&self) -> Weights {
        self.task.weights(self.config.beta / self.task.data.first_scale)
    }
}

impl<T: Task> Trainer<T> {
    /// A new run on valid inputs and settings.
    pub(crate) fn prepared(inputs: Prepared<'_, T>, config: TrainConfig) -> Self {
        let Prepared { encoder, base, base_hash, adapter, task } = inputs;
        let epoch_steps = |epoch| task.batches(&config, epoch).len().div_ceil(config.accumulate);
        let steps = (0..config.epochs).map(epoch_steps).sum();
        let schedule = Schedule::new(config.lr, steps, config.warmup, config.decay);
        let device = encoder.device();
        let hook = adapter.method.step_hook(&adapter.layout, steps);
        let state = hook.as_ref().map(|hook| hook.initial_state(adapter.layout.len()));
        let kept = Snapshot::start(adapter.parameters, state.unwrap_or_default());
        let ahead = steps_ahead(&device, adapter.layout.len());
        let mut trainer = Self {
            identity: Identity::new(base_hash, &adapter.method, &config, task.identity()),
            watch: LossMonitor::new(steps, schedule.warmup()),
            hook,
            optimizer: AdamW::new(config.weight_decay, config.clip_norm),
            plan: task.batches(&config, 0),
            encoder,
            base: base.clone(),
            method: adapter.method,
            layout: adapter.layout,
            config,
            task,
            schedule,
            state: kept.state(&device),
            launched: VecDeque::new(),
            ahead,
            kept,
            opening: VecDeque::new(),
            over: false,
        };
        trainer.opening = trainer.opening_messages();
        trainer
    }

    /// The run, continued from a checkpoint.
    pub(crate) fn continued(self, bytes: &[u8]) -> Result<Self, TrainError> {
        let mut trainer = self;
        let (parameters, state) = (trainer.layout.len(), trainer.kept.method_state.len());
        let device = trainer.encoder.device();
        let (kept, warning) =
            checkpoint::read(bytes, &trainer.identity, parameters, state, &device)?;
        trainer.kept = kept;
        trainer.state = trainer.kept.state(&device);
        if let Some(hook) = &trainer.hook {
            trainer.state.moments.steps = hook.moment_steps(trainer.kept.counters.step);
        }
        let Counters { step, epoch, cursor, accumulated, .. } = trainer.state.counters;
        trainer.plan = trainer.plan_of(epoch);
        // Steps and batches must agree, or the learning rate would not match the batch.
        let accumulate = trainer.config.accumulate;
        let before: usize = (0..epoch.min(trainer.config.epochs))
            .map(|epoch| trainer.plan_of(epoch).len().div_ceil(accumulate))
            .sum();
        let sound = epoch <= trainer.config.epochs
            && cursor < trainer.plan.len()
            && accumulated <= cursor
            && accumulated < accumulate
            && (cursor - accumulated).is_multiple_of(accumulate)
            && step == before + cursor / accumulate;
        if !sound {
            let what =
                format!("step {step}, epoch {epoch}, batch {cursor}, {accumulated} accumulated");
            return Err(super::error::CheckpointError::Counters(what).into());
        }
        trainer.opening = trainer.opening_messages();
        trainer.opening.extend(warning);
        Ok(trainer)
    }

    /// Sets how many steps are launched before the numbers of a step are awaited: by default one. It is always none on
    /// the CPU path, which computes a step when it is launched, and for more than four million parameters. More steps
    /// help where a read-back takes longer than a step. Each needs memory for the parameters and their moments.
    pub fn launch_ahead(&mut self, steps: usize) {
        if self.ahead > 0 {
            self.ahead = steps;
        }
    }

    /// Does the next piece of work; `None` at the end of the run.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if training diverges: the run keeps the state after the last good step, can be
    /// saved, but cannot continue. [`TrainError::Device`] if the device fails: use [`Trainer::kept`].
    pub async fn next(&mut self) -> Result<Option<Message>, TrainError> {
        let device = self.encoder.device();
        let message = guarded(&device, self.step_on()).await;
        message.map_err(|error| self.named(error))
    }

    async fn step_on(&mut self) -> Result<Option<Message>, TrainError> {
        if let Some(message) = self.opening.pop_front() {
            return Ok(Some(message));
        }
        if let Some(warning) = self.loss_warning() {
            return Ok(Some(warning));
        }
        if self.state.counters.evaluate {
            return self.evaluate().await.map(Some);
        }
        let counters = &self.state.counters;
        if counters.stopped || counters.step == self.schedule.steps() {
            if self.over {
                return Ok(None);
            }
            self.over = true;
            let measure = counters.best.map(|best| best.measure);
            return Ok(Some(Message::Finished {
                steps: counters.step,
                best_step: counters.best.map(|best| best.step),
                best_wer: measure.filter(|_| T::IS_RATE),
                best_loss: measure.filter(|_| !T::IS_RATE),
                stopped_early: counters.stopped,
            }));
        }
        self.train().await.map(Some)
    }

    /// The serialised run, for [`Trainer::resume`].
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails, [`TrainError::Checkpoint`] if the run cannot be serialised.
    pub async fn checkpoint(&mut self) -> Result<Vec<u8>, TrainError> {
        let device = self.encoder.device();
        let snapshot = guarded(&device, self.state.snapshot()).await;
        self.kept = snapshot.map_err(|error| self.named(error.into()))?;
        self.kept()
    }

    /// The serialised last copy of the run on the host, at [`Trainer::kept_step`], for [`Trainer::resume`]. This
    /// needs no device, so it works after a device failure. It is never older than the last [`Trainer::checkpoint`].
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] if the run cannot be serialised.
    pub fn kept(&self) -> Result<Vec<u8>, TrainError> {
        Ok(checkpoint::write(&self.kept, &self.identity, &self.encoder.device())?)
    }

    /// The step of [`Trainer::kept`].
    #[must_use]
    pub fn kept_step(&self) -> usize {
        self.kept.counters.step
    }

    /// The flat parameters of the best evaluation so far; the current ones before the first.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails before the first evaluation.
    pub(crate) async fn best_parameters(&self) -> Result<Vec<f32>, TrainError> {
        match &self.state.best {
            Some(best) => Ok(best.clone()),
            None => self.parameters().await,
        }
    }

    /// The current flat parameters; not necessarily the best.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub async fn parameters(&self) -> Result<Vec<f32>, TrainError> {
        let parameters = read(self.state.parameters.clone()).await;
        parameters.map_err(|error| self.named(error.into()))
    }

    /// Finished steps.
    #[must_use]
    pub fn step(&self) -> usize {
        self.state.counters.step
    }

    /// Steps of the whole run.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.schedule.steps()
    }

    /// Adds the saved step to a device fault.
    fn named(&self, error: TrainError) -> TrainError {
        match error {
            TrainError::Model(ModelError::Device(fault)) => {
                TrainError::Device { fault, kept: self.kept_step() }
            }
            other => other,
        }
    }

    fn plan_of(&self, epoch: usize) -> Vec<Vec<usize>> {
        self.task.batches(&self.config, epoch)
    }

    async fn evaluate(&mut self) -> Result<Message, TrainError> {
        let trainable =
            TrainableTensors::untracked(&self.base, &self.method, &self.state.parameters);
        let step = self.state.counters.step;
        let judgement = self.task.judge(&self.encoder, &trainable).await?;
        let measure = judgement.measure;
        let counts = self.hook.as_ref().is_none_or(|hook| hook.may_be_best(step));
        let best = counts && self.state.counters.best.is_none_or(|best| measure < best.measure);
        let parameters = if best { Some(read(self.state.parameters.clone()).await?) } else { None };
        let counters = &mut self.state.counters;
        counters.evaluate = false;
        if best {
            counters.best = Some(BestEvaluation { step, measure, beta: judgement.weights.beta });
            counters.stale = 0;
            self.state.best = parameters;
        } else if counts {
            counters.stale += 1;
            let patience_over =
                self.config.patience.is_some_and(|patience| counters.stale >= patience);
            counters.stopped = patience_over && step < self.schedule.steps();
        }
        Ok(self.task.judged(&judgement, step, best))
    }

    fn loss_warning(&mut self) -> Option<Message> {
        let Counters { step, warned, .. } = self.state.counters;
        if warned || step == 0 {
            return None;
        }
        let warning = self.watch.look(&self.state.history, self.schedule.rate(step - 1))?;
        self.state.counters.warned = true;
        Some(warning)
    }

    fn opening_messages(&self) -> VecDeque<Message> {
        let extent = Extent {
            steps: self.schedule.steps(),
            done: self.state.counters.step,
            trainable: self.layout.len(),
            base_parameters: base_parameters(&self.base),
        };
        self.task.opening(&self.config, extent).into()
    }
}
