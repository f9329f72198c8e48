//! Layer normalisation, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::{AddLayerNormForward, AddLayerNormInputs, LayerNormSaved};
use crate::ops::composed::as_row;

/// Mean of each row, `[T, 1]`.
fn mean_last<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(x, 1)
}

pub(in crate::ops) fn add_layer_norm<B: Backend>(
    inputs: AddLayerNormInputs<B>,
) -> AddLayerNormForward<B> {
    let AddLayerNormInputs { x, residual, gamma, beta, epsilon } = inputs;
    let x = B::float_add(x, residual);
    let centred = B::float_sub(x.clone(), mean_last::<B>(x));
    let variance = mean_last::<B>(B::float_mul(centred.clone(), centred.clone()));
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
    let inverse = B::float_recip(deviation);
    let normalised = B::float_mul(centred, inverse.clone());
    let y = scale_rows::<B>(normalised.clone(), gamma, beta);
    AddLayerNormForward { y, normalised, inverse_deviation: inverse }
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
    saved: LayerNormSaved<B>,
) -> FloatTensor<B> {
    let LayerNormSaved { normalised, inverse_deviation, gamma } = saved;
    let h = B::float_mul(g, as_row::<B>(gamma));
    let along = mean_last::<B>(B::float_mul(h.clone(), normalised.clone()));
    let projected = B::float_mul(normalised, along);
    let centred = B::float_sub(h.clone(), mean_last::<B>(h));
    B::float_mul(B::float_sub(centred, projected), inverse_deviation)
}

pub(in crate::ops) fn column_sums<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_reshape(B::float_sum_dim(x, 0), Shape::new([width]))
}
