//! The devices of the tests, and tensors on them.

use burn::backend::TensorMetadata;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::poison::poisoned;
use super::support::read;
use crate::ops::{Precision, Storage, Weights};
pub(in crate::ops) use crate::test_gpu::{least as least_gpu, software as gpu};

/// The adapter's features beyond core WebGPU; burn enables all of them.
pub(in crate::ops) fn features() -> wgpu::Features {
    let adapters = crate::device::adapters();
    adapters.iter().find(|adapter| adapter.is_software()).expect("it is in use").features
}

/// The software adapter, if it has f16 in shaders.
pub(in crate::ops) fn half_gpu() -> Option<Device> {
    let device = gpu()?;
    if features().contains(wgpu::Features::SHADER_F16) {
        return Some(device);
    }
    crate::test_gpu::not_run("the software adapter has no f16 in shaders");
    None
}

/// The device for buffers of kernels.
pub(in crate::ops) struct Gpu {
    like: CubeTensor,
    device: Device,
}

impl Gpu {
    pub fn new(device: Device) -> Self {
        let like = primitive(Tensor::<1>::zeros([1], &device));
        Self { like, device }
    }

    fn put<const D: usize>(&self, shape: [usize; D], words: &[u32], dtype: DType) -> CubeTensor {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let client = self.like.client.clone();
        let handle = client.create_from_slice(&bytes);
        let device = self.like.device.clone();
        CubeTensor::new_contiguous(client, device, Shape::new(shape), handle, dtype)
    }

    /// Values that f32 represents exactly.
    pub fn floats<const D: usize>(&self, shape: [usize; D], values: &[f64]) -> CubeTensor {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let words: Vec<u32> = values.iter().map(|value| (*value as f32).to_bits()).collect();
        self.put(shape, &words, DType::F32)
    }

    pub fn words(&self, words: &[u32]) -> CubeTensor {
        self.put([words.len()], words, DType::U32)
    }

    /// An output, filled with NaN until a kernel writes to it.
    pub fn output<const D: usize>(&self, shape: [usize; D]) -> CubeTensor {
        poisoned(self.floats(shape, &vec![0.0; shape.iter().product()]))
    }

    /// A frozen weight: its words, their storage, and their values.
    pub fn weight(
        &self,
        values: &[f64],
        shape: [usize; 2],
        precision: Precision,
    ) -> (CubeTensor, Storage, Vec<f64>) {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        // The CPU stores the rounded values as f32.
        let rounded = Weights::new(&values, shape, precision, &Device::flex()).words;
        let Weights { words, storage } = Weights::new(&values, shape, precision, &self.device);
        assert_eq!(storage.precision, precision);
        let rounded: Vec<f32> = rounded.into_data().try_into_vec().expect("f32");
        (primitive(words), storage, rounded.into_iter().map(f64::from).collect())
    }
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let Ok(tensor) = tensor.try_into_primitive::<CubeBackend>() else {
        panic!("a tensor of another backend")
    };
    tensor
}

/// The elements.
pub(in crate::ops) fn host(tensor: &CubeTensor) -> Vec<f64> {
    let values = read::<CubeBackend>(tensor.clone());
    assert_eq!(values.len(), tensor.shape().num_elements());
    values
}
