//! The cost of the correlation term: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use super::CorrelationForward;
use crate::ops::record::{Cost, Operation};

/// Either way: a product of `[width, rows]` by `[rows, width]`, or of `[rows, width]` by `[width, width]`.
fn cost(rows: usize, width: usize) -> Cost {
    let elements = 2 * rows * width + 2 * width + width * width + 1;
    Cost::new(2 * rows * width * width, elements)
}

pub(in crate::ops) fn forward<B: Backend>(cls: &FloatTensor<B>) -> Operation {
    let [rows, width] = cls.shape().dims();
    Operation::new("correlation", String::new(), cost(rows, width)).not_composable()
}

impl<B: Backend> CorrelationForward<B> {
    pub(in crate::ops) fn backward(&self) -> Operation {
        let [rows, width] = self.z.shape().dims();
        Operation::new("correlation, backward", String::new(), cost(rows, width)).not_composable()
    }
}
