//! Checks that a device's results are correct: every operation on small cases, compared with the CPU.
//!
//! Drivers have bugs, and a faulty kernel does not stop a run: it produces worse adapters and worse lists. A GPU is
//! therefore probed when it is opened, and refused if a result differs. `lorb doctor` runs all cases; opening a device
//! runs the few of [`CaseSet::Quick`]. In a browser, where a kernel may take a second to compile, [`FirstUse`] runs
//! each case when its kernels are used.

mod case;
mod compare;
mod first_use;
mod inputs;

#[cfg(test)]
mod tests;

use burn::backend::{Backend, Dispatch};
#[cfg(not(target_family = "wasm"))]
use burn::tensor::read_sync;
use burn::tensor::{Device, Tensor};

pub(in crate::ops) use case::{Case, Names, kernel};
pub use first_use::FirstUse;
pub(in crate::ops) use inputs::{Source, segments};

use super::cases;
use super::wgsl::{self, Tuning};

/// burn's name of the runtime that accepts WGSL.
pub const RUNTIME: &str = "wgpu<wgsl>";

/// The set of cases to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseSet {
    /// The kernels in which training and rescoring spend most time.
    Quick,
    /// Those of them that [`Precision::Mixed`](super::Precision::Mixed) uses instead.
    Mixed,
    /// All variants of all kernels that an operation may launch.
    Full,
}

/// The comparison of one result of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The operation and its sizes.
    pub operation: String,
    /// The result: the output, or the gradient of an input.
    pub result: String,
    /// The kernels that compute it. Empty if the device does not run LoRB's own.
    pub kernels: Vec<&'static str>,
    /// Maximum difference of an element from the CPU's.
    pub largest_error: f64,
    /// Tolerance.
    pub allowed: f64,
    /// The fault, if any.
    pub fault: Option<Fault>,
}

/// A fault in a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The difference from the CPU's is larger than rounding error.
    #[error("is off by {largest_error:.1e}; the tolerance is {allowed:.1e}")]
    Differs {
        /// Maximum difference of an element from the CPU's.
        largest_error: f64,
        /// Tolerance.
        allowed: f64,
    },
    /// It contains NaN or infinity.
    #[error("has {count} values of {of} that are not finite")]
    NotFinite {
        /// Number of such values.
        count: usize,
        /// Number of values in the result.
        of: usize,
    },
    /// Nothing was written, or only zeros.
    #[error("is all zero")]
    AllZero,
    /// It has the wrong size.
    #[error("has {found} values instead of {expected}")]
    Size {
        /// Number of values in the result.
        found: usize,
        /// Expected number of values.
        expected: usize,
    },
    /// The device returned an error instead.
    #[error("cannot be computed: {0}")]
    Failed(String),
}

/// A device returned a wrong result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {result} of {operation} {fault} ({})", by(kernels))]
pub struct ProbeError {
    /// The operation and its sizes.
    pub operation: String,
    /// The result.
    pub result: String,
    /// The kernels that compute it.
    pub kernels: Vec<&'static str>,
    /// The problem.
    pub fault: Fault,
}

fn by(kernels: &[&str]) -> String {
    match kernels {
        [] => "burn's own kernels".to_owned(),
        [one] => format!("kernel {one}"),
        several => format!("kernels {}", several.join(", ")),
    }
}

impl Checked {
    /// Converts a fault to an error.
    ///
    /// # Errors
    /// [`ProbeError`] if the result has a fault.
    pub fn verdict(&self) -> Result<(), ProbeError> {
        let Some(fault) = self.fault.clone() else { return Ok(()) };
        Err(ProbeError {
            operation: self.operation.clone(),
            result: self.result.clone(),
            kernels: self.kernels.clone(),
            fault,
        })
    }
}

/// Whether `device` runs the kernels of `shaders/`, not burn's operations or the CPU path.
#[must_use]
pub fn runs_own_kernels(device: &Device) -> bool {
    <Dispatch as Backend>::name(device.as_dispatch()).contains(RUNTIME)
}

/// Runs the cases of `extent` on `device`, forward and backward, and compares every result with the CPU's. Stops at the
/// first wrong one.
///
/// # Errors
/// [`ProbeError`] names the operation, its result, and its kernels.
pub async fn probe(device: &Device, extent: CaseSet) -> Result<Vec<Checked>, ProbeError> {
    let mut all = Vec::new();
    for case in chosen(extent, wgsl::tuned_for(device)) {
        for checked in check(&case, device, unaltered).await {
            checked.verdict()?;
            all.push(checked);
        }
    }
    Ok(all)
}

