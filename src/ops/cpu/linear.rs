//! Linear layers, with and without a low-rank term, and their gradients.

use super::buffer::{Float, dims, matrix, values, vector};
use super::matmul::{View, add_product, long_product, tall_product};
use super::parallel;
use crate::ops::LoraPlan;

/// Starts every row of a chunk from the bias.
fn fill_rows(chunk: &mut [f32], bias: &[f32]) -> bool {
    chunk.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
    true
}

/// `x w^T + bias`.
pub(super) fn linear(x: Float, w: Float, bias: Float) -> Float {
    let ((t, k), (o, _)) = (dims(&x), dims(&w));
    let (x, w, bias) = (values(&x), values(&w), values(&bias));
    let start = |chunk: &mut [f32]| fill_rows(chunk, &bias);
    matrix(tall_product(&x, [o, k], View::transposed(&w, k), start, |_, _| ()), t, o)
}

/// `g w`, and `+ v a` where the layer has a low-rank term.
pub(super) fn linear_backward(g: Float, w: Float, low_rank: Option<(Float, Float)>) -> Float {
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

/// `g^T x`, row-major.
pub(super) fn weight_grad(g: Float, x: Float) -> Float {
    let ((t, o), (_, k)) = (dims(&g), dims(&x));
    let (g, x) = (values(&g), values(&x));
    vector(long_product([o, k, t], View::transposed(&g, o), View::rows(&x, k), 1.0))
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

/// `x w^T + bias` with the low-rank term of `low`; also `low A^T`.
pub(super) fn lora_linear(
    x: Float,
    low: Float,
    w: Float,
    bias: Float,
    a: Float,
    b: Float,
    plan: &LoraPlan,
) -> (Float, Float) {
    let ((t, k), (o, _)) = (dims(&x), dims(&w));
    let (x, low, w, bias) = (values(&x), values(&low), values(&w), values(&bias));
    let (a, b) = (values(&a), values(&b));
    let stacked = plan.stacked_rank();
    let u = tall_product(&low, [stacked, k], View::transposed(&a, k), |_| false, |_, _| ());
    let start = |chunk: &mut [f32]| fill_rows(chunk, &bias);
    let finish = |first: usize, chunk: &mut [f32]| {
        add_low_rank(chunk, o, &u[first * stacked..], &b, plan);
    };
    let y = tall_product(&x, [o, k], View::transposed(&w, k), start, finish);
    (matrix(y, t, o), matrix(u, t, stacked))
}

/// Gradients of `x A^T`, of A and of B.
pub(super) fn lora_grads(
    g: Float,
    x: Float,
    u: Float,
    b: Float,
    plan: &LoraPlan,
) -> (Float, Float, Float) {
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
    let da = long_product([stacked, k, t], View::transposed(&v, stacked), View::rows(&x, k), 1.0);
    let mut db = Vec::with_capacity(plan.adapted.len() * width * rank);
    for (j, column) in plan.blocks() {
        let g = View { data: &g[column..], row_stride: 1, column_stride: o };
        let u = View::rows(&u, stacked).skip(0, j * rank);
        db.extend(long_product([width, rank, t], g, u, plan.scale));
    }
    let adapted = plan.adapted.len();
    (matrix(v, t, stacked), matrix(da, stacked, k), matrix(db, adapted * width, rank))
}
