//! Rows of `[CLS]` on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{ClsRows, ClsRowsKernels};
use crate::ops::Segments;
use crate::ops::cpu::buffer::{dims, matrix, values};

impl ClsRows for Flex {
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        let width = dims(&x).1;
        let x = values(&x);
        let rows = segments.ranges().flat_map(|range| &x[range.start * width..][..width]);
        matrix(rows.copied().collect(), segments.len(), width)
    }
}

impl ClsRowsKernels for Flex {
    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        let width = dims(&g).1;
        let mut out = vec![0.0; segments.rows() * width];
        for (range, row) in segments.ranges().zip(values(&g).chunks_exact(width)) {
            out[range.start * width..][..width].copy_from_slice(row);
        }
        matrix(out, segments.rows(), width)
    }
}