/// Whether the results of a kernel are right in the first case that runs it. False if no case does.
#[cfg(not(target_family = "wasm"))]
pub(in crate::ops) fn passes(device: &Device, kernel: &str) -> bool {
    let tuning = wgsl::tuned_for(device);
    let mut all = cases().into_iter().filter(|case| tuning.supports(case.tuning));
    let runs = |case: &Case| case.results.iter().any(|result| result.kernels.contains(&kernel));
    let case = all.find(runs);
    let checked = case.map(|case| read_sync(check(&case, device, unaltered)));
    checked.is_some_and(|results| results.iter().all(|checked| checked.fault.is_none()))
}

/// As [`probe`], but continues after a wrong result.
pub async fn examine(device: &Device, extent: CaseSet) -> Vec<Checked> {
    let mut all = Vec::new();
    for case in chosen(extent, wgsl::tuned_for(device)) {
        all.extend(check(&case, device, unaltered).await);
    }
    all
}

/// The cases of `extent` for a device with the kernels of `tuning`. Software adapters also run the cases of GPUs.
fn chosen(extent: CaseSet, tuning: Tuning) -> Vec<Case> {
    let mut all = cases();
    let used = |case: &Case| case.tuning.tile.is_none_or(|tile| tuning.uses(tile));
    all.retain(|case| match extent {
        CaseSet::Quick => case.quick && !case.tuning.extensions.half && used(case),
        CaseSet::Mixed => case.quick && case.tuning.extensions.half,
        CaseSet::Full => true,
    });
    all.retain(|case| tuning.supports(case.tuning));
    for (i, case) in all.iter_mut().enumerate() {
        // A kernel that writes nothing must not find correct values from the quick run of the same case, so
        // the two use different seeds.
        case.seed = 2 * i as u64 + u64::from(extent == CaseSet::Full);
    }
    all
}

fn unaltered(_: &str, values: Vec<f32>) -> Vec<f32> {
    values
}

/// All results of one case. `alter` receives the device's values, with the name of the result, before the comparison,
/// so that tests can change them.
async fn check(
    case: &Case,
    device: &Device,
    alter: impl Fn(&str, Vec<f32>) -> Vec<f32>,
) -> Vec<Checked> {
    let own = runs_own_kernels(device);
    // The device works while the CPU computes the expected values.
    let found = wgsl::with_tuning(case.tuning, || compute(case, device));
    let expected = compute(case, &Device::flex());
    let mut all = Vec::new();
    for ((result, expected), found) in case.results.iter().zip(expected).zip(found) {
        let expected = read(expected).await;
        let found = read(found).await.map(|values| alter(&result.name, values));
        let compared = compare::compare(expected, found, case.relative());
        all.push(Checked {
            operation: case.name.clone(),
            result: result.name.clone(),
            kernels: if own { result.kernels.clone() } else { Vec::new() },
            largest_error: compared.largest_error,
            allowed: compared.allowed,
            fault: compared.fault,
        });
    }
    all
}

/// The output, and the gradients of `sum(output * g)` with respect to the tracked inputs, in the order of
/// `case.results`.
fn compute(case: &Case, device: &Device) -> Vec<Tensor<2>> {
    let device = device.clone().inner();
    let mut source = Source::new(case.seed, &device);
    let home = if case.tracked { device.clone().autodiff() } else { device };
    let inputs: Vec<Tensor<2>> = case
        .inputs
        .iter()
        .map(|&shape| Tensor::from_data(source.data(shape, case.spread), &home))
        .collect();
    if !case.tracked {
        return vec![(case.operation)(&mut source, &inputs)];
    }
    let inputs: Vec<Tensor<2>> = inputs.into_iter().map(Tensor::require_grad).collect();
    let y = (case.operation)(&mut source, &inputs);
    let g = Tensor::<2>::from_data(source.data(y.dims(), 1.0), &home);
    let grads = (y.clone() * g).sum().backward();
    let of_inputs =
        inputs.iter().map(|input| input.grad(&grads).expect("a tracked input has a gradient"));
    std::iter::once(y.inner()).chain(of_inputs).collect()
}

/// The elements in row-major order, or the device's error.
async fn read(tensor: Tensor<2>) -> Result<Vec<f32>, String> {
    let data = tensor.into_data_async().await.map_err(|error| error.to_string())?;
    data.try_into_vec().map_err(|error| format!("{error:?}"))
}
