//! The steps of a run: launched ahead on a GPU, and finished in order.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::super::batches::dropout_seed;
use super::super::error::TrainError;
use super::super::message::Message;
use super::super::optimizer::{self, Moments};
use super::super::pass::Parts;
use super::super::state::Counters;
use super::super::task::{Batch, Task, TrainedModel};
use super::Trainer;
use crate::model::{ReadBack, StepUpdate};
use crate::ops::upload::HostData;
use crate::ops::{end_to_end, square_sums};

/// Steps between two copies of the run to the host. Each step reads its loss anyway, and the copy is part of that
/// read-back. At this interval the cost is not measurable, and a lost device loses little.
const KEEP_EVERY: usize = 8;

/// Up to this many parameters, a second copy of them and their moments (12 bytes each) is small compared with the
/// activations of a step.
const MOST_AHEAD: usize = 4 << 20;

/// How many steps of a run with this many parameters are launched before the numbers of a step are awaited.
pub(super) fn steps_ahead(device: &Device, parameters: usize) -> usize {
    // The CPU path computes a step when it is launched.
    let queues = device.clone().inner() != Device::flex();
    usize::from(queues && parameters <= MOST_AHEAD)
}

/// A step whose numbers are not on the host yet.
#[derive(Debug)]
pub(super) struct Launched {
    /// Steps before it.
    step: usize,
    lr: f64,
    /// Its batches, as indices into the plan.
    group: Range<usize>,
    parameters: Tensor<1>,
    moments: Moments,
    method_state: Vec<Tensor<1>>,
    /// Objective, correlation term, norm of the gradient, the partial sums of the new parameters' squares, and the state
    /// of the run if `keep`.
    numbers: ReadBack,
    /// Number of partial sums.
    sums: usize,
    keep: bool,
}

/// Where a step starts.
struct Start {
    parameters: Tensor<1>,
    moments: Moments,
    /// Steps before it.
    step: usize,
    /// Batches of the epoch before it.
    cursor: usize,
    /// Batches of the step that are finished.
    accumulated: usize,
}

