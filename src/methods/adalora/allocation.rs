//! AdaLoRA's allocation of ranks: which triplets of the low-rank terms are kept, with the details of PEFT's
//! `RankAllocator`.
//!
//! A triplet is a row of A, a column of B and the factor between them. Its score is that of the factor plus
//! the mean scores of the elements of row and column:
//!
//! ```text
//! i     = |p g|                              of an element p with gradient g, at every step
//! I     = 0.85 I + 0.15 i                    its importance
//! U     = 0.85 U + 0.15 |i - I|              its uncertainty
//! score = I U
//! ```
//!
//! At certain steps, the factors of the triplets with the lowest scores are set to 0. They still have
//! gradients, so a triplet may return while the budget is decreasing.

use std::future::Future;
use std::pin::Pin;

use burn::tensor::Tensor;

use crate::methods::low_rank::{LORA_A, LORA_B, LORA_E};
use crate::model::{Layout, ModelError, StepHook, StepUpdate, read};

/// Decay of both moving averages.
const DECAY: f64 = 0.85;
/// Fraction of the steps before the budget is lowered.
const WARMUP: f64 = 0.1;
/// Fraction of the steps, at the end, for which the selection is final.
const SETTLED: f64 = 0.3;
/// Approximate number of selections while the budget is lowered.
const CHOICES: usize = 50;

/// The allocation schedule of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allocation {
    triplets: Vec<Triplet>,
    parameters: usize,
    target: usize,
    steps: usize,
    warmup: usize,
    settled: usize,
    interval: usize,
}

/// Positions of a triplet's elements in the flat parameters.
#[derive(Clone, Debug, PartialEq)]
struct Triplet {
    factor: usize,
    /// First element and length of the row of A.
    row: (usize, usize),
    /// First element, stride and length of the column of B.
    column: (usize, usize, usize),
}

/// The allocation action of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// None.
    None,
    /// Selects this number of triplets.
    Keep(usize),
    /// Keeps the last selection.
    Stand,
}

impl Allocation {
    /// The schedule of a run of `steps` that ends with `target_rank` triplets per module on average. `None`
    /// for a layout without factors.
    pub fn new(layout: &Layout, target_rank: usize, steps: usize) -> Option<Self> {
        let mut triplets = Vec::new();
        let mut modules = 0;
        for slot in layout.slots().iter().filter(|slot| slot.kind == LORA_E) {
            let a = layout.find(&slot.module, LORA_A)?;
            let b = layout.find(&slot.module, LORA_B)?;
            let (rank, inputs, outputs) = (a.shape[0], a.shape[1], b.shape[0]);
            modules += 1;
            triplets.extend((0..rank).map(|j| Triplet {
                factor: slot.offset + j,
                row: (a.offset + j * inputs, inputs),
                column: (b.offset + j, rank, outputs),
            }));
        }
        let part = |part: f64| (part * steps as f64) as usize;
        let (warmup, settled) = (part(WARMUP), part(SETTLED));
        let lowering = steps.saturating_sub(warmup + settled);
        (modules > 0).then(|| Self {
            triplets,
            parameters: layout.len(),
            target: target_rank * modules,
            steps,
            warmup,
            settled,
            interval: (lowering / CHOICES).max(1),
        })
    }

    /// The averages and the choice after step `step`, counted from 1, which updated the parameters to `p` with the
    /// gradient `g`.
    async fn allocate(
        &self,
        before: Averages,
        p: &Tensor<1>,
        g: &Tensor<1>,
        step: usize,
    ) -> Result<Averages, ModelError> {
        // After the final selection, the averages are no longer updated.
        let choice = self.choice(step);
        if choice == Choice::Stand {
            return Ok(before);
        }
        // The last choice uses the averages of the steps before it, as in PEFT.
        let last = step == self.steps - self.settled;
        let mut next = if last { before } else { before.updated(p, g) };
        // Between two selections, all factors may grow.
        next.mask = next.mask.ones_like();
        if let Choice::Keep(keep) = choice {
            let mask = self.mask(&read(next.scores()).await?, keep);
            next.mask = Tensor::from_floats(mask.as_slice(), &next.mask.device());
        }
        Ok(next)
    }

