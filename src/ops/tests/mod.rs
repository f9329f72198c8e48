//! Shared by the tests of all operations, and tests across operations.
//!
//! The kernels are compared with plain loops in f64 (`truth`), one by one and at all sizes; the GPU path with
//! differences of the truth (`directions`), and with the CPU path (`gpu`); the CPU path with compositions of
//! burn's operations (`cpu_path`); their backward functions with finite differences in f64
//! (`finite_differences`). The tests themselves are in the folder of each operation.

pub(in crate::ops) mod cpu_path;
pub(in crate::ops) mod device;
pub(in crate::ops) mod directions;
pub(in crate::ops) mod finite_differences;
pub(in crate::ops) mod gpu;
pub(in crate::ops) mod kernels;
pub(in crate::ops) mod poison;
mod quads;
pub(in crate::ops) mod support;
pub(in crate::ops) mod tolerance;
pub(in crate::ops) mod truth;
