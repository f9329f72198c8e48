//! Shared by the compositions of burn's own tensor operations.
//!
//! Every operation has such a composition, in `composed.rs` of its folder, for any backend. It favours
//! clarity over speed: packed sequences are padded, weights are multiplied in small pieces. It runs if no
//! kernel can (see [`wgsl::kernel_or_composed`](super::wgsl::kernel_or_composed)) or if a kernel would not be
//! faster. `lorb bench` compares the kernels with it, and the tests compare the CPU path with it. Its
//! backward functions are an independent derivation, checked by finite differences.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, Slice, TensorData};

/// `[n]` as `[1, n]`, to broadcast along rows.
pub(in crate::ops) fn as_row<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let n = x.shape().num_elements();
    B::float_reshape(x, Shape::new([1, n]))
}

pub(in crate::ops) fn float_dtype<B: Backend>(x: &FloatTensor<B>) -> FloatDType {
    match x.dtype() {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        DType::F64 => FloatDType::F64,
        _ => FloatDType::F32,
    }
}

/// Columns `start..start + len` of a matrix.
pub(in crate::ops) fn columns<B: Backend>(
    x: FloatTensor<B>,
    start: usize,
    len: usize,
) -> FloatTensor<B> {
    let rows = x.shape()[0];
    B::float_slice(x, &[Slice::from(0..rows), Slice::from(start..start + len)])
}

/// Rows `start..start + len` of a matrix.
pub(in crate::ops) fn rows<B: Backend>(
    x: FloatTensor<B>,
    start: usize,
    len: usize,
) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_slice(x, &[Slice::from(start..start + len), Slice::from(0..width)])
}

/// `x y^T`.
pub(in crate::ops) fn matmul_nt<B: Backend>(
    x: FloatTensor<B>,
    y: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(y))
}

/// `x^T y`.
pub(in crate::ops) fn matmul_tn<B: Backend>(
    x: FloatTensor<B>,
    y: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(B::float_transpose(x), y)
}

/// Row numbers as a tensor on the device of `like`.
pub(in crate::ops) fn indices<B: Backend>(
    rows: impl IntoIterator<Item = usize>,
    like: &FloatTensor<B>,
) -> IntTensor<B> {
    let rows: Vec<i32> = rows.into_iter().map(|row| row as i32).collect();
    let shape = [rows.len()];
    B::int_from_data(TensorData::new(rows, shape), &like.device())
}
