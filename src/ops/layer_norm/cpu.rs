//! Layer normalisation on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{AddLayerNormForward, AddLayerNormInputs, LayerNorm, LayerNormKernels, LayerNormSaved};
use crate::ops::cpu::buffer::{dims, into_values, matrix, values, vector};
use crate::ops::cpu::math::sum;
use crate::ops::cpu::parallel;
use crate::ops::saved::Output;

/// Normalises a row to mean 0 and variance 1; returns one over its deviation.
#[inline(always)]
pub(in crate::ops) fn normalise(row: &mut [f32], epsilon: f32) -> f32 {
    let n = row.len();
    let mean = sum(|i| row[i], n) / n as f32;
    row.iter_mut().for_each(|value| *value -= mean);
    let variance = sum(|i| row[i] * row[i], n) / n as f32;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    row.iter_mut().for_each(|value| *value *= inverse);
    inverse
}

#[inline(always)]
pub(in crate::ops) fn scale_and_shift(row: &mut [f32], gamma: &[f32], beta: &[f32]) {
    for ((value, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
        *value = *value * gamma + beta;
    }
}

#[inline(always)]
pub(in crate::ops) fn add(row: &mut [f32], other: &[f32]) {
    row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
}

impl LayerNorm for Flex {
    fn add_layer_norm(inputs: AddLayerNormInputs<Self>) -> Output<Self> {
        let AddLayerNormInputs { x, residual, gamma, beta, epsilon } = inputs;
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
        Output::whole(matrix(y, t, width))
    }
}

impl LayerNormKernels for Flex {
    fn add_layer_norm_forward(inputs: AddLayerNormInputs<Self>) -> AddLayerNormForward<Self> {
        let AddLayerNormInputs { x, residual, gamma, beta, epsilon } = inputs;
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
        AddLayerNormForward {
            y: matrix(y, t, width),
            normalised: matrix(normalised, t, width),
            inverse_deviation: matrix(inverse, t, 1),
        }
    }

    /// With h = g gamma and n the normalised row: `(h - mean h - n mean(h n)) / deviation`.
    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        saved: LayerNormSaved<Self>,
    ) -> FloatTensor<Self> {
        let LayerNormSaved { normalised, inverse_deviation, gamma } = saved;
        let (t, width) = dims(&g);
        let (normalised, inverse, gamma) =
            (values(&normalised), values(&inverse_deviation), values(&gamma));
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

    /// Bit for bit as in the forward pass.
    fn scale_rows(
        n: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
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

    /// Rows are summed in blocks of a size that does not depend on the number of cores.
    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
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
}
