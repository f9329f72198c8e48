//! The cost of linear layers: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Tensor;

use super::{Activation, LinearForward, LinearInputs};
use crate::ops::record::{Cost, Operation, Sample};
use crate::ops::saved::Preceding;
use crate::ops::{Kernels, Storage};
use crate::packed::Format;

/// Bytes of a weight.
pub(in crate::ops) fn weight(storage: Storage) -> usize {
    let Storage { outputs, inputs, precision } = storage;
    match precision.format() {
        Format::F32 => 4 * outputs * inputs,
        Format::F16 => 2 * outputs * inputs,
        // A scale for each output.
        Format::Int8 => outputs * inputs + 4 * outputs,
    }
}

/// The sizes of a layer of `rows` rows, what follows it, and what is joined to it.
pub(in crate::ops) fn sizes(
    rows: usize,
    storage: Storage,
    low_rank: &str,
    activation: Activation,
) -> String {
    let gelu = if activation == Activation::Gelu { " + GELU" } else { "" };
    format!("[{rows}, {} -> {}]{low_rank}{gelu}", storage.inputs, storage.outputs)
}

/// The cost of a layer without low-rank term. `saves`: whether the input of its activation is written too.
pub(in crate::ops) fn forward(
    rows: usize,
    storage: Storage,
    activation: Activation,
    saves: bool,
) -> Cost {
    let Storage { outputs, inputs, .. } = storage;
    let saved = if saves && activation == Activation::Gelu { rows * outputs } else { 0 };
    let elements = rows * inputs + outputs + rows * outputs + saved;
    Cost::new(2 * rows * inputs * outputs, elements).with_bytes(weight(storage))
}

/// The cost of `g w`.
pub(in crate::ops) fn backward(rows: usize, storage: Storage) -> Cost {
    let Storage { outputs, inputs, .. } = storage;
    Cost::new(2 * rows * inputs * outputs, rows * outputs + rows * inputs)
        .with_bytes(weight(storage))
}

impl<B: Backend> LinearInputs<B> {
    pub(in crate::ops) fn operation(&self, saves: bool) -> Operation {
        let (rows, storage, activation) = (self.x.shape()[0], self.storage, self.activation);
        let cost = forward(rows, storage, activation, saves);
        Operation::new("linear", sizes(rows, storage, "", activation), cost).saving(saves)
    }
}

/// `g w`, times what precedes the layer.
pub(in crate::ops) fn input_grad<B: Backend>(
    g: &FloatTensor<B>,
    storage: Storage,
    preceding: &Preceding<B>,
) -> Operation {
    let rows = g.shape()[0];
    let sizes = sizes(rows, storage, "", Activation::Identity);
    let cost = backward(rows, storage) + after::<B>(rows, storage, preceding);
    Operation::new("linear, by input", sizes + by::<B>(preceding), cost)
}

/// The cost of the multiplication by what precedes a layer.
pub(in crate::ops) fn after<B: Backend>(
    rows: usize,
    storage: Storage,
    preceding: &Preceding<B>,
) -> Cost {
    Cost::new(0, preceding.before().map_or(0, |_| rows * storage.inputs))
}

/// What precedes a layer, in its sizes.
pub(in crate::ops) fn by<B: Backend>(preceding: &Preceding<B>) -> &'static str {
    preceding.before().map_or("", |_| ", by x before GELU")
}

/// `g^T x`.
pub(in crate::ops) fn weight_grad<B: Backend>(g: &FloatTensor<B>, x: &FloatTensor<B>) -> Operation {
    let ([rows, outputs], [_, inputs]) = (g.shape().dims(), x.shape().dims());
    let elements = rows * outputs + rows * inputs + inputs * outputs;
    let cost = Cost::new(2 * rows * inputs * outputs, elements);
    Operation::new("linear, by weight", format!("[{rows}, {inputs} -> {outputs}]"), cost)
}

impl<B: Kernels> Sample for LinearForward<B> {
    fn sample(self) -> Tensor<2> {
        self.y.sample()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Precision;

    #[test]
    fn fewer_bits_of_a_weight_are_fewer_bytes() {
        // x, bias and y, of 10 rows.
        let rest = 4 * (10 * 6 + 18 + 10 * 18);
        let cases =
            [(Precision::F32, 4 * 108), (Precision::F16, 2 * 108), (Precision::Int8, 108 + 4 * 18)];
        for (precision, weight) in cases {
            let storage = Storage { outputs: 18, inputs: 6, precision };
            let cost = forward(10, storage, Activation::Identity, false);
            assert_eq!(cost.bytes, rest + weight, "{precision}");
            assert_eq!(cost.flops, 2 * 10 * 6 * 18);
            assert_eq!(backward(10, storage).bytes, rest - 4 * 18 + weight);
        }
    }
}
