//! Flex tensors as slices, and slices as Flex tensors.

use std::borrow::Cow;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, TensorData};

pub(in crate::ops) type Float = FloatTensor<Flex>;

/// The elements in row-major order; copied only if the tensor is a strided view.
pub(in crate::ops) fn values(tensor: &Float) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(slice) => Cow::Borrowed(slice),
        None => {
            assert_eq!(tensor.dtype(), DType::F32, "the CPU path computes in f32");
            let dense = tensor.to_contiguous();
            Cow::Owned(dense.as_slice::<f32>().expect("a contiguous copy").to_vec())
        }
    }
}

/// Non-negative integers, for any integer width of the backend.
pub(in crate::ops) fn indices(tensor: IntTensor<Flex>) -> Vec<usize> {
    tensor.into_data().iter::<i64>().map(|index| index as usize).collect()
}

/// Takes the elements, without a copy if the tensor is not shared.
pub(in crate::ops) fn into_values(tensor: Float) -> Vec<f32> {
    match tensor.into_data().try_into_vec::<f32>() {
        Ok(values) => values,
        Err(error) => unreachable!("the CPU path computes in f32: {error:?}"),
    }
}

/// A matrix of `values` in row-major order.
pub(in crate::ops) fn matrix(values: Vec<f32>, rows: usize, columns: usize) -> Float {
    Float::from_data(TensorData::new(values, [rows, columns]))
}

/// A vector of `values`.
pub(in crate::ops) fn vector(values: Vec<f32>) -> Float {
    let len = values.len();
    Float::from_data(TensorData::new(values, [len]))
}

/// Rows and columns of a matrix.
pub(in crate::ops) fn dims(tensor: &Float) -> (usize, usize) {
    let [rows, columns] = tensor.shape().dims();
    (rows, columns)
}
