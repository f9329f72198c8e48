//! Shared by the operations on the CPU: Flex tensors as slices, parallel work, and products with the `gemm` crate.
//!
//! Everything is computed in f32. A result depends on its inputs only, not on the number of cores, so a resumed
//! run equals an uninterrupted one.

pub(in crate::ops) mod buffer;
pub(in crate::ops) mod math;
pub(in crate::ops) mod matmul;
pub(in crate::ops) mod parallel;
