//! Linear layers, composed of burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use crate::ops::composed::{as_row, matmul_nt, matmul_tn};

pub(in crate::ops) fn linear<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(matmul_nt::<B>(x, w), as_row::<B>(bias))
}

pub(in crate::ops) fn linear_backward<B: Backend>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(g, w)
}

pub(super) fn weight_grad<B: Backend>(g: FloatTensor<B>, x: FloatTensor<B>) -> FloatTensor<B> {
    let len = g.shape()[1] * x.shape()[1];
    B::float_reshape(matmul_tn::<B>(g, x), Shape::new([len]))
}
