//! What the tests against PyTorch's numbers share: bases, devices and golden files.
#![allow(dead_code, reason = "every test file uses a part")]

use std::path::{Path, PathBuf};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind, Tensor};
use lorb::base::{Base, BaseFiles, TensorFile, TokenizerFile};

/// The directory of golden files.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Reads a file of the golden directory.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = golden().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses a JSON file of the golden directory.
pub fn json(path: impl AsRef<Path>) -> serde_json::Value {
    serde_json::from_slice(&read(path)).expect("golden files are valid JSON")
}

/// Opens a safetensors file of the golden directory.
pub fn tensors(path: impl AsRef<Path>) -> TensorFile<Vec<u8>> {
    TensorFile::open(read(path)).expect("golden files are valid safetensors")
}

/// A base with golden files: its name, and where its own files are.
pub struct Case {
    pub name: &'static str,
    pub directory: PathBuf,
}

impl Case {
    pub fn base(&self) -> Base {
        let file = |name: &str| {
            let path = self.directory.join(name);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Base::from_files(BaseFiles {
            config: &file("config.json"),
            tokenizer: TokenizerFile::Json(&file("tokenizer.json")),
            weights: file("model.safetensors"),
        })
        .expect("a base that loads")
    }
}

/// The random base that is part of the repository.
pub fn tiny() -> Case {
    Case { name: "tiny", directory: golden().join("tiny") }
}

/// all-MiniLM-L6-v2, in the directory that `LORB_MINILM` names.
///
/// Fails where it is not set, unless `LORB_ALLOW_NO_MINILM` is: a check that did not run must not
/// look as if it had passed.
pub fn minilm() -> Option<Case> {
    match std::env::var_os("LORB_MINILM") {
        Some(directory) => Some(Case { name: "minilm", directory: directory.into() }),
        None if std::env::var_os("LORB_ALLOW_NO_MINILM").is_some() => None,
        None => panic!(
            "set LORB_MINILM to the directory that scripts/fetch-minilm.sh prints, or LORB_ALLOW_NO_MINILM=1"
        ),
    }
}

/// The CPU path.
pub fn cpu() -> Device {
    Device::flex()
}

/// The GPU path on a software rasteriser.
///
/// Fails where there is none, unless `LORB_ALLOW_NO_GPU` is set.
pub fn software_gpu() -> Option<Device> {
    // burn panics where no adapter is found.
    let found = std::panic::catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::Cpu);
        Tensor::<1>::zeros([1], &device).into_data();
        device
    });
    match found {
        Ok(device) => Some(device),
        Err(_) if std::env::var_os("LORB_ALLOW_NO_GPU").is_some() => None,
        Err(_) => panic!("no software GPU; install mesa-vulkan-drivers or set LORB_ALLOW_NO_GPU=1"),
    }
}

/// The same, held to the limits and the features that every WebGPU device offers.
pub fn least_gpu() -> Option<Device> {
    software_gpu()?;
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
    let limits = device.limits();
    assert_eq!(
        (limits.max_compute_workgroup_storage_size, limits.max_storage_buffers_per_shader_stage),
        (16 * 1024, 8),
        "more than the least would prove nothing"
    );
    let backend = adapter.get_info().backend;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    Some(Device::wgpu_options().setup(setup).init().expect("a device of ours"))
}
