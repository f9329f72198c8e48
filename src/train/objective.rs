//! What the scores of a list are trained for.
//!
//! Scores are log-probabilities, higher is better. Per list of N hypotheses with `e_i` word errors:
//!
//! ```text
//! s_i      = scale * first_i + beta * lm_i                  P = softmax(s)
//! mwer     = sum_i P_i (e_i - mean e)
//! mwed     = - sum_i D_i log Q_i,   D = softmax(e),  Q = softmax(s / T),  T = sum s / sum e
//! listwise = - sum_i t_i log P_i,   t = (1 - eps) uniform over {i : e_i = min e} + eps / N
//! ```
//!
//! MWER: Prabhavalkar et al., arXiv 1712.01818, as in RescoreBERT (Xu et al., arXiv 2202.01094).
//! MWED: RescoreBERT, which writes it over costs c = -s; since `c / T` with `T = sum c / sum e` is the
//! same number as `s / T` here, the sign cancels. T belongs to the graph, so MWED does not change when
//! all s are scaled; where |T| is below 1e-3 it is held there, with the sign that it has on the cost
//! side, as a constant. For log-probabilities `T < 0`, so that `s / T` grows with the cost; lists
//! whose scores add up to more than 0 are trained the wrong way round.
//!
//! A list whose errors are all equal has no gradient under MWER and says nothing under the others;
//! such lists are left out beforehand.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

/// Smallest size of MWED's temperature.
const MIN_TEMPERATURE: f64 = 1e-3;

/// Logit of an entry that pads a short list: its probability is exactly 0 in f32.
const ABSENT: f64 = -1e30;

/// The part of the loss that ranks a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Expected word errors over the list.
    Mwer,
    /// Matching the distribution of word errors.
    Mwed,
    /// Cross-entropy towards the hypotheses with the fewest errors, with label smoothing.
    Listwise,
}

impl Objective {
    const NAMES: [(&'static str, Self); 3] =
        [("mwer", Self::Mwer), ("mwed", Self::Mwed), ("listwise", Self::Listwise)];
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Self::NAMES
                .iter()
                .find(|(_, objective)| objective == self)
                .map_or("", |(name, _)| name),
        )
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found =
            Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, objective)| *objective);
        found.ok_or_else(|| format!("{name:?} is no objective; use mwer, mwed or listwise"))
    }
}

/// One list as the objective sees it; all slices hold one entry per hypothesis.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    /// First-pass scores.
    pub first: &'a [f64],
    /// Word errors; not all equal.
    pub errors: &'a [u32],
    /// Row of the hypothesis among the scores that the model gives for the batch.
    pub rows: &'a [usize],
}

/// Several lists, padded to the longest of them, N: everything of the loss that the scores do not
/// change, computed in f64.
#[derive(Clone, Debug)]
pub struct ListBatch {
    objective: Objective,
    lists: usize,
    width: usize,
    /// Row of each entry; 0 for padding. `[U * N]`.
    rows: Vec<i32>,
    /// First pass less its highest of the list, which no softmax notices. `[U, N]`.
    first: Vec<f32>,
    /// Sum of the first pass as it is. `[U]`.
    first_sum: Vec<f32>,
    /// Sum of the errors. `[U]`.
    error_sum: Vec<f32>,
    /// What multiplies P or log P: see [`target`]. `[U, N]`.
    target: Vec<f32>,
    /// True for padding. `[U, N]`.
    absent: Vec<bool>,
}

/// Factors of P for MWER (`e - mean e`), of log Q for MWED (D), of log P for the list-wise loss (t).
fn target(objective: Objective, errors: &[u32], smoothing: f64) -> Vec<f64> {
    let count = errors.len() as f64;
    let e = || errors.iter().map(|&e| f64::from(e));
    match objective {
        Objective::Mwer => {
            let mean = e().sum::<f64>() / count;
            e().map(|e| e - mean).collect()
        }
        Objective::Mwed => {
            let most = e().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = e().map(|e| libm::exp(e - most)).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|power| power / sum).collect()
        }
        Objective::Listwise => {
            let least = errors.iter().min().copied().unwrap_or(0);
            let ties = errors.iter().filter(|&&e| e == least).count() as f64;
            let best = |&e: &u32| if e == least { (1.0 - smoothing) / ties } else { 0.0 };
            errors.iter().map(|e| best(e) + smoothing / count).collect()
        }
    }
}

