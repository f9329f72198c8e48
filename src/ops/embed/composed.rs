//! Embeddings, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Slice;

use super::EmbedInputs;
use crate::ops::composed::{float_dtype, rows};
use crate::ops::layer_norm::AddLayerNormInputs;
use crate::ops::layer_norm::composed::add_layer_norm;

pub(super) fn embed_layer_norm<B: Backend>(inputs: EmbedInputs<B>) -> FloatTensor<B> {
    add_layer_norm::<B>(sum(inputs)).y
}

/// The sum of the three embeddings, `[T, H]`, as input of the normalisation, with a residual of zeros.
pub(super) fn sum<B: Backend>(inputs: EmbedInputs<B>) -> AddLayerNormInputs<B> {
    let EmbedInputs { words, positions, types, gamma, beta, ids, epsilon } = inputs;
    let count = ids.shape().num_elements() / 2;
    let tokens = B::int_slice(ids.clone(), &[Slice::from(0..count)]);
    let places = B::int_slice(ids, &[Slice::from(count..2 * count)]);
    let words = B::float_select(words, 0, tokens);
    let positions = B::float_select(positions, 0, places);
    let x = B::float_add(B::float_add(words, positions), rows::<B>(types, 0, 1));
    let residual = B::float_zeros(x.shape(), &x.device(), float_dtype::<B>(&x));
    AddLayerNormInputs { x, residual, gamma, beta, epsilon }
}