    /// The action after step `step` (from 1).
    fn choice(&self, step: usize) -> Choice {
        let (all, end) = (self.triplets.len(), self.steps - self.settled);
        if step <= self.warmup {
            return Choice::None;
        }
        if step > end {
            return Choice::Stand;
        }
        if step == end {
            return Choice::Keep(self.target);
        }
        if !step.is_multiple_of(self.interval) {
            return Choice::None;
        }
        let done = (step - self.warmup) as f64 / (end - self.warmup) as f64;
        let more = (all - self.target) as f64 * (1.0 - done).powi(3);
        Choice::Keep((more + self.target as f64) as usize)
    }

    /// The mask of kept flat parameters, 1 or 0, from the scores of the elements.
    fn mask(&self, scores: &[f32], keep: usize) -> Vec<f32> {
        let mean = |values: &mut dyn Iterator<Item = usize>, count: usize| {
            values.map(|at| f64::from(scores[at])).sum::<f64>() / count as f64
        };
        let of = |t: &Triplet| {
            let (start, count) = t.row;
            let row = mean(&mut (start..start + count), count);
            let (start, stride, count) = t.column;
            let column = mean(&mut (0..count).map(|i| start + i * stride), count);
            f64::from(scores[t.factor]) + row + column
        };
        let scored: Vec<f64> = self.triplets.iter().map(of).collect();
        let mut order: Vec<usize> = (0..scored.len()).collect();
        order.sort_by(|&a, &b| scored[b].total_cmp(&scored[a]).then(a.cmp(&b)));
        let mut mask = vec![1.0; self.parameters];
        for &at in order.iter().skip(keep) {
            mask[self.triplets[at].factor] = 0.0;
        }
        mask
    }
}

impl StepHook for Allocation {
    fn initial_state(&self, parameters: usize) -> Vec<f32> {
        [0.0, 0.0, 1.0]
            .into_iter()
            .flat_map(|value| std::iter::repeat_n(value, parameters))
            .collect()
    }

    fn after_step<'a>(
        &'a self,
        step: usize,
        mut update: StepUpdate,
        gradient: &'a Tensor<1>,
    ) -> Pin<Box<dyn Future<Output = Result<StepUpdate, ModelError>> + 'a>> {
        Box::pin(async move {
            let Ok([importance, uncertainty, mask]) = <[_; 3]>::try_from(update.state) else {
                unreachable!("three tensors, as in `initial_state`")
            };
            let before = Averages { importance, uncertainty, mask };
            let next = self.allocate(before, &update.parameters, gradient, step).await?;
            update.parameters = update.parameters * next.mask.clone();
            update.state = vec![next.importance, next.uncertainty, next.mask];
            Ok(update)
        })
    }
}

/// The averages and the last selection, `[P]` each.
#[derive(Clone, Debug)]
struct Averages {
    importance: Tensor<1>,
    uncertainty: Tensor<1>,
    /// 1, or 0 for pruned factors.
    mask: Tensor<1>,
}

impl Averages {
    /// Updates the averages after a step that updated the parameters to `p` with the gradient `g`.
    fn updated(&self, p: &Tensor<1>, g: &Tensor<1>) -> Self {
        let average = |old: &Tensor<1>, new: Tensor<1>| {
            old.clone().mul_scalar(DECAY) + new.mul_scalar(1.0 - DECAY)
        };
        let now = (p.clone() * g.clone()).abs();
        let importance = average(&self.importance, now.clone());
        let uncertainty = average(&self.uncertainty, (now - importance.clone()).abs());
        Self { importance, uncertainty, mask: self.mask.clone() }
    }

