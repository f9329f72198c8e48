//! Tolerances of results, with their reasons.

use super::kernels::precision;
use crate::ops::wgsl::kernel::Kernel;
use crate::ops::{Precision, kernel_tests};

/// Tolerance of a result: `absolute + relative * max |expected|`, with its reason.
///
/// Relative to the largest element of a result, because sums that cancel keep the error of their terms.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
    pub why: &'static str,
}

const fn allow(absolute: f64, relative: f64, why: &'static str) -> Tolerance {
    Tolerance { absolute, relative, why }
}

/// Finite differences of an f64 computation, of any kind.
pub(in crate::ops) const DIFFERENCES: Tolerance =
    allow(1e-6, 1e-5, "steps of 1e-5: truncation 1e-10, rounding 1e-16 / 1e-5");
/// Two f32 computations with different summation orders.
pub(in crate::ops) const F32: Tolerance =
    allow(2e-5, 2e-5, "some hundred roundings of 6e-8 on either side");
/// The whole of an operation, through autodiff, on the GPU path and on the CPU path.
pub(in crate::ops) const PATHS: Tolerance =
    allow(1e-5, 1e-4, "two f32 computations, several kernels each");
/// A gradient of the GPU path along a direction, against differences of the truth, relative to
/// `|gradient| |direction|`.
pub(in crate::ops) const DIRECTION: Tolerance =
    allow(1e-6, 1e-5, "elements are off by some 1e-6 of the largest, in either direction");

pub(in crate::ops) const COPY: Tolerance = allow(0.0, 0.0, "values are moved, not computed");
pub(in crate::ops) const PRODUCT: Tolerance =
    allow(1e-6, 2e-6, "up to some hundred terms, one rounding of 6e-8 each, mostly cancelling");
pub(in crate::ops) const HALF: Tolerance =
    allow(1e-4, 1e-3, "factors rounded to f16, by up to 5e-4 each, independently");
pub(in crate::ops) const ACTIVATED: Tolerance =
    allow(1e-6, 4e-6, "a product; then erf by a polynomial, accurate to some units of 6e-8");
pub(in crate::ops) const ELEMENT: Tolerance =
    allow(1e-6, 1e-6, "one element, by a polynomial and an exp");
pub(in crate::ops) const NORMALISED: Tolerance =
    allow(1e-6, 4e-6, "inverseSqrt may be 2 units off, the mean as far as a sum's rounding");
pub(in crate::ops) const SOFTMAX: Tolerance =
    allow(1e-6, 1e-5, "WGSL allows exp(x) an error of 3 + 2 |x| units; scores reach some tens");
pub(in crate::ops) const LISTS: Tolerance =
    allow(1e-6, 2e-5, "as a softmax; MWED divides scores by a temperature far below 1");
pub(in crate::ops) const OPTIMISER: Tolerance =
    allow(1e-7, 1e-6, "a few roundings for an element; square roots and divisions within 3 units");

/// The tolerance of a variant. That of its kernel, unless it rounds factors of the low-rank term to f16.
pub(in crate::ops) fn of_variant(kernel: &Kernel) -> Tolerance {
    let rounds = precision(kernel) == Precision::Mixed && kernel.entry.starts_with("lora");
    if rounds { HALF } else { of(kernel.entry) }
}

/// The tolerance of the kernel with this name: see the `kernel_tests!` of its folder.
pub(in crate::ops) fn of(kernel: &str) -> Tolerance {
    let found = kernel_tests().find(|test| test.name == kernel);
    found.unwrap_or_else(|| panic!("{kernel} has no test")).tolerance
}
