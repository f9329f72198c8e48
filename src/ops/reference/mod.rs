//! Every operation composed of burn's own tensor operations, for any backend.
//!
//! Clarity before speed: packed sequences are padded, weights are multiplied in small pieces.
//! This is what every faster implementation has to agree with. Its forward methods are differentiable by burn's autodiff;
//! its backward methods are an independent derivation by hand.

mod attention;
mod training;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, Slice, TensorData};

use super::{LoraPlan, Segments};

pub(super) use attention::{attention, attention_backward, attention_cls, attention_cls_backward};
#[cfg(test)]
pub(super) use training::adamw;
pub(super) use training::{correlation, correlation_backward};

/// Mean of each row, `[T, 1]`.
fn mean_last<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(x, 1)
}

/// `[n]` as `[1, n]`, to broadcast along rows.
fn as_row<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let n = x.shape().num_elements();
    B::float_reshape(x, Shape::new([1, n]))
}

fn float_dtype<B: Backend>(x: &FloatTensor<B>) -> FloatDType {
    match x.dtype() {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        DType::F64 => FloatDType::F64,
        _ => FloatDType::F32,
    }
}

/// Columns `start..start + len` of a matrix.
fn columns<B: Backend>(x: FloatTensor<B>, start: usize, len: usize) -> FloatTensor<B> {
    let rows = x.shape()[0];
    B::float_slice(x, &[Slice::from(0..rows), Slice::from(start..start + len)])
}

/// Rows `start..start + len` of a matrix.
fn rows<B: Backend>(x: FloatTensor<B>, start: usize, len: usize) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_slice(x, &[Slice::from(start..start + len), Slice::from(0..width)])
}

/// `x y^T`.
fn matmul_nt<B: Backend>(x: FloatTensor<B>, y: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(y))
}

/// `x^T y`.
fn matmul_tn<B: Backend>(x: FloatTensor<B>, y: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(B::float_transpose(x), y)
}

/// Row numbers as a tensor beside `like`.
fn indices<B: Backend>(
    rows: impl IntoIterator<Item = usize>,
    like: &FloatTensor<B>,
) -> IntTensor<B> {
    let rows: Vec<i32> = rows.into_iter().map(|row| row as i32).collect();
    let shape = [rows.len()];
    B::int_from_data(TensorData::new(rows, shape), &like.device())
}

/// The stacked A `[n r, in]` and the stacked B `[n width, r]`.
pub(super) fn split_factors<B: Backend>(
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

pub(super) fn embed_layer_norm<B: Backend>(
    words: FloatTensor<B>,
    positions: FloatTensor<B>,
    types: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    ids: IntTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let sum = embed::<B>(words, positions, types, ids);
    let nothing = B::float_zeros(sum.shape(), &sum.device(), float_dtype::<B>(&sum));
    add_layer_norm::<B>(sum, nothing, gamma, beta, epsilon).0
}

/// The sum of the three embeddings, `[T, H]`.
pub(super) fn embed<B: Backend>(
    words: FloatTensor<B>,
    positions: FloatTensor<B>,
    types: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let count = ids.shape().num_elements() / 2;
    let tokens = B::int_slice(ids.clone(), &[Slice::from(0..count)]);
    let places = B::int_slice(ids, &[Slice::from(count..2 * count)]);
    let words = B::float_select(words, 0, tokens);
    let positions = B::float_select(positions, 0, places);
    B::float_add(B::float_add(words, positions), rows::<B>(types, 0, 1))
}

pub(super) fn linear<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(matmul_nt::<B>(x, w), as_row::<B>(bias))
}

pub(super) fn linear_backward<B: Backend>(g: FloatTensor<B>, w: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(g, w)
}

pub(super) fn weight_grad<B: Backend>(g: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let len = g.shape()[1] * x.shape()[1];
    B::float_reshape(matmul_tn::<B>(g, x), Shape::new([len]))
}

pub(super) fn column_sums<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_reshape(B::float_sum_dim(x, 0), Shape::new([width]))
}

/// `base + scale * (x A^T) B^T`, and `x A^T`.
pub(super) fn lora_add<B: Backend>(
    base: FloatTensor<B>,
    x: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    plan: &LoraPlan,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let u = matmul_nt::<B>(x, a);
    let (height, out) = (base.shape()[0], base.shape()[1]);
    let mut pieces = Vec::new();
    let mut column = 0;
    // Blocks without a low-rank term pass as they are.
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

pub(super) fn lora_grads<B: Backend>(
    g: FloatTensor<B>,
    x: FloatTensor<B>,
    u: FloatTensor<B>,
    b: FloatTensor<B>,
    plan: &LoraPlan,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
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
    (v, da, B::float_cat(db, 0))
}

pub(super) fn lora_linear_backward<B: Backend>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    v: FloatTensor<B>,
    a: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(B::float_matmul(g, w), B::float_matmul(v, a))
}

