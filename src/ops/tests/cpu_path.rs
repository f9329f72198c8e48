//! Compares the CPU path with compositions of burn's operations, both on Flex, at odd sizes.

use burn::backend::{Flex, TensorMetadata, ops::FloatTensorOps};
use burn::tensor::Shape;

use super::support::{Float, assert_close};
use super::tolerance::F32;
use crate::ops::{Precision, Storage};

/// Rows and widths.
pub(in crate::ops) const SIZES: [usize; 8] = [1, 2, 3, 17, 31, 33, 127, 129];

/// A weight for the operations.
pub(in crate::ops) fn words(w: &Float) -> (Float, Storage) {
    let [outputs, inputs] = w.shape().dims();
    let words = Flex::float_reshape(w.clone(), Shape::new([outputs * inputs]));
    (words, Storage { outputs, inputs, precision: Precision::F32 })
}

/// Fails if the two differ.
pub(in crate::ops) fn same(what: &str, expected: Float, found: Float) {
    assert_close::<Flex, Flex>(what, expected, found, &F32);
}
