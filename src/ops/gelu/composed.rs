//! GELU, composed of burn's operations.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

/// `(1 + erf(x / sqrt 2)) / 2`, the normal distribution function.
fn normal_cdf<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2.into());
    B::float_mul_scalar(B::float_add_scalar(B::float_erf(scaled), 1f32.into()), 0.5f32.into())
}

pub(in crate::ops) fn gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
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