impl<T: Task> Trainer<T> {
    /// The next message of a step or of one of its batches.
    pub(super) async fn train(&mut self) -> Result<Message, TrainError> {
        while self.launched.len() <= self.ahead && self.can_launch() {
            match self.launch().await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                // The steps before it come first. It will fail again when it is the next one.
                Err(_) if !self.launched.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        let finished = self.finish().await;
        if finished.is_err() {
            // They start from a step that failed.
            self.launched.clear();
        }
        finished
    }

    /// Whether the next step can be launched now: nothing between it and the last launched one needs the host.
    fn can_launch(&self) -> bool {
        let Some(last) = self.launched.back() else { return true };
        let within_epoch = last.group.end < self.plan.len();
        within_epoch
            && self.hook.is_none()
            && self.config.accumulate == 1
            && !self.evaluation_follows(&last.group)
    }

    fn start(&self) -> Start {
        let Counters { step, cursor, accumulated, .. } = self.state.counters;
        let (parameters, moments) = match self.launched.back() {
            Some(Launched { step, group, parameters, moments, .. }) => {
                let (parameters, moments) = (parameters.clone(), moments.clone());
                let (step, cursor) = (step + 1, group.end);
                return Start { parameters, moments, step, cursor, accumulated: 0 };
            }
            None => (self.state.parameters.clone(), self.state.moments.clone()),
        };
        Start { parameters, moments, step, cursor, accumulated }
    }

    /// Launches the next batch, and after the last batch of a step the optimiser step. Returns a message if the step has
    /// more batches.
    async fn launch(&mut self) -> Result<Option<Message>, TrainError> {
        let Start { parameters, moments, step, cursor, accumulated } = self.start();
        let first = cursor - accumulated;
        let group = first..(first + self.config.accumulate).min(self.plan.len());
        let of: usize = self.plan[group.clone()].iter().map(Vec::len).sum();
        let model = TrainedModel {
            encoder: &self.encoder,
            base: &self.base,
            method: &self.method,
            config: &self.config,
        };
        let seed = Some(dropout_seed(self.config.seed, step, accumulated));
        let lr = self.schedule.rate(step);
        let next = moments.next(self.optimizer, lr);
        let last = cursor + 1 == group.end;
        let with = last.then_some(&next as &dyn HostData);
        let batch = Batch { examples: &self.plan[cursor], of, dropout: seed, with };
        let parts = self.task.pass(model, &parameters, batch)?;
        let parts = match self.state.group.clone() {
            Some(before) => before.plus(parts),
            None => parts,
        };
        if !last {
            self.state.group = Some(parts);
            self.state.counters.cursor += 1;
            self.state.counters.accumulated += 1;
            return Ok(Some(Message::Batch {
                step: step + 1,
                batch: accumulated + 1,
                batches: group.len(),
            }));
        }
        let Parts { gradient, ranking, correlation } = parts;
        let mut updated = optimizer::step(next, parameters, gradient.clone(), moments);
        let mut method_state = self.state.method_state.clone();
        if let Some(hook) = &self.hook {
            let update =
                StepUpdate { parameters: updated.parameters, state: method_state, restart: false };
            let update = hook.after_step(step + 1, update, &gradient).await?;
            (updated.parameters, method_state) = (update.parameters, update.state);
            if update.restart {
                updated.moments = Moments::zeros(self.layout.len(), &self.encoder.device());
            }
        }
        // One read-back for everything: on a GPU each one waits for the queue.
        // The parameters themselves are checked, not the update: the method may have changed them.
        let sums = square_sums(updated.parameters.clone());
        let [parts] = sums.dims();
        let mut pieces = vec![ranking, correlation, updated.norm, sums];
        let keep = (step + 1).is_multiple_of(KEEP_EVERY);
        if keep {
            let Moments { first, second, .. } = updated.moments.clone();
            pieces.extend([updated.parameters.clone(), first, second]);
            pieces.extend(method_state.iter().cloned());
        }
        self.launched.push_back(Launched {
            step,
            lr,
            group,
            parameters: updated.parameters,
            moments: updated.moments,
            method_state,
            numbers: ReadBack::begin(end_to_end(pieces)),
            sums: parts,
            keep,
        });
        Ok(None)
    }

    /// Waits for the numbers of the first launched step, checks them, and makes it the state of the run.
    async fn finish(&mut self) -> Result<Message, TrainError> {
        let Some(first) = self.launched.front_mut() else { unreachable!("a step was launched") };
        // It stays in the queue while it is awaited, because the caller may drop this future.
        let read = first.numbers.values().await?;
        let Some(Launched {
            step, lr, group, parameters, moments, method_state, sums, keep, ..
        }) = self.launched.pop_front()
        else {
            unreachable!("it was there before")
        };
        let (numbers, read) = read.split_at(3);
        let (sums, run) = read.split_at(sums);
        // In f32, so that parameters of which the device cannot take the norm are found too.
        let size = sums.iter().sum::<f32>();
        let names = ["loss", "correlation term", "gradient norm", "size of the new parameters"];
        for (&value, what) in numbers.iter().chain([&size]).zip(names) {
            if !value.is_finite() {
                return Err(TrainError::NotFinite { what, value, step: step + 1, lr, good: step });
            }
        }
        let (ranking, correlation) = (f64::from(numbers[0]), f64::from(numbers[1]));
        let weight = f64::from(self.config.cor_weight);
        let batches = &self.plan[group.clone()];
        let sizes = batches.iter().map(|batch| self.task.size(batch));
        let (texts, tokens) =
            sizes.fold((0, 0), |(texts, tokens), size| (texts + size.texts, tokens + size.tokens));
        let message = Message::Step {
            step: step + 1,
            steps: self.schedule.steps(),
            epoch: self.state.counters.epoch + 1,
            loss: ranking + weight * correlation,
            ranking,
            correlation: (weight > 0.0).then_some(correlation),
            gradient_norm: f64::from(numbers[2]),
            lr,
            utterances: batches.iter().map(Vec::len).sum(),
            hypotheses: texts,
            tokens,
        };
        self.state.parameters = parameters;
        self.state.moments = moments;
        self.state.method_state = method_state;
        self.state.group = None;
        self.state.history.push(numbers[0]);
        self.advance(&group);
        if keep {
            self.kept = self.state.snapshot_of(&mut run.iter().copied());
        }
        Ok(message)
    }

    /// Whether an evaluation is due after the step with these batches.
    fn evaluation_follows(&self, group: &Range<usize>) -> bool {
        let groups = self.plan.len().div_ceil(self.config.accumulate);
        let done = group.start / self.config.accumulate + 1;
        let evaluations = |groups_done: usize| groups_done * self.config.evals_per_epoch / groups;
        self.task.can_judge() && evaluations(done) > evaluations(done - 1)
    }

    /// Counts a finished step.
    fn advance(&mut self, group: &Range<usize>) {
        let evaluate = self.evaluation_follows(group);
        let counters = &mut self.state.counters;
        counters.evaluate = evaluate;
        counters.step += 1;
        counters.accumulated = 0;
        counters.cursor = group.end;
        if group.end == self.plan.len() {
            counters.epoch += 1;
            counters.cursor = 0;
            if counters.epoch < self.config.epochs {
                self.plan = self.plan_of(self.state.counters.epoch);
            }
        }
    }
}
