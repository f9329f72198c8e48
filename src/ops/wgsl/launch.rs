//! Kernels on burn's GPU runtime.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{AddressType, ElemType, Scope, UIntKind, metadata::Info, settings::Dim3};
use cubecl::prelude::{
    BufferIOAttr, CubeCount, CubeKernel, ExecutionMode, KernelDefinition, KernelId, KernelMetadata,
    KernelSettings, PrecompiledSource,
};
use cubecl::server::{KernelArguments, MetadataBindingInfo};

use super::WEB;
use super::emptied::{emptied, without_work};
use super::kernel::{Call, Groups, Kernel};
use super::pace;

/// Dispatches since the program started, for tests and benchmarks.
static DISPATCHES: AtomicU64 = AtomicU64::new(0);

/// Uploads since the program started, for tests and benchmarks.
static UPLOADS: AtomicU64 = AtomicU64::new(0);

/// Number of LoRB's kernels launched since the program started.
#[must_use]
pub fn dispatches() -> u64 {
    DISPATCHES.load(Ordering::Relaxed)
}

/// Number of index tensors and parameter tensors of operations that were copied to a device since the program started.
/// On a GPU, each copy first submits the work before it.
#[must_use]
pub fn uploads() -> u64 {
    UPLOADS.load(Ordering::Relaxed)
}

/// Counts an upload.
pub(in crate::ops) fn count_upload() {
    UPLOADS.fetch_add(1, Ordering::Relaxed);
}

thread_local! {
    static LAUNCHED: RefCell<BTreeSet<&'static str>> = RefCell::default();
}

/// The variants that this thread has launched since the last call.
#[must_use]
pub fn launched() -> BTreeSet<&'static str> {
    LAUNCHED.take()
}

/// A kernel in the form that burn's runtime accepts.
struct Handwritten {
    kernel: &'static Kernel,
    emptied: bool,
}

impl KernelMetadata for Handwritten {
    fn name(&self) -> &'static str {
        self.kernel.name
    }

    fn id(&self) -> KernelId {
        // The shaders check their own loops and indices.
        let info = (self.kernel.name, self.emptied);
        KernelId::new::<Self>().info(info).mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        ElemType::UInt(UIntKind::U32)
    }
}

impl CubeKernel for Handwritten {
    fn define(&self) -> KernelDefinition {
        let settings =
            KernelSettings::new(Dim3::new_single(), ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition { body: Scope::root(settings.clone()), settings, info: Info::default() }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        let Self { kernel, emptied } = *self;
        Some(PrecompiledSource {
            source: if emptied {
                without_work(kernel)
            } else if WEB {
                kernel.browser_source()
            } else {
                kernel.source()
            },
            entrypoint_name: kernel.entry.to_owned(),
            lang: "wgsl",
        })
    }
}

/// Runs a kernel. Buffers must be contiguous; failures appear when a result is read.
pub(in crate::ops) fn launch<'a, C: Call<'a, CubeTensor>>(
    kernel: &'static Kernel,
    call: &C,
    groups: Groups,
) {
    assert_eq!(kernel.entry, C::NAME, "arguments of another kernel");
    let Groups([x, y, z]) = groups;
    if x * y * z == 0 {
        return;
    }
    let buffers = call.buffers();
    let client = buffers[0].client.clone();
    pace::launching(call.work(), buffers[0]);
    let mut arguments = KernelArguments::new();
    for (tensor, written) in buffers.into_iter().zip(kernel.written) {
        let access = if *written { BufferIOAttr::ReadWrite } else { BufferIOAttr::ReadOnly };
        arguments = arguments.with_buffer_io(tensor.handle.clone().binding(), access);
    }
    let arguments = arguments.with_info(MetadataBindingInfo::custom(pack(call.words())));
    DISPATCHES.fetch_add(1, Ordering::Relaxed);
    LAUNCHED.with_borrow_mut(|names| names.insert(kernel.name));
    let emptied = emptied();
    let count = if emptied { CubeCount::new_single() } else { CubeCount::Static(x, y, z) };
    client.launch(Box::new(Handwritten { kernel, emptied }), count, arguments);
}

/// Words for the runtime, padded to the 16-byte alignment of a uniform struct.
fn pack(mut words: Vec<u32>) -> Vec<u64> {
    words.resize(words.len().next_multiple_of(4), 0);
    words.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect()
}

/// A contiguous, row-major tensor.
pub(in crate::ops) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// An uninitialised f32 tensor on the device of `like`.
pub(in crate::ops) fn empty<const D: usize>(shape: [usize; D], like: &CubeTensor) -> CubeTensor {
    // In tests the memory is filled with NaN, so that unwritten elements are detected.
    #[cfg(test)]
    use crate::ops::tests::poison::poisoned as fresh;
    #[cfg(not(test))]
    use std::convert::identity as fresh;
    fresh(empty_device_contiguous_dtype(
        like.client.clone(),
        like.device.clone(),
        Shape::new(shape),
        DType::F32,
    ))
}

/// The `len` elements from `offset` on, on the same memory. The offset must fit the device's alignment.
pub(in crate::ops) fn window(flat: &CubeTensor, offset: usize, len: usize) -> CubeTensor {
    let (bytes, size) = (flat.dtype.size(), flat.shape().num_elements());
    let (start, end) = (offset * bytes, (size - offset - len) * bytes);
    let handle = flat.handle.clone().offset_start(start as u64).offset_end(end as u64);
    let shape = Shape::new([len]);
    CubeTensor::new_contiguous(flat.client.clone(), flat.device.clone(), shape, handle, flat.dtype)
}

/// Rows and columns of a matrix.
pub(in crate::ops) fn dims(tensor: &CubeTensor) -> (u32, u32) {
    let shape = tensor.shape();
    (shape[0] as u32, shape[1] as u32)
}

/// Elements of a tensor.
pub(in crate::ops) fn count(tensor: &CubeTensor) -> u32 {
    tensor.shape().num_elements() as u32
}

/// Whether a tensor is aligned to quads of floats.
pub(in crate::ops) fn aligned(tensor: &CubeTensor) -> bool {
    tensor.handle.offset_start.unwrap_or(0).is_multiple_of(16)
}

/// A tensor with the shape of the matrix `like`.
pub(in crate::ops) fn same_shape(like: &CubeTensor) -> CubeTensor {
    let shape = like.shape();
    empty([shape[0], shape[1]], like)
}

/// One workgroup per block of elements.
pub(in crate::ops) fn by_block(kernel: &Kernel, elements: u32) -> Groups {
    Groups::linear(elements.div_ceil(kernel.constant("BLOCK")))
}

/// One workgroup per block of rows.
pub(in crate::ops) fn by_rows(kernel: &Kernel, rows: u32) -> Groups {
    Groups::linear(rows.div_ceil(kernel.constant("ROWS")))
}
