//! Three comparisons: the reference's backward methods with finite differences in f64, the CPU
//! path with the reference, and the GPU path with the CPU path.

mod cpu;
mod finite_differences;
mod gpu;
mod support;
