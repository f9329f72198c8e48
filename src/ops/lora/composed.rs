//! Linear layers with a low-rank term, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::{LoraGradInputs, LoraGrads, LoraPlan};
use crate::ops::composed::{columns, matmul_nt, matmul_tn, rows};
use crate::ops::{Kernels, linear};

/// The stacked A `[n r, in]` and the stacked B `[n width, r]`.
pub(in crate::ops) fn split_factors<B: Backend>(
    factors: FloatTensor<B>,
    plan: &LoraPlan,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let len = factors.shape().num_elements();
    let (stacked, inputs) = (plan.stacked_rank(), plan.inputs(len));
    let a = B::float_slice(factors.clone(), &[Slice::from(0..stacked * inputs)]);
    let b = B::float_slice(factors, &[Slice::from(stacked * inputs..len)]);
    let b_rows = plan.adapted.len() * plan.width;
    (
        B::float_reshape(a, Shape::new([stacked, inputs])),
        B::float_reshape(b, Shape::new([b_rows, plan.rank])),
    )
}

/// The inverse of [`split_factors`].
pub(super) fn join_factors<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let flat = |x: FloatTensor<B>| {
        let len = x.shape().num_elements();
        B::float_reshape(x, Shape::new([len]))
    };
    B::float_cat(vec![flat(a), flat(b)], 0)
}

/// `base + scale * (x A^T) B^T`, and `x A^T`.
pub(super) fn lora_add<B: Backend>(
    base: FloatTensor<B>,
    x: FloatTensor<B>,
    factors: FloatTensor<B>,
    plan: &LoraPlan,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (a, b) = split_factors::<B>(factors, plan);
    let u = matmul_nt::<B>(x, a);
    let (height, out) = (base.shape()[0], base.shape()[1]);
    let mut pieces = Vec::new();
    let mut column = 0;
    // Blocks without a low-rank term are unchanged.
    let copy_until = |column: &mut usize, end: usize, pieces: &mut Vec<FloatTensor<B>>| {
        if end > *column {
            pieces.push(columns::<B>(base.clone(), *column, end - *column));
        }
        *column = end;
    };
    for (j, start) in plan.blocks() {
        copy_until(&mut column, start, &mut pieces);
        let u_j = columns::<B>(u.clone(), j * plan.rank, plan.rank);
        let b_j = rows::<B>(b.clone(), j * plan.width, plan.width);
        let delta = B::float_mul_scalar(matmul_nt::<B>(u_j, b_j), plan.scale.into());
        let block = columns::<B>(base.clone(), start, plan.width);
        pieces.push(B::float_add(block, delta));
        column = start + plan.width;
    }
    copy_until(&mut column, out, &mut pieces);
    let y = if pieces.len() == 1 { pieces.remove(0) } else { B::float_cat(pieces, 1) };
    debug_assert_eq!(y.shape(), Shape::new([height, out]));
    (y, u)
}

pub(super) fn lora_grads<B: Kernels>(g: FloatTensor<B>, inputs: LoraGradInputs<B>) -> LoraGrads<B> {
    let LoraGradInputs { saved, u, factors, plan } = inputs;
    let (x, (_, b)) = (saved.input(), split_factors::<B>(factors, &plan));
    let (mut v, mut db) = (Vec::new(), Vec::new());
    for (j, start) in plan.blocks() {
        let g_j =
            B::float_mul_scalar(columns::<B>(g.clone(), start, plan.width), plan.scale.into());
        let b_j = rows::<B>(b.clone(), j * plan.width, plan.width);
        let u_j = columns::<B>(u.clone(), j * plan.rank, plan.rank);
        v.push(B::float_matmul(g_j.clone(), b_j));
        db.push(matmul_tn::<B>(g_j, u_j));
    }
    let v = B::float_cat(v, 1);
    let da = matmul_tn::<B>(v.clone(), x);
    let factors = join_factors::<B>(da, B::float_cat(db, 0));
    LoraGrads { u: v, factors }
}

/// The weight is dense, `[O, K]`.
pub(super) fn lora_linear_backward<B: Backend>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    v: FloatTensor<B>,
    factors: FloatTensor<B>,
    plan: &LoraPlan,
) -> FloatTensor<B> {
    let base = linear::composed::linear_backward::<B>(g, w);
    B::float_add(base, lora_down_backward::<B>(v, factors, plan))
}

pub(super) fn lora_down_backward<B: Backend>(
    v: FloatTensor<B>,
    factors: FloatTensor<B>,
    plan: &LoraPlan,
) -> FloatTensor<B> {
    let (a, _) = split_factors::<B>(factors, plan);
    B::float_matmul(v, a)
}
