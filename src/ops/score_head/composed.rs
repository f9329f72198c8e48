//! The score head, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::{ScoreHeadGrads, ScoreHeadInputs};
use crate::ops::composed::matmul_tn;

pub(super) fn score_head<B: Backend>(inputs: ScoreHeadInputs<B>) -> FloatTensor<B> {
    let ScoreHeadInputs { cls, head } = inputs;
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, bias) = split::<B>(head, width);
    let scores = B::float_add(B::float_matmul(cls, weight), bias);
    B::float_reshape(scores, Shape::new([sequences]))
}

pub(super) fn score_head_backward<B: Backend>(
    g: FloatTensor<B>,
    inputs: ScoreHeadInputs<B>,
) -> ScoreHeadGrads<B> {
    let ScoreHeadInputs { cls, head } = inputs;
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, _) = split::<B>(head, width);
    let g = B::float_reshape(g, Shape::new([sequences, 1]));
    let dcls = B::float_matmul(g.clone(), B::float_transpose(weight));
    let dweight = B::float_reshape(matmul_tn::<B>(cls, g.clone()), Shape::new([width]));
    ScoreHeadGrads { cls: dcls, head: B::float_cat(vec![dweight, B::float_sum(g)], 0) }
}

/// Weight `[H, 1]` and bias `[1, 1]` of a score head.
fn split<B: Backend>(head: FloatTensor<B>, width: usize) -> (FloatTensor<B>, FloatTensor<B>) {
    let weight = B::float_slice(head.clone(), &[Slice::from(0..width)]);
    let bias = B::float_slice(head, &[Slice::from(width..width + 1)]);
    (B::float_reshape(weight, Shape::new([width, 1])), B::float_reshape(bias, Shape::new([1, 1])))
}
