//! Linear layers with a low-rank term on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::composed::{join_factors, split_factors};
use super::{
    LoraBackward, LoraForward, LoraGradInputs, LoraGrads, LoraInputs, LoraLinear,
    LoraLinearKernels, LoraPlan,
};
use crate::ops::cpu::buffer::{Float, dims, matrix, values};
use crate::ops::cpu::matmul::{View, add_product, long_product, tall_product};
use crate::ops::cpu::parallel;
use crate::ops::linear::{
    LinearForward, cpu_activate as activate, cpu_dense as dense, cpu_input_grad as input_grad,
    fill_rows,
};
use crate::ops::saved::{Output, SavedInput};

impl LoraLinear for Flex {
    fn lora_linear(inputs: LoraInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        drop(saved);
        Output::whole(forward(inputs, None).y)
    }

    fn lora_linear_with_dropout(
        inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> Output<Self> {
        Output::whole(forward(inputs, Some(dropped)).y)
    }
}

impl LoraLinearKernels for Flex {
    fn lora_linear_forward(inputs: LoraInputs<Self>) -> LoraForward<Self> {
        forward(inputs, None)
    }

    fn lora_linear_with_dropout_forward(
        inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> LoraForward<Self> {
        forward(inputs, Some(dropped))
    }

    fn lora_grads(g: FloatTensor<Self>, inputs: LoraGradInputs<Self>) -> LoraGrads<Self> {
        let LoraGradInputs { saved, u, factors, plan } = inputs;
        let (x, (_, b)) = (saved.input(), split_factors::<Self>(factors, &plan));
        let ((t, o), (_, k)) = (dims(&g), dims(&x));
        let (g, x, u, b) = (values(&g), values(&x), values(&u), values(&b));
        let (stacked, rank, width) = (plan.stacked_rank(), plan.rank, plan.width);
        let mut v = vec![0.0; t * stacked];
        parallel::over_rows(&mut v, stacked, |first, chunk| {
            for (j, column) in plan.blocks() {
                let shape = [chunk.len() / stacked, rank, width];
                let g = View::rows(&g, o).skip(first, column);
                let b = View::rows(&b[j * width * rank..], rank);
                add_product(&mut chunk[j * rank..], stacked, shape, g, b, plan.scale);
            }
        });
        let da =
            long_product([stacked, k, t], View::transposed(&v, stacked), View::rows(&x, k), 1.0);
        let mut db = Vec::with_capacity(plan.adapted.len() * width * rank);
        for (j, column) in plan.blocks() {
            let g = View { data: &g[column..], row_stride: 1, column_stride: o };
            let u = View::rows(&u, stacked).skip(0, j * rank);
            db.extend(long_product([width, rank, t], g, u, plan.scale));
        }
        let (da, db) = (matrix(da, stacked, k), matrix(db, plan.adapted.len() * width, rank));
        LoraGrads { u: matrix(v, t, stacked), factors: join_factors::<Self>(da, db) }
    }

    fn lora_linear_backward(g: FloatTensor<Self>, inputs: LoraBackward<Self>) -> FloatTensor<Self> {
        let LoraBackward { w, v, factors, plan, storage, preceding } = inputs;
        let (a, _) = split_factors::<Self>(factors, &plan);
        preceding.multiply(input_grad(g, dense(w, storage), Some((v, a))))
    }

    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        let (a, _) = split_factors::<Self>(factors, &plan);
        input_grad(v, a, None)
    }
}

/// The layer; its low-rank path uses x unless it has another input.
fn forward(inputs: LoraInputs<Flex>, dropped: Option<Float>) -> LoraForward<Flex> {
    let LoraInputs { x, w, bias, factors, plan, storage, activation } = inputs;
    let (w, (a, b)) = (dense(w, storage), split_factors::<Flex>(factors, &plan));
    let ((t, k), (o, _)) = (dims(&x), dims(&w));
    let (x, w, bias) = (values(&x), values(&w), values(&bias));
    let low = dropped.as_ref().map(values);
    let (low, a, b) = (low.as_ref().unwrap_or(&x), values(&a), values(&b));
    let stacked = plan.stacked_rank();
    let u = tall_product(low, [stacked, k], View::transposed(&a, k), |_| false, |_, _| ());
    let start = |chunk: &mut [f32]| fill_rows(chunk, &bias);
    let finish = |first: usize, chunk: &mut [f32]| {
        add_low_rank(chunk, o, &u[first * stacked..], &b, &plan);
    };
    let before = tall_product(&x, [o, k], View::transposed(&w, k), start, finish);
    let LinearForward { y, before } = activate(matrix(before, t, o), activation);
    LoraForward { y, before, u: matrix(u, t, stacked) }
}

/// Adds `scale * u_j B_j^T` to the adapted blocks of a chunk of rows.
fn add_low_rank(chunk: &mut [f32], out: usize, u: &[f32], b: &[f32], plan: &LoraPlan) {
    let stacked = plan.stacked_rank();
    for (j, column) in plan.blocks() {
        let shape = [chunk.len() / out, plan.width, plan.rank];
        let u = View::rows(u, stacked).skip(0, j * plan.rank);
        let b = View::transposed(&b[j * plan.width * plan.rank..], plan.rank);
        add_product(&mut chunk[column..], out, shape, u, b, plan.scale);
    }
}
