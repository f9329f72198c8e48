//! Linear layers on the CPU, with code shared by adapted layers.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::{Activation, Linear, LinearForward, LinearInputs, LinearKernels};
use crate::ops::cpu::buffer::{Float, dims, matrix, values, vector};
use crate::ops::cpu::matmul::{View, add_product, long_product, tall_product};
use crate::ops::gelu::cpu_gelu;
use crate::ops::saved::{Output, Preceding, SavedInput};
use crate::ops::{Precision, Storage};

impl Linear for Flex {
    fn base_linear(inputs: LinearInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        drop(saved);
        Output::whole(Self::base_linear_forward(inputs).y)
    }
}

impl LinearKernels for Flex {
    fn base_linear_forward(inputs: LinearInputs<Self>) -> LinearForward<Self> {
        let LinearInputs { x, w, bias, storage, activation } = inputs;
        let w = dense(w, storage);
        let ((t, k), (o, _)) = (dims(&x), dims(&w));
        let (x, w, bias) = (values(&x), values(&w), values(&bias));
        let start = |chunk: &mut [f32]| fill_rows(chunk, &bias);
        let y = tall_product(&x, [o, k], View::transposed(&w, k), start, |_, _| ());
        activate(matrix(y, t, o), activation)
    }

    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
        preceding: Preceding<Self>,
    ) -> FloatTensor<Self> {
        preceding.multiply(input_grad(g, dense(w, storage), None))
    }

    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((t, o), (_, k)) = (dims(&g), dims(&x));
        let (g, x) = (values(&g), values(&x));
        vector(long_product([o, k, t], View::transposed(&g, o), View::rows(&x, k), 1.0))
    }
}

/// Starts every row of a chunk from the bias.
pub(in crate::ops) fn fill_rows(chunk: &mut [f32], bias: &[f32]) -> bool {
    chunk.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
    true
}

/// `g w`, and `+ v a` if the layer has a low-rank term.
pub(in crate::ops) fn input_grad(g: Float, w: Float, low_rank: Option<(Float, Float)>) -> Float {
    let ((t, o), (_, k)) = (dims(&g), dims(&w));
    let (g, w) = (values(&g), values(&w));
    let low_rank = low_rank.as_ref().map(|(v, a)| (dims(v).1, values(v), values(a)));
    let finish = |first: usize, chunk: &mut [f32]| {
        if let Some((rank, v, a)) = &low_rank {
            let shape = [chunk.len() / k, k, *rank];
            let v = View::rows(v, *rank).skip(first, 0);
            add_product(chunk, k, shape, v, View::rows(a, k), 1.0);
        }
    };
    matrix(tall_product(&g, [k, o], View::rows(&w, k), |_| false, finish), t, k)
}

/// A weight as an f32 matrix. Other precisions are unpacked at every call; only tests use them here, because the
/// encoder stores f32 on the CPU.
pub(in crate::ops) fn dense(words: Float, storage: Storage) -> Float {
    let Storage { outputs, inputs, precision } = storage;
    if precision == Precision::F32 {
        return Flex::float_reshape(words, Shape::new([outputs, inputs]));
    }
    let words: Vec<u32> = values(&words).iter().map(|word| word.to_bits()).collect();
    matrix(storage.unpack(&words), outputs, inputs)
}

/// A layer's output from the input of its activation.
pub(in crate::ops) fn activate(before: Float, activation: Activation) -> LinearForward<Flex> {
    let y = match activation {
        Activation::Identity => before.clone(),
        Activation::Gelu => cpu_gelu(before.clone()),
    };
    LinearForward { y, before }
}
