//! The N-best lists of a batch.

use std::sync::Arc;

use super::Objective;
use crate::ops::upload::OnDevice;

/// Ragged lists of hypotheses that share the scores of their distinct texts.
///
/// Cloning is cheap, so an operation can save its lists for the backward pass.
#[derive(Clone, Debug)]
pub struct Lists {
    /// The training objective.
    pub objective: Objective,
    /// LM weight.
    pub beta: f32,
    /// First hypothesis of each list, and the end of the last; `[U + 1]`.
    pub offsets: Arc<[u32]>,
    /// Index of each hypothesis's text among the scores; `[L]`.
    pub rows: Arc<[u32]>,
    /// First-pass score minus the maximum of the list, and target, of each hypothesis; `[L]`.
    pub terms: Arc<[[f32; 2]]>,
    /// Sum of the unshifted first-pass scores, and of the errors, of each list; `[U]`.
    pub sums: Arc<[[f32; 2]]>,
    /// The same on a device.
    pub on_device: OnDevice,
}

impl Lists {
    /// Number of lists, U.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there are no lists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all lists' losses, and its derivative with respect to the score of each hypothesis `[L]`, computed in
    /// f64.
    pub fn evaluate(&self, scores: &[f32]) -> (f64, Vec<f64>) {
        let mut slopes = Vec::with_capacity(self.rows.len());
        let mut loss = 0.0;
        for (list, &sums) in self.sums.iter().enumerate() {
            let range = self.offsets[list] as usize..self.offsets[list + 1] as usize;
            let beta = f64::from(self.beta);
            let lm: Vec<f64> =
                self.rows[range.clone()].iter().map(|&row| scores[row as usize].into()).collect();
            let terms = &self.terms[range];
            let s: Vec<f64> =
                lm.iter().zip(terms).map(|(lm, t)| f64::from(t[0]) + beta * lm).collect();
            let t: Vec<f64> = terms.iter().map(|term| term[1].into()).collect();
            let total = f64::from(sums[0]) + beta * lm.iter().sum::<f64>();
            let (of_list, by_s) = self.objective.loss(&s, &t, total, sums[1].into());
            loss += of_list;
            slopes.extend(by_s.into_iter().map(|slope| beta * slope));
        }
        (loss, slopes)
    }

    /// The derivative with respect to the score of each of `texts` distinct texts: the sum over its hypotheses.
    pub fn by_text(&self, slopes: &[f64], texts: usize) -> Vec<f64> {
        let mut sums = vec![0.0; texts];
        for (&row, slope) in self.rows.iter().zip(slopes) {
            sums[row as usize] += slope;
        }
        sums
    }
}
