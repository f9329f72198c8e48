//! The cost of list losses: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use super::{ListLossSaved, Lists};
use crate::ops::record::{Cost, Operation};

/// Reads scores and two terms for each hypothesis, writes slopes and the loss.
pub(in crate::ops) fn forward<B: Backend>(scores: &FloatTensor<B>, lists: &Lists) -> Operation {
    let cost = Cost::new(0, scores.shape().num_elements() + 3 * lists.rows.len() + 1);
    Operation::new("loss of lists", lists.objective.to_string(), cost).not_composable()
}

impl<B: Backend> ListLossSaved<B> {
    pub(in crate::ops) fn operation(&self) -> Operation {
        let cost = Cost::new(0, self.lists.rows.len() + self.texts);
        Operation::new("loss of lists, backward", String::new(), cost).not_composable()
    }
}
