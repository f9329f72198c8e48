//! Prepares the lists of a batch for the loss operation. [`Objective`] defines the objectives.

use burn::tensor::Tensor;

use crate::ops::upload::OnDevice;
use crate::ops::{self, Lists, Objective};

/// One list for the objective; all slices have one entry per hypothesis.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    /// First-pass scores.
    pub first: &'a [f64],
    /// Word errors; not all equal for an objective that learns from them.
    pub errors: &'a [u32],
    /// The teacher's scores; empty without one.
    pub teacher: &'a [f64],
    /// Row of the hypothesis in the model's scores of the batch.
    pub rows: &'a [usize],
}

/// Several lists with all model-independent parts of the loss, computed in f64.
#[derive(Clone, Debug)]
pub struct ListBatch {
    lists: Lists,
}

impl ListBatch {
    /// Prepares lists for an objective. `smoothing` is the label smoothing of the list-wise loss, `beta` the LM
    /// weight, which MD does not have.
    #[must_use]
    pub fn new(objective: Objective, smoothing: f32, beta: f64, lists: &[ListView<'_>]) -> Self {
        let (mut offsets, mut rows, mut terms, mut sums) = (vec![0], vec![], vec![], vec![]);
        // A teacher's scores are compared with the model's, without the first pass.
        let (beta, of_first) = if objective == Objective::Md { (1.0, 0.0) } else { (beta, 1.0) };
        for list in lists {
            let highest = list.first.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let target = objective.targets(list.errors, list.teacher, f64::from(smoothing));
            rows.extend(list.rows.iter().map(|&row| row as u32));
            let first = list.first.iter().map(|first| of_first * (first - highest));
            terms.extend(first.zip(target).map(|(first, target)| [first as f32, target as f32]));
            let errors: f64 = list.errors.iter().map(|&e| f64::from(e)).sum();
            sums.push([list.first.iter().sum::<f64>() as f32, errors as f32]);
            offsets.push(rows.len() as u32);
        }
        let lists = Lists {
            objective,
            beta: beta as f32,
            offsets: offsets.into(),
            rows: rows.into(),
            terms: terms.into(),
            sums: sums.into(),
            on_device: OnDevice::default(),
        };
        Self { lists }
    }

    /// Number of lists, U.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// The lists, for [`upload`](ops::upload::upload).
    pub(super) fn host_data(&self) -> &Lists {
        &self.lists
    }

    /// Sum over the lists of the objective, `[1]`, for the model's scores `[S]` of the batch's
    /// distinct texts.
    #[must_use]
    pub fn loss(&self, scores: Tensor<1>) -> Tensor<1> {
        ops::list_loss(scores, &self.lists)
    }
}
