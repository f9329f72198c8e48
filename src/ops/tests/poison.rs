//! Poisoned buffers for tests of the launch code.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

/// The same memory layout, filled with NaN.
pub(in crate::ops) fn poisoned(like: CubeTensor) -> CubeTensor {
    let shape = like.shape();
    let bytes = f32::NAN.to_le_bytes().repeat(shape.num_elements());
    let handle = like.client.create_from_slice(&bytes);
    CubeTensor::new_contiguous(like.client, like.device, shape, handle, like.dtype)
}