impl ListBatch {
    /// Lays out lists for an objective. `smoothing` is that of the list-wise loss.
    #[must_use]
    pub fn new(objective: Objective, smoothing: f32, lists: &[ListView<'_>]) -> Self {
        let width = lists.iter().map(|list| list.errors.len()).max().unwrap_or(0);
        let mut batch = Self {
            objective,
            lists: lists.len(),
            width,
            rows: vec![0; lists.len() * width],
            first: vec![0.0; lists.len() * width],
            first_sum: Vec::with_capacity(lists.len()),
            error_sum: Vec::with_capacity(lists.len()),
            target: vec![0.0; lists.len() * width],
            absent: vec![true; lists.len() * width],
        };
        for (u, list) in lists.iter().enumerate() {
            let highest = list.first.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let target = target(objective, list.errors, f64::from(smoothing));
            for (i, target) in target.into_iter().enumerate() {
                let at = u * width + i;
                batch.rows[at] = list.rows[i] as i32;
                batch.first[at] = (list.first[i] - highest) as f32;
                batch.target[at] = target as f32;
                batch.absent[at] = false;
            }
            batch.first_sum.push(list.first.iter().sum::<f64>() as f32);
            batch.error_sum.push(list.errors.iter().map(|&e| f64::from(e)).sum::<f64>() as f32);
        }
        batch
    }

    /// Number of lists, U.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists
    }

    /// Sum over the lists of the objective, `[1]`, for the model's scores `[S]` of the batch's
    /// distinct texts.
    #[must_use]
    pub fn loss(&self, scores: Tensor<1>, beta: f64) -> Tensor<1> {
        let device = scores.device().inner();
        let matrix = |values: &[f32]| self.matrix(values, &device);
        let rows = Tensor::<1, Int>::from_ints(self.rows.as_slice(), &device);
        let lm = scores.select(0, rows).reshape([self.lists, self.width]).mul_scalar(beta);
        let absent = TensorData::new(self.absent.clone(), [self.lists, self.width]);
        let absent = Tensor::<2, Bool>::from_data(absent, &device);
        let s = matrix(&self.first) + lm.clone();
        let target = matrix(&self.target);
        match self.objective {
            Objective::Mwer => (activation::softmax(s.mask_fill(absent, ABSENT), 1) * target).sum(),
            Objective::Listwise => (log_softmax(s.mask_fill(absent, ABSENT)) * target).sum().neg(),
            Objective::Mwed => {
                let temperature = self.temperature(lm.mask_fill(absent.clone(), 0.0), &device);
                let logits = (s.neg() / temperature).mask_fill(absent, ABSENT);
                (log_softmax(logits) * target).sum().neg()
            }
        }
    }

    /// MWED's temperature over costs, held away from 0, `[U, 1]`; `lm [U, N]` is 0 in padding.
    fn temperature(&self, lm: Tensor<2>, device: &Device) -> Tensor<2> {
        let column = |values: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [self.lists, 1]), device)
        };
        let sum = lm.sum_dim(1) + column(&self.first_sum);
        let temperature = sum.neg() / column(&self.error_sum);
        let value = temperature.clone().detach();
        let negative = value.clone().lower_scalar(0.0);
        let held = value.abs().lower_scalar(MIN_TEMPERATURE);
        let floor = Tensor::<2>::full([self.lists, 1], MIN_TEMPERATURE, device);
        temperature.mask_where(held, floor.mask_fill(negative, -MIN_TEMPERATURE))
    }

    fn matrix(&self, values: &[f32], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [self.lists, self.width]), device)
    }
}

fn log_softmax(logits: Tensor<2>) -> Tensor<2> {
    activation::log_softmax(logits, 1)
}
