//! Rows of `[CLS]`, gathered and scattered by burn's operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use crate::ops::Segments;
use crate::ops::composed::{float_dtype, indices};

pub(super) fn gather_cls<B: Backend>(x: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    let rows = indices::<B>(segments.first_rows(), &x);
    B::float_select(x, 0, rows)
}

pub(super) fn scatter_cls<B: Backend>(g: FloatTensor<B>, segments: &Segments) -> FloatTensor<B> {
    // Append a row of zeros to the gradients, and use it for every row except the first of a segment.
    let (sequences, width) = (g.shape()[0], g.shape()[1]);
    let zeros = B::float_zeros(Shape::new([1, width]), &g.device(), float_dtype::<B>(&g));
    let sources = segments.ranges().enumerate().flat_map(|(s, range)| {
        std::iter::once(s).chain(std::iter::repeat_n(sequences, range.len() - 1))
    });
    let sources = indices::<B>(sources, &g);
    B::float_select(B::float_cat(vec![g, zeros], 0), 0, sources)
}