    /// The score of each element.
    fn scores(&self) -> Tensor<1> {
        self.importance.clone() * self.uncertainty.clone()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde_json::Value;

    use super::*;

    const PEFT: &str = include_str!("../../../tests/golden/methods/adalora/allocation.json");

    /// Flat positions of two modules with four triplets: 6 inputs and 5 outputs, and 3 and 7.
    fn allocation(golden: &Value) -> Allocation {
        let mut triplets = Vec::new();
        let mut begin = 0;
        for (inputs, outputs) in [(6, 5), (3, 7)] {
            let (a, e) = (begin, begin + 4 * inputs);
            let b = e + 4;
            triplets.extend((0..4).map(|j| Triplet {
                factor: e + j,
                row: (a + j * inputs, inputs),
                column: (b + j, 4, outputs),
            }));
            begin = b + 4 * outputs;
        }
        let number = |name: &str| golden[name].as_u64().unwrap() as usize;
        Allocation {
            triplets,
            parameters: begin,
            target: 4,
            steps: number("steps"),
            warmup: number("tinit"),
            settled: number("tfinal"),
            interval: number("interval"),
        }
    }

    fn flat(step: &Value, what: &str) -> Vec<f32> {
        let numbers = |name: &str| {
            step["given"][name][what].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32)
        };
        ["layers.0.lora_A", "layers.0.lora_E", "layers.0.lora_B"]
            .into_iter()
            .chain(["layers.1.lora_A", "layers.1.lora_E", "layers.1.lora_B"])
            .flat_map(|name| numbers(name).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn allocation_agrees_with_peft() {
        let golden: Value = serde_json::from_str(PEFT).unwrap();
        let (budget, device) = (allocation(&golden), Device::flex());
        let zeros = Tensor::<1>::zeros([budget.parameters], &device);
        let mut averages = Averages {
            importance: zeros.clone(),
            uncertainty: zeros.clone(),
            mask: zeros.ones_like(),
        };
        let mut last = Vec::new();
        for step in golden["record"].as_array().unwrap() {
            let number = step["step"].as_u64().unwrap() as usize;
            let tensor = |what| Tensor::from_floats(flat(step, what).as_slice(), &device);
            let (p, g) = (tensor("values"), tensor("gradient"));
            averages = pollster::block_on(budget.allocate(averages, &p, &g, number)).unwrap();
            let mask: Vec<f32> = averages.mask.clone().into_data().try_into_vec().unwrap();
            let kept: Vec<u64> = budget.triplets.iter().map(|t| mask[t.factor] as u64).collect();
            let elsewhere = mask.iter().filter(|&&m| m == 0.0).count();
            assert_eq!(elsewhere, kept.iter().filter(|&&kept| kept == 0).count(), "only factors");
            if step["kept"].is_null() {
                assert_eq!((budget.choice(number), &kept), (Choice::Stand, &last));
                continue;
            }
            let expected: Vec<u64> = ["layers.0.lora_E", "layers.1.lora_E"]
                .into_iter()
                .flat_map(|name| step["kept"][name].as_array().unwrap().clone())
                .map(|kept| kept.as_u64().unwrap())
                .collect();
            assert_eq!(kept, expected, "step {number}");
            last = kept;
        }
        assert_eq!(last.iter().sum::<u64>(), 4);
    }

    #[test]
    fn a_run_of_any_length_ends_at_its_target() {
        for steps in 1..40 {
            let golden: Value = serde_json::from_str(PEFT).unwrap();
            let part = |part: f64| (part * steps as f64) as usize;
            let (warmup, settled) = (part(WARMUP), part(SETTLED));
            let budget = Allocation { steps, warmup, settled, ..allocation(&golden) };
            let mut choices = (1..=steps).map(|step| budget.choice(step));
            let last = choices.rfind(|choice| *choice != Choice::Stand);
            assert_eq!(last, Some(Choice::Keep(4)), "{steps} steps");
        }
    }
}