/// Returns the output, the normalised rows and the inverse deviations.
pub(super) fn add_layer_norm<B: Backend>(
    x: FloatTensor<B>,
    residual: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f32,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let x = B::float_add(x, residual);
    let centred = B::float_sub(x.clone(), mean_last::<B>(x));
    let variance = mean_last::<B>(B::float_mul(centred.clone(), centred.clone()));
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
    let inverse = B::float_recip(deviation);
    let normalised = B::float_mul(centred, inverse.clone());
    (scale_rows::<B>(normalised.clone(), gamma, beta), normalised, inverse)
}

pub(super) fn scale_rows<B: Backend>(
    n: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(B::float_mul(n, as_row::<B>(gamma)), as_row::<B>(beta))
}

/// With h = g gamma and n the normalised row: `(h - mean h - n mean(h n)) / deviation`.
pub(super) fn add_layer_norm_backward<B: Backend>(
    g: FloatTensor<B>,
    normalised: FloatTensor<B>,
    inverse_deviation: FloatTensor<B>,
    gamma: FloatTensor<B>,
) -> FloatTensor<B> {
    let h = B::float_mul(g, as_row::<B>(gamma));
    let along = mean_last::<B>(B::float_mul(h.clone(), normalised.clone()));
    let projected = B::float_mul(normalised, along);
    let centred = B::float_sub(h.clone(), mean_last::<B>(h));
    B::float_mul(B::float_sub(centred, projected), inverse_deviation)
}

/// `(1 + erf(x / sqrt 2)) / 2`, the normal distribution function.
fn normal_cdf<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2.into());
    B::float_mul_scalar(B::float_add_scalar(B::float_erf(scaled), 1f32.into()), 0.5f32.into())
}

pub(super) fn gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x.clone(), normal_cdf::<B>(x))
}

/// The derivative is `cdf(x) + x pdf(x)`.
pub(super) fn gelu_backward<B: Backend>(g: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x.clone());
    let bell = B::float_exp(B::float_mul_scalar(square, (-0.5f32).into()));
    let pdf = B::float_mul_scalar(
        bell,
        (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2).into(),
    );
    let slope = B::float_add(normal_cdf::<B>(x.clone()), B::float_mul(x, pdf));
    B::float_mul(g, slope)
}

pub(super) fn gather_cls<B: Backend>(x: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    let rows = indices::<B>(segments.first_rows(), &x);
    B::float_select(x, 0, rows)
}

pub(super) fn scatter_cls<B: Backend>(g: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    // A row of zeros behind the gradients, and every row but the first of a segment taken from it.
    let (sequences, width) = (g.shape()[0], g.shape()[1]);
    let zeros = B::float_zeros(Shape::new([1, width]), &g.device(), float_dtype::<B>(&g));
    let sources = segments.ranges().enumerate().flat_map(|(s, range)| {
        std::iter::once(s).chain(std::iter::repeat_n(sequences, range.len() - 1))
    });
    let sources = indices::<B>(sources, &g);
    B::float_select(B::float_cat(vec![g, zeros], 0), 0, sources)
}

pub(super) fn score_head<B: Backend>(cls: FloatTensor<B>, head: FloatTensor<B>) -> FloatTensor<B> {
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, bias) = split_head::<B>(head, width);
    let scores = B::float_add(B::float_matmul(cls, weight), bias);
    B::float_reshape(scores, Shape::new([sequences]))
}

pub(super) fn score_head_backward<B: Backend>(
    g: FloatTensor<B>,
    cls: FloatTensor<B>,
    head: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, _) = split_head::<B>(head, width);
    let g = B::float_reshape(g, Shape::new([sequences, 1]));
    let dcls = B::float_matmul(g.clone(), B::float_transpose(weight));
    let dweight = B::float_reshape(matmul_tn::<B>(cls, g.clone()), Shape::new([width]));
    (dcls, B::float_cat(vec![dweight, B::float_sum(g)], 0))
}

/// Weight `[H, 1]` and bias `[1, 1]` of a score head.
fn split_head<B: Backend>(head: FloatTensor<B>, width: usize) -> (FloatTensor<B>, FloatTensor<B>) {
    let weight = B::float_slice(head.clone(), &[Slice::from(0..width)]);
    let bias = B::float_slice(head, &[Slice::from(width..width + 1)]);
    (B::float_reshape(weight, Shape::new([width, 1])), B::float_reshape(bias, Shape::new([1, 1])))
}

pub(super) fn cut<B: Backend>(flat: FloatTensor<B>, offset: usize, len: usize) -> FloatTensor<B> {
    B::float_slice(flat, &[Slice::from(offset..offset + len)])
}
