//! Whether a device computes rightly: every operation on small cases, against the CPU.
//!
//! Drivers have faults, and a fault in a kernel does not stop a run: it gives worse adapters and
//! worse lists. So whoever opens a GPU probes it first, and refuses it when a result differs.
//! `lorb doctor` runs all the cases, opening a device the few of [`Extent::Quick`]. In a browser, where a
//! kernel may take a second to compile, [`FirstUse`] runs each case when its kernels are used.

mod case;
mod compare;
mod first_use;
mod inputs;

#[cfg(test)]
mod tests;

use burn::backend::{Backend, Dispatch};
use burn::tensor::{Device, Tensor};

pub(in crate::ops) use case::{Case, Names, kernel};
pub use first_use::FirstUse;
pub(in crate::ops) use inputs::{Source, segments};

use super::cases;
use super::wgsl::{self, Tuning};

/// The runtime that takes WGSL, as burn names it.
pub const RUNTIME: &str = "wgpu<wgsl>";

/// How much to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The kernels that training and rescoring spend their time in.
    Quick,
    /// Every variant of every kernel that an operation may launch.
    Full,
}

/// One result of one case, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The operation and its sizes.
    pub operation: String,
    /// Which of its results: the output, or the gradient by one of its inputs.
    pub result: String,
    /// The kernels that it comes from. Empty where the device does not run LoRB's own.
    pub kernels: Vec<&'static str>,
    /// Largest distance of an element from the CPU's.
    pub largest_error: f64,
    /// Largest distance that is allowed.
    pub allowed: f64,
    /// What is wrong, if anything is.
    pub fault: Option<Fault>,
}

/// What is wrong with a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// It is further from the CPU's than rounding explains.
    #[error("is off by {largest_error:.1e}, where {allowed:.1e} is allowed")]
    Differs {
        /// Largest distance of an element from the CPU's.
        largest_error: f64,
        /// Largest distance that is allowed.
        allowed: f64,
    },
    /// It holds NaN or infinite numbers.
    #[error("has {count} numbers of {of} that are not finite")]
    NotFinite {
        /// How many.
        count: usize,
        /// Numbers in the result.
        of: usize,
    },
    /// Nothing was written, or nothing but zeros.
    #[error("is all zero")]
    AllZero,
    /// It has another size.
    #[error("has {found} numbers in place of {expected}")]
    Size {
        /// Numbers in the result.
        found: usize,
        /// Numbers it ought to have.
        expected: usize,
    },
    /// The device gave an error instead.
    #[error("cannot be computed: {0}")]
    Failed(String),
}

/// A device computes something wrongly.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {result} of {operation} {fault} ({})", by(kernels))]
pub struct ProbeError {
    /// The operation and its sizes.
    pub operation: String,
    /// Which of its results.
    pub result: String,
    /// The kernels that it comes from.
    pub kernels: Vec<&'static str>,
    /// What is wrong with it.
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
    /// The error that this result is.
    ///
    /// # Errors
    /// [`ProbeError`] when the result has a fault.
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

/// Whether `device` runs the kernels of `shaders/`, rather than burn's operations or the CPU path.
#[must_use]
pub fn runs_own_kernels(device: &Device) -> bool {
    <Dispatch as Backend>::name(device.as_dispatch()).contains(RUNTIME)
}

/// Runs the cases of `extent` on `device`, forward and backward, and compares every result with
/// the CPU's. Stops at the first that is wrong.
///
/// # Errors
/// [`ProbeError`] names the operation, its result, and the kernels behind it.
pub async fn probe(device: &Device, extent: Extent) -> Result<Vec<Checked>, ProbeError> {
    let mut all = Vec::new();
    for case in chosen(extent, wgsl::tuned_for(device)) {
        for checked in check(&case, device, unaltered).await {
            checked.verdict()?;
            all.push(checked);
        }
    }
    Ok(all)
}

/// As [`probe`], but goes on after a wrong result.
pub async fn examine(device: &Device, extent: Extent) -> Vec<Checked> {
    let mut all = Vec::new();
    for case in chosen(extent, wgsl::tuned_for(device)) {
        all.extend(check(&case, device, unaltered).await);
    }
    all
}

/// The cases of `extent` for a device that takes the kernels of `tuning`. Software, on which others may
/// be tested, runs those of GPUs too.
fn chosen(extent: Extent, tuning: Tuning) -> Vec<Case> {
    let mut all = cases();
    all.retain(|case| extent == Extent::Full || case.quick);
    all.retain(|case| tuning.covers(case.tuning));
    for (i, case) in all.iter_mut().enumerate() {
        // A kernel that writes nothing must not find the right numbers where the quick run of the
        // same case left them, so the two draw different ones.
        case.seed = 2 * i as u64 + u64::from(extent == Extent::Full);
    }
    all
}

fn unaltered(_: &str, values: Vec<f32>) -> Vec<f32> {
    values
}

/// All results of one case. `alter` sees what the device gave, by the name of the result, before it
/// is compared: tests spoil it there.
async fn check(
    case: &Case,
    device: &Device,
    alter: impl Fn(&str, Vec<f32>) -> Vec<f32>,
) -> Vec<Checked> {
    let own = runs_own_kernels(device);
    // The device is at work while the CPU computes what to expect.
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

/// The output, and the gradients of `sum(output * g)` by the tracked inputs, in the order of
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

/// The elements in order of rows, or what the device says instead.
async fn read(tensor: Tensor<2>) -> Result<Vec<f32>, String> {
    let data = tensor.into_data_async().await.map_err(|error| error.to_string())?;
    data.try_into_vec().map_err(|error| format!("{error:?}"))
}
