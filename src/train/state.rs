//! The state of a run.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::optimizer::Moments;
use super::pass::Parts;
use crate::model::{ModelError, read};
use crate::ops::end_to_end;

/// All changing state of a run. The rest follows from settings and data.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The adapter's parameters, `[P]`.
    pub parameters: Tensor<1>,
    pub moments: Moments,
    /// What the method keeps between steps, `[P]` each.
    pub method_state: Vec<Tensor<1>>,
    /// Parameters of the best evaluation, on the host, so that they are not lost with the device.
    pub best: Option<Vec<f32>>,
    /// Accumulated contributions of an unfinished step.
    pub group: Option<Parts>,
    /// The objective at every step.
    pub history: Vec<f32>,
    pub counters: Counters,
}

/// A [`State`] on the host.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub parameters: Vec<f32>,
    /// The moments of AdamW.
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    /// The tensors that the method keeps between steps, concatenated, n `[P]`.
    pub method_state: Vec<f32>,
    pub best: Option<Vec<f32>>,
    pub group: Option<HostParts>,
    pub history: Vec<f32>,
    pub counters: Counters,
}

/// [`Parts`] on the host.
#[derive(Clone, Debug)]
pub(super) struct HostParts {
    pub gradient: Vec<f32>,
    pub ranking: f32,
    pub correlation: f32,
}

impl State {
    /// The state on the host, with one read-back.
    pub async fn snapshot(&self) -> Result<Snapshot, ModelError> {
        let Moments { first, second, .. } = self.moments.clone();
        let mut pieces = vec![self.parameters.clone(), first, second];
        pieces.extend(self.method_state.iter().cloned());
        if let Some(Parts { gradient, ranking, correlation }) = self.group.clone() {
            pieces.extend([gradient, ranking, correlation]);
        }
        let mut values = read(end_to_end(pieces)).await?.into_iter();
        let mut next = self.snapshot_of(&mut values);
        next.group = self.group.as_ref().map(|_| {
            let gradient = values.by_ref().take(next.parameters.len()).collect();
            let mut number = || values.next().unwrap_or(f32::NAN);
            HostParts { gradient, ranking: number(), correlation: number() }
        });
        Ok(next)
    }

    /// The snapshot between two steps, from parameters, moments and method state concatenated as they were
    /// read.
    pub fn snapshot_of(&self, values: &mut impl Iterator<Item = f32>) -> Snapshot {
        let [size] = self.parameters.dims();
        let mut next = |times: usize| values.by_ref().take(times * size).collect();
        Snapshot {
            parameters: next(1),
            first: next(1),
            second: next(1),
            method_state: next(self.method_state.len()),
            best: self.best.clone(),
            group: None,
            history: self.history.clone(),
            counters: self.counters.clone(),
        }
    }
}

impl Snapshot {
    /// The initial state of a run.
    pub fn start(parameters: Vec<f32>, method_state: Vec<f32>) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Self {
            parameters,
            first: zeros.clone(),
            method_state,
            second: zeros,
            best: None,
            group: None,
            history: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The state on a device.
    pub fn state(&self, device: &Device) -> State {
        let flat = |values: &[f32]| Tensor::<1>::from_floats(values, device);
        State {
            parameters: flat(&self.parameters),
            moments: Moments {
                first: flat(&self.first),
                second: flat(&self.second),
                steps: self.counters.step,
            },
            method_state: self.method_state.chunks_exact(self.parameters.len()).map(flat).collect(),
            best: self.best.clone(),
            group: self.group.as_ref().map(|group| Parts {
                gradient: flat(&group.gradient),
                ranking: flat(&[group.ranking]),
                correlation: flat(&[group.correlation]),
            }),
            history: self.history.clone(),
            counters: self.counters.clone(),
        }
    }
}

/// The counters of a [`State`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counters {
    /// Finished steps.
    pub step: usize,
    /// Finished epochs.
    pub epoch: usize,
    /// Finished batches in this epoch.
    pub cursor: usize,
    /// Finished batches of an unfinished step.
    pub accumulated: usize,
    /// Whether an evaluation is due before the next step.
    pub evaluate: bool,
    /// Evaluations since the best one.
    pub stale: usize,
    /// Whether early stopping has been triggered.
    pub stopped: bool,
    /// Whether the user was warned that the loss does not decrease.
    pub warned: bool,
    /// The best evaluation.
    pub best: Option<BestEvaluation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BestEvaluation {
    pub step: usize,
    /// Lower is better: an error rate or a loss.
    #[serde(rename = "wer")]
    pub measure: f64,
    pub beta: f64,
}
