//! GELU on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{Gelu, GeluKernels};
use crate::ops::cpu::buffer::{Float, dims, into_values, matrix, values};
use crate::ops::cpu::math::{erf, exp};
use crate::ops::cpu::parallel;

impl Gelu for Flex {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu(x)
    }
}

impl GeluKernels for Flex {
    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu_backward(g, x)
    }
}

#[inline(always)]
pub(in crate::ops) fn normal_cdf(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

/// The derivative, `cdf(x) + x pdf(x)`.
#[inline(always)]
pub(in crate::ops) fn slope(x: f32) -> f32 {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    normal_cdf(x) + x * INVERSE_SQRT_TAU * exp(-0.5 * x * x)
}

pub(in crate::ops) fn gelu(x: Float) -> Float {
    let (t, width) = dims(&x);
    let mut y = into_values(x);
    parallel::over_rows(&mut y, width, |_, chunk| {
        Arch::new().dispatch(|| chunk.iter_mut().for_each(|value| *value *= normal_cdf(*value)));
    });
    matrix(y, t, width)
}

fn gelu_backward(g: Float, x: Float) -> Float {
    let (t, width) = dims(&x);
    let x = values(&x);
    let mut out = into_values(g);
    parallel::over_rows(&mut out, width, |first, chunk| {
        Arch::new().dispatch(|| {
            for (g, &x) in chunk.iter_mut().zip(&x[first * width..]) {
                *g *= slope(x);
            }
        });
    });
    matrix(out, t, width)
}
