//! The cost of the embedding: see [`record`](crate::ops::record).

use burn::backend::{Backend, TensorMetadata};

use super::EmbedInputs;
use crate::ops::record::{Cost, Operation};

impl<B: Backend> EmbedInputs<B> {
    pub(in crate::ops) fn operation(&self) -> Operation {
        let [places, width] = self.positions.shape().dims();
        let rows = self.ids.shape().num_elements() / 2;
        // Which positions are read is known to the device only; these are the most.
        let positions = rows.min(places);
        let cost = Cost::new(0, 2 * rows * width + (positions + 3) * width + 2 * rows);
        Operation::new("embedding, LayerNorm", format!("[{rows}]"), cost)
    }
}
