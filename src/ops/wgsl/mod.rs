//! Shared by the operations on burn's GPU backend: LoRB's WGSL kernels in `shaders/`, their launch code, and the
//! fallback.
//!
//! burn's GPU backend supports several runtimes, only one of which accepts WGSL. On another one, and for heads that are
//! too wide for the shaders, an operation is composed of burn's own. This does not apply to a wasm module: it has only
//! WebGPU, and burn's products would be a fifth of its size.

mod copy;
mod emptied;
pub mod kernel;
pub(in crate::ops) mod launch;
#[cfg(not(target_family = "wasm"))]
mod measured;
mod pace;
pub(in crate::ops) mod packing;
pub(in crate::ops) mod product;
pub(in crate::ops) mod segments;
pub(in crate::ops) mod tuning;
mod vendor;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

pub use super::attention::WIDEST_HEAD;
use super::operands::Tensors;
pub(crate) use copy::start_copy;
pub use emptied::{Emptied, emptied};
pub use kernel::Tile;
use launch::contiguous;
pub use launch::{dispatches, launched, uploads};
#[cfg(not(target_family = "wasm"))]
pub use measured::{
    DeviceTiles, ProductClass, Seconds, Tiles, UnknownTile, measure_tiles, name_adapter, tiles_of,
    use_tiles,
};
pub use pace::{MOST_LAUNCHES, Reading, set_clock};
pub use tuning::{
    Extensions, Processor, Properties, Tuning, register, register_extensions, tuned_for,
    with_tuning,
};
pub use vendor::{Placement, Vendor};

/// Whether the model's operations use LoRB's kernels where possible.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Selects LoRB's kernels (the default) or burn's own operations, for the whole process; benchmarks compare the two.
/// Losses and the optimiser always use kernels.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether kernels are selected; always true in a wasm module.
fn enabled() -> bool {
    WEB || ENABLED.load(Ordering::Relaxed)
}

/// Whether layers save the source of their input instead of the input. Compositions, with which the kernels are
/// compared, do not, because recomputing would take them several more kernels.
pub(in crate::ops) fn recomputes_inputs() -> bool {
    enabled()
}

/// Whether this is a wasm module.
pub(in crate::ops) const WEB: bool = cfg!(target_family = "wasm");

/// Whether LoRB's kernels run on a device: one of burn's GPU backend with a runtime that accepts WGSL.
#[must_use]
pub fn runs_on(device: &Device) -> bool {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    tensor.try_into_primitive::<CubeBackend>().is_ok_and(|tensor| takes_wgsl(&tensor))
}

/// Bytes of the largest buffer that a kernel can read on a GPU; `None` on the CPU path.
#[must_use]
pub fn largest_buffer(device: &Device) -> Option<u64> {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    let tensor = tensor.try_into_primitive::<CubeBackend>().ok()?;
    Some(tensor.client.properties().memory.max_page_size)
}

fn takes_wgsl(tensor: &CubeTensor) -> bool {
    tensor.client.name() == "wgpu<wgsl>"
}

/// The arguments of a kernel: tensors of the GPU backend, or structs and tuples of them.
pub(in crate::ops) trait Operands: Sized {
    /// Whether `test` is true for every float tensor.
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool;

    /// The same with contiguous tensors, as required by kernels.
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

/// Runs an operation as `kernel` if the kernels support its operands (f32, on a runtime that accepts WGSL) and are
/// enabled, else as `composed`. This is the only place that makes this choice.
pub(in crate::ops) fn kernel_or_composed<A: Operands, R>(
    operands: A,
    kernel: impl FnOnce(A) -> R,
    composed: impl FnOnce(A) -> R,
) -> R {
    kernel_or_composed_if(true, operands, kernel, composed)
}

/// [`kernel_or_composed`] for kernels that support only `fitting` operands.
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
