//! The cost of layer normalisation: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Tensor;

use super::{AddLayerNormForward, AddLayerNormInputs, LayerNormSaved};
use crate::ops::Kernels;
use crate::ops::record::{Cost, Operation, Sample};

impl<B: Backend> AddLayerNormInputs<B> {
    pub(in crate::ops) fn operation(&self, saves: bool) -> Operation {
        let [rows, width] = self.x.shape().dims();
        let saved = if saves { rows * (width + 1) } else { 0 };
        let cost = Cost::new(0, 3 * rows * width + 2 * width + saved);
        Operation::new("residual, LayerNorm", format!("[{rows}]"), cost).saving(saves)
    }
}

impl<B: Backend> LayerNormSaved<B> {
    pub(in crate::ops) fn operation(&self) -> Operation {
        let [rows, width] = self.normalised.shape().dims();
        let cost = Cost::new(0, (3 * rows + 1) * width + rows);
        Operation::new("residual, LayerNorm, backward", format!("[{rows}]"), cost)
    }
}

pub(in crate::ops) fn column_sums<B: Backend>(x: &FloatTensor<B>) -> Operation {
    let [rows, columns] = x.shape().dims();
    let cost = Cost::new(0, (rows + 1) * columns);
    Operation::new("sum of rows", format!("[{rows}, {columns}]"), cost)
}

impl<B: Kernels> Sample for AddLayerNormForward<B> {
    fn sample(self) -> Tensor<2> {
        self.y.sample()
    }
}
