//! Row-wise and element-wise operations: embeddings, layer normalisation, GELU, `[CLS]` rows.

use pulp::Arch;

use super::buffer::{Float, dims, into_values, matrix, values, vector};
use super::math::{erf, exp};
use super::parallel;
use crate::ops::Segments;

/// Partial sums side by side: lets the compiler vectorise a sum without reordering it at will.
const LANES: usize = 16;

#[inline(always)]
fn sum(values: impl Fn(usize) -> f32, n: usize) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += values(start + lane);
        }
    }
    let tail: f32 = (whole..n).map(&values).sum();
    lanes.iter().sum::<f32>() + tail
}

/// Makes a row's mean 0 and its variance 1; returns one over its deviation.
#[inline(always)]
fn normalise(row: &mut [f32], epsilon: f32) -> f32 {
    let n = row.len();
    let mean = sum(|i| row[i], n) / n as f32;
    row.iter_mut().for_each(|value| *value -= mean);
    let variance = sum(|i| row[i] * row[i], n) / n as f32;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    row.iter_mut().for_each(|value| *value *= inverse);
    inverse
}

#[inline(always)]
fn scale_and_shift(row: &mut [f32], gamma: &[f32], beta: &[f32]) {
    for ((value, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
        *value = *value * gamma + beta;
    }
}

#[inline(always)]
fn add(row: &mut [f32], other: &[f32]) {
    row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
}

pub(super) fn embed_layer_norm(
    [words, positions, types]: [Float; 3],
    gamma: Float,
    beta: Float,
    tokens: &[usize],
    places: &[usize],
    epsilon: f32,
) -> Float {
    let width = dims(&words).1;
    let (words, positions, types) = (values(&words), values(&positions), values(&types));
    let (gamma, beta) = (values(&gamma), values(&beta));
    let mut out = vec![0.0; tokens.len() * width];
    parallel::over_rows(&mut out, width, |first, chunk| {
        Arch::new().dispatch(|| {
            for (i, row) in chunk.chunks_exact_mut(width).enumerate() {
                row.copy_from_slice(&words[tokens[first + i] * width..][..width]);
                add(row, &positions[places[first + i] * width..][..width]);
                add(row, &types[..width]);
                normalise(row, epsilon);
                scale_and_shift(row, &gamma, &beta);
            }
        });
    });
    matrix(out, tokens.len(), width)
}

pub(super) fn add_layer_norm(
    x: Float,
    residual: Float,
    gamma: Float,
    beta: Float,
    epsilon: f32,
) -> Float {
    let (t, width) = dims(&x);
    let (residual, gamma, beta) = (values(&residual), values(&gamma), values(&beta));
    let mut y = into_values(x);
    parallel::over_rows(&mut y, width, |first, chunk| {
        Arch::new().dispatch(|| {
            let residual = residual[first * width..].chunks_exact(width);
            for (row, residual) in chunk.chunks_exact_mut(width).zip(residual) {
                add(row, residual);
                normalise(row, epsilon);
                scale_and_shift(row, &gamma, &beta);
            }
        });
    });
    matrix(y, t, width)
}

/// Also the normalised rows before gamma, and one over each row's deviation.
pub(super) fn add_layer_norm_forward(
    x: Float,
    residual: Float,
    gamma: Float,
    beta: Float,
    epsilon: f32,
) -> (Float, Float, Float) {
    let (t, width) = dims(&x);
    let (residual, gamma, beta) = (values(&residual), values(&gamma), values(&beta));
    let mut normalised = into_values(x);
    let (mut y, mut inverse) = (vec![0.0; t * width], vec![0.0; t]);
    let rows = parallel::rows_per_task(t);
    let chunks = normalised
        .chunks_mut(rows * width)
        .zip(y.chunks_mut(rows * width))
        .zip(inverse.chunks_mut(rows));
    parallel::each(chunks.collect(), |i, ((normalised, y), inverse)| {
        Arch::new().dispatch(|| {
            let residual = residual[i * rows * width..].chunks_exact(width);
            let pairs = normalised.chunks_exact_mut(width).zip(y.chunks_exact_mut(width));
            for (((row, y), inverse), residual) in pairs.zip(inverse.iter_mut()).zip(residual) {
                add(row, residual);
                *inverse = normalise(row, epsilon);
                y.copy_from_slice(row);
                scale_and_shift(y, &gamma, &beta);
            }
        });
    });
    (matrix(y, t, width), matrix(normalised, t, width), matrix(inverse, t, 1))
}

/// `n gamma + beta`, as above, bit for bit.
pub(super) fn scale_rows(n: Float, gamma: Float, beta: Float) -> Float {
    let (t, width) = dims(&n);
    let (gamma, beta) = (values(&gamma), values(&beta));
    let mut y = into_values(n);
    parallel::over_rows(&mut y, width, |_, chunk| {
        Arch::new().dispatch(|| {
            chunk.chunks_exact_mut(width).for_each(|row| scale_and_shift(row, &gamma, &beta));
        });
    });
    matrix(y, t, width)
}

/// Sum over all rows. Rows add up in blocks of a size that does not hang on the number of cores.
pub(super) fn column_sums(x: Float) -> Float {
    let (t, width) = dims(&x);
    let x = values(&x);
    let block = parallel::rows_per_task(t);
    let mut sums = vec![0.0; t.div_ceil(block) * width];
    let blocks = sums.chunks_mut(width).zip(x.chunks(block * width));
    parallel::each(blocks.collect(), |_, (sums, block)| {
        Arch::new().dispatch(|| block.chunks_exact(width).for_each(|row| add(sums, row)));
    });
    let mut total = vec![0.0; width];
    sums.chunks_exact(width).for_each(|sums| add(&mut total, sums));
    vector(total)
}

/// With h = g gamma and n the normalised row: `(h - mean h - n mean(h n)) / deviation`.
pub(super) fn add_layer_norm_backward(
    g: Float,
    normalised: Float,
    inverse: Float,
    gamma: Float,
) -> Float {
    let (t, width) = dims(&g);
    let (normalised, inverse, gamma) = (values(&normalised), values(&inverse), values(&gamma));
    let mut out = into_values(g);
    parallel::over_rows(&mut out, width, |first, chunk| {
        Arch::new().dispatch(|| {
            for (i, h) in chunk.chunks_exact_mut(width).enumerate() {
                let n = &normalised[(first + i) * width..][..width];
                h.iter_mut().zip(&*gamma).for_each(|(h, gamma)| *h *= gamma);
                let mean = sum(|j| h[j], width) / width as f32;
                let along = sum(|j| h[j] * n[j], width) / width as f32;
                let inverse = inverse[first + i];
                for (h, n) in h.iter_mut().zip(n) {
                    *h = (*h - mean - n * along) * inverse;
                }
            }
        });
    });
    matrix(out, t, width)
}

#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

pub(super) fn gelu(x: Float) -> Float {
    let (t, width) = dims(&x);
    let mut y = into_values(x);
    parallel::over_rows(&mut y, width, |_, chunk| {
        Arch::new().dispatch(|| chunk.iter_mut().for_each(|value| *value *= normal_cdf(*value)));
    });
    matrix(y, t, width)
}

/// The derivative is `cdf(x) + x pdf(x)`.
pub(super) fn gelu_backward(g: Float, x: Float) -> Float {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let (t, width) = dims(&x);
    let x = values(&x);
    let mut out = into_values(g);
    parallel::over_rows(&mut out, width, |first, chunk| {
        Arch::new().dispatch(|| {
            for (g, &x) in chunk.iter_mut().zip(&x[first * width..]) {
                *g *= normal_cdf(x) + x * INVERSE_SQRT_TAU * exp(-0.5 * x * x);
            }
        });
    });
    matrix(out, t, width)
}

pub(super) fn gather_cls(x: Float, segments: &Segments) -> Float {
    let width = dims(&x).1;
    let x = values(&x);
    let rows = segments.ranges().flat_map(|range| &x[range.start * width..][..width]);
    matrix(rows.copied().collect(), segments.len(), width)
}

pub(super) fn scatter_cls(g: Float, segments: &Segments) -> Float {
    let width = dims(&g).1;
    let mut out = vec![0.0; segments.rows() * width];
    for (range, row) in segments.ranges().zip(values(&g).chunks_exact(width)) {
        out[range.start * width..][..width].copy_from_slice(row);
    }
    matrix(out, segments.rows(), width)
}
