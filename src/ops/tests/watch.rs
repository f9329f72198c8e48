//! What the launch code tells tests: which variants ran, and buffers in which nothing was written.

use std::cell::RefCell;
use std::collections::BTreeSet;

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

thread_local! {
    static LAUNCHED: RefCell<BTreeSet<&'static str>> = RefCell::default();
}

/// Notes that this thread launched a variant.
pub(in crate::ops) fn launched(name: &'static str) {
    LAUNCHED.with_borrow_mut(|names| names.insert(name));
}

/// The variants that this thread has launched since it was last asked.
pub(in crate::ops) fn taken() -> BTreeSet<&'static str> {
    LAUNCHED.take()
}

/// The same memory layout, full of NaN.
pub(in crate::ops) fn poisoned(like: CubeTensor) -> CubeTensor {
    let shape = like.shape();
    let bytes = f32::NAN.to_le_bytes().repeat(shape.num_elements());
    let handle = like.client.create_from_slice(&bytes);
    CubeTensor::new_contiguous(like.client, like.device, shape, handle, like.dtype)
}
