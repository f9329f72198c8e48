//! What the operations share on burn's GPU backend: LoRB's own WGSL kernels in `shaders/`, how they are launched,
//! and what runs in place of one.
//!
//! burn's GPU backend serves several runtimes, only one of which takes WGSL. On another one, and for heads wider
//! than the shaders hold, an operation is composed of burn's own. Not in a wasm module: there is nothing but
//! WebGPU there, and burn's products would be a fifth of its bytes.

pub mod kernel;
pub(in crate::ops) mod launch;
pub(in crate::ops) mod product;
pub(in crate::ops) mod segments;
pub(in crate::ops) mod tuning;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

pub use super::attention::WIDEST_HEAD;
use super::operands::Tensors;
use launch::contiguous;
pub use launch::{dispatches, launched};
pub use tuning::{Extensions, Processor, Tuning, offer, tuned_for, with_tuning};

/// Whether the operations of the model run on LoRB's kernels where they can.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Chooses between LoRB's kernels, the default, and burn's own operations, for the whole process: benchmarks
/// compare the two. Losses and the optimiser have no such choice.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether kernels are chosen; in a wasm module there is no choice.
fn enabled() -> bool {
    WEB || ENABLED.load(Ordering::Relaxed)
}

/// Whether layers save what their input is computed from in place of the input. Composed operations, with
/// which the kernels are compared, do not: recomputing would take them several kernels more.
pub(in crate::ops) fn recomputes_inputs() -> bool {
    enabled()
}

/// Whether this is a wasm module.
pub(in crate::ops) const WEB: bool = cfg!(target_family = "wasm");

/// Whether LoRB's kernels run on a device: one of burn's GPU backend, on a runtime that takes WGSL.
#[must_use]
pub fn runs_on(device: &Device) -> bool {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    tensor.try_into_primitive::<CubeBackend>().is_ok_and(|tensor| takes_wgsl(&tensor))
}

fn takes_wgsl(tensor: &CubeTensor) -> bool {
    tensor.client.name() == "wgpu<wgsl>"
}

/// The arguments of a kernel: tensors of the GPU backend, or structs and tuples of them.
pub(in crate::ops) trait Operands: Sized {
    /// Whether `test` holds for every float tensor.
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool;

    /// The same with contiguous tensors, as kernels read them.
    fn contiguous(self) -> Self;
}

impl Operands for CubeTensor {
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool {
        test(self)
    }

    fn contiguous(self) -> Self {
        contiguous(self)
    }
}

impl<T: Tensors<CubeBackend, On<CubeBackend> = T>> Operands for T {
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool {
        Tensors::all(self, test)
    }

    fn contiguous(self) -> Self {
        self.map::<CubeBackend>(&contiguous)
    }
}

impl<A: Operands, B: Operands> Operands for (A, B) {
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool {
        self.0.all(test) && self.1.all(test)
    }

    fn contiguous(self) -> Self {
        (self.0.contiguous(), self.1.contiguous())
    }
}

impl<A: Operands> Operands for Option<A> {
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool {
        self.iter().all(|operands| operands.all(test))
    }

    fn contiguous(self) -> Self {
        self.map(A::contiguous)
    }
}

/// Runs an operation as `kernel` where the kernels take its operands (f32, on a runtime that takes WGSL) and
/// are not disabled, else as `composed`. This is the one place that chooses.
pub(in crate::ops) fn kernel_or_composed<A: Operands, R>(
    operands: A,
    kernel: impl FnOnce(A) -> R,
    composed: impl FnOnce(A) -> R,
) -> R {
    kernel_or_composed_if(true, operands, kernel, composed)
}

/// [`kernel_or_composed`] for kernels that take `fitting` operands only.
pub(in crate::ops) fn kernel_or_composed_if<A: Operands, R>(
    fitting: bool,
    operands: A,
    kernel: impl FnOnce(A) -> R,
    composed: impl FnOnce(A) -> R,
) -> R {
    let taken = |tensor: &CubeTensor| takes_wgsl(tensor) && tensor.dtype == DType::F32;
    if WEB || (fitting && enabled() && operands.all(&taken)) {
        kernel(operands.contiguous())
    } else {
        composed(operands)
    }
}
