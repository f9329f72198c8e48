//! Who is held to whom: the kernels to plain loops in f64 (`truth`), one by one and on all sizes; the
//! GPU path to differences of the truth, and to the CPU path; the CPU path to the reference; the
//! reference's backward methods to finite differences in f64.

mod cpu;
mod device;
mod directions;
mod finite_differences;
mod gpu;
mod kernels;
pub(super) mod poison;
mod quads;
mod support;
mod tolerance;
mod truth;
