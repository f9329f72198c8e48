//! The correlation term, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::CorrelationForward;
use crate::ops::composed::{float_dtype, matmul_tn, rows};

/// Minimum variance of a column: a deviation of 1e-5. The variance is clamped, not its root, which has no derivative at
/// a constant column.
const MIN_VARIANCE: f32 = 1e-10;

pub(super) fn correlation<B: Backend>(cls: FloatTensor<B>) -> CorrelationForward<B> {
    let (n, d) = (cls.shape()[0], cls.shape()[1]);
    let degrees = (n - 1) as f32;
    let mean = B::float_mean_dim(cls.clone(), 0);
    let centred = B::float_sub(cls, mean);
    let squares = B::float_mul(centred.clone(), centred.clone());
    let variance = B::float_mul_scalar(B::float_mean_dim(squares, 0), (n as f32 / degrees).into());
    let held = B::float_clamp_min(variance.clone(), MIN_VARIANCE.into());
    let inverse = B::float_recip(B::float_sqrt(held.clone()));
    // 1 where the variance is not clamped, from the sign of the difference.
    let moves = B::float_sign(B::float_sub(
        variance,
        B::float_full(
            Shape::new([1, d]),
            MIN_VARIANCE.into(),
            &held.device(),
            float_dtype::<B>(&held),
        ),
    ));
    let moves = B::float_clamp_min(moves, 0f32.into());
    let scales = B::float_transpose(B::float_cat(vec![inverse.clone(), moves], 0));
    let z = B::float_mul(centred, inverse);
    let r = B::float_mul_scalar(matmul_tn::<B>(z.clone(), z.clone()), (1.0 / degrees).into());
    let identity: Vec<f32> = (0..d * d).map(|i| f32::from(i % (d + 1) == 0)).collect();
    let identity = TensorData::new(identity, [d, d]).convert_dtype(r.dtype());
    let off_diagonal = B::float_sub(r.clone(), B::float_from_data(identity, &r.device()));
    let pairs = (d * (d - 1)) as f32;
    let square = B::float_sum(B::float_mul(off_diagonal.clone(), off_diagonal.clone()));
    let mean_square = B::float_mul_scalar(square, (1.0 / pairs).into());
    let value = B::float_sqrt(B::float_clamp_min(mean_square, f32::MIN_POSITIVE.into()));
    CorrelationForward { value, z, scales, off_diagonal }
}

/// With `c = 2 / (d (d - 1) value (n - 1))`, the gradient with respect to z is `dz = c z (R - I)`, half of it through
/// each factor of R; through the standardisation it is, by column, `dcls = (dz - mean dz - z moves mean(dz z) n / (n -
/// 1)) / divisor`.
pub(super) fn correlation_backward<B: Backend>(
    g: FloatTensor<B>,
    saved: CorrelationForward<B>,
) -> FloatTensor<B> {
    let CorrelationForward { value, z, scales, off_diagonal } = saved;
    let (n, d) = (z.shape()[0], z.shape()[1]);
    let degrees = (n - 1) as f32;
    let factor = 2.0 / (degrees * (d * (d - 1)) as f32);
    let by_value = B::float_mul_scalar(B::float_div(g, value), factor.into());
    let by_value = B::float_reshape(by_value, Shape::new([1, 1]));
    let dz = B::float_mul(B::float_matmul(z.clone(), off_diagonal), by_value);
    let along = B::float_mean_dim(B::float_mul(dz.clone(), z.clone()), 0);
    let along = B::float_mul_scalar(along, (n as f32 / degrees).into());
    let scales = B::float_transpose(scales);
    let inverse = rows::<B>(scales.clone(), 0, 1);
    let moves = rows::<B>(scales, 1, 1);
    let projected = B::float_mul(z, B::float_mul(along, moves));
    let centred = B::float_sub(dz.clone(), B::float_mean_dim(dz, 0));
    B::float_mul(B::float_sub(centred, projected), inverse)
}
