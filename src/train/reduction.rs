//! When low-rank terms lose ranks: high-rank warm-up and mixed ranks.

use burn::tensor::Tensor;

use super::optimizer::{Moments, Updated};
use crate::model::{Layout, LoraVariant, Method, ModelError, read, reduce};

/// Part of the steps before.
const WARMUP: f64 = 0.3;

/// What is reduced, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reduction {
    /// The step, counted from 1, after which it happens.
    pub step: usize,
    target_rank: usize,
    mixed: bool,
}

impl Reduction {
    /// That of a method, where it has one.
    pub fn of(method: &Method, steps: usize) -> Option<Self> {
        match method.lora()?.variant {
            LoraVariant::Reduced { target_rank, mixed } => {
                let step = ((WARMUP * steps as f64) as usize).max(1);
                Some(Self { step, target_rank, mixed })
            }
            _ => None,
        }
    }

    /// Steps that the optimiser's moments are from, after `step` steps of the run: they begin anew with the
    /// reduction, since the terms are turned by it.
    pub fn moment_steps(&self, step: usize) -> usize {
        if step >= self.step { step - self.step } else { step }
    }

    /// Reduces what a step has led to.
    pub async fn apply(&self, updated: Updated, layout: &Layout) -> Result<Updated, ModelError> {
        let mut parameters = read(updated.parameters.clone()).await?;
        reduce(layout, &mut parameters, self.target_rank, self.mixed);
        let device = updated.parameters.device();
        let moments = Moments::zeros(parameters.len(), &device);
        let parameters = Tensor::from_floats(parameters.as_slice(), &device);
        Ok(Updated { parameters, moments, norm: updated.norm })
    }
}
