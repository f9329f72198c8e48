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

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::ops::{self, ListObjective, Lists};

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

/// Several lists: everything of the loss that the scores do not change, computed in f64.
#[derive(Clone, Debug)]
pub struct ListBatch {
    lists: Lists,
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
    /// Lays out lists for an objective. `smoothing` is that of the list-wise loss; `beta` the factor on
    /// the model's scores.
    #[must_use]
    pub fn new(objective: Objective, smoothing: f32, beta: f64, lists: &[ListView<'_>]) -> Self {
        let (mut offsets, mut rows, mut terms, mut sums) = (vec![0], vec![], vec![], vec![]);
        for list in lists {
            let highest = list.first.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let target = target(objective, list.errors, f64::from(smoothing));
            rows.extend(list.rows.iter().map(|&row| row as u32));
            let first = list.first.iter().map(|first| first - highest);
            terms.extend(first.zip(target).map(|(first, target)| [first as f32, target as f32]));
            let errors: f64 = list.errors.iter().map(|&e| f64::from(e)).sum();
            sums.push([list.first.iter().sum::<f64>() as f32, errors as f32]);
            offsets.push(rows.len() as u32);
        }
        let objective = match objective {
            Objective::Mwer => ListObjective::Mwer,
            Objective::Mwed => ListObjective::Mwed,
            Objective::Listwise => ListObjective::Listwise,
        };
        let lists = Lists {
            objective,
            beta: beta as f32,
            offsets: offsets.into(),
            rows: rows.into(),
            terms: terms.into(),
            sums: sums.into(),
        };
        Self { lists }
    }

    /// Number of lists, U.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Sum over the lists of the objective, `[1]`, for the model's scores `[S]` of the batch's
    /// distinct texts.
    #[must_use]
    pub fn loss(&self, scores: Tensor<1>) -> Tensor<1> {
        ops::list_loss(scores, &self.lists)
    }
}
