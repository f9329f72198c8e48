//! The devices of the tests, and tensors on them.

use std::sync::OnceLock;

use burn::backend::TensorMetadata;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{DType, Device, DeviceKind, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::poison::poisoned;
use super::support::read;
use crate::ops::{Precision, Storage, Weights};

/// A software rasteriser, or whatever adapter burn takes for one. `None` only where the environment
/// allows that: a check that did not run must not look as if it had passed.
pub(super) fn gpu() -> Option<Device> {
    // burn panics where no adapter is found.
    let found = std::panic::catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::Cpu);
        Tensor::<1>::zeros([1], &device).into_data();
        device
    });
    match found {
        Ok(device) => Some(device),
        Err(_) if std::env::var_os("LORB_ALLOW_NO_GPU").is_some() => None,
        Err(_) => panic!("no GPU adapter; install mesa-vulkan-drivers or set LORB_ALLOW_NO_GPU=1"),
    }
}

/// What its adapter has beyond WebGPU's base; burn asks for all of it.
pub(super) fn features() -> wgpu::Features {
    let adapters = crate::device::adapters();
    adapters.iter().find(|adapter| adapter.is_software()).expect("it is in use").features
}

/// The same, held to the limits and the features that every WebGPU device offers.
pub(super) fn least_gpu() -> Option<Device> {
    static LEAST: OnceLock<Device> = OnceLock::new();
    gpu()?;
    Some(LEAST.get_or_init(restricted).clone())
}

fn restricted() -> Device {
    let instance = wgpu::Instance::default();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let adapter = adapters
        .into_iter()
        .find(|adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu)
        .expect("the software GPU is a Vulkan one");
    let wanted = wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits::default(),
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wanted)).expect("a device of default limits");
    assert_eq!(
        (
            device.limits().max_compute_workgroup_storage_size,
            device.limits().max_storage_buffers_per_shader_stage,
            device.features().contains(wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP),
        ),
        (16 * 1024, 8, false),
        "more than the least would prove nothing"
    );
    let backend = adapter.get_info().backend;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    Device::wgpu_options().setup(setup).init().expect("a device of ours")
}

/// Where the kernels' own buffers are.
pub(super) struct Gpu {
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

    /// Numbers that f32 holds exactly.
    pub fn floats<const D: usize>(&self, shape: [usize; D], values: &[f64]) -> CubeTensor {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let words: Vec<u32> = values.iter().map(|value| (*value as f32).to_bits()).collect();
        self.put(shape, &words, DType::F32)
    }

    pub fn words(&self, words: &[u32]) -> CubeTensor {
        self.put([words.len()], words, DType::U32)
    }

    /// An output: full of NaN until a kernel writes to it.
    pub fn output<const D: usize>(&self, shape: [usize; D]) -> CubeTensor {
        poisoned(self.floats(shape, &vec![0.0; shape.iter().product()]))
    }

    /// A frozen weight: its words, how they are to be read, and the numbers that they stand for.
    pub fn weight(
        &self,
        values: &[f64],
        shape: [usize; 2],
        precision: Precision,
    ) -> (CubeTensor, Storage, Vec<f64>) {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        // The CPU keeps the rounded numbers in full.
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
pub(super) fn host(tensor: &CubeTensor) -> Vec<f64> {
    let values = read::<CubeBackend>(tensor.clone());
    assert_eq!(values.len(), tensor.shape().num_elements());
    values
}
