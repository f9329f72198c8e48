//! The software GPU that tests run on. Unit tests use it as `crate::test_gpu`, integration tests as `common::gpu`.
//!
//! A test without a GPU fails, unless `LORB_ALLOW_NO_GPU` is set. It then prints a line that says that it did not run,
//! past the capture of the test harness, and appends the line to the file that `LORB_NOT_RUN` names, if it names one.
#![allow(dead_code, reason = "every test program uses a part")]

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind, Tensor};

/// The GPU path on a software adapter, or on the adapter that burn takes for one.
///
/// # Panics
/// If there is none, unless `LORB_ALLOW_NO_GPU` is set.
pub fn software() -> Option<Device> {
    // burn panics if it finds no adapter.
    let found = std::panic::catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::Cpu);
        Tensor::<1>::zeros([1], &device).into_data();
        device
    });
    found.ok().or_else(missing)
}

/// The same, with the limits and features that every WebGPU device offers and no more.
///
/// # Panics
/// As [`software`].
pub fn least() -> Option<Device> {
    static LEAST: OnceLock<Device> = OnceLock::new();
    software()?;
    Some(LEAST.get_or_init(open_least).clone())
}

fn open_least() -> Device {
    let least = wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits::default(),
        ..wgpu::DeviceDescriptor::default()
    };
    let setup = open(|_| least).expect("the software GPU is a Vulkan one");
    let (limits, features) = (setup.device.limits(), setup.device.features());
    assert_eq!(
        (
            limits.max_compute_workgroup_storage_size,
            limits.max_storage_buffers_per_shader_stage,
            features.contains(wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP),
        ),
        (16 * 1024, 8, false),
        "a device with more than the minimum proves nothing"
    );
    Device::wgpu_options().setup(setup).init().expect("a runtime")
}

/// A device that no other test uses, with all that the software adapter offers, and wgpu's handle to it.
///
/// # Panics
/// As [`software`].
pub fn separate() -> Option<(Device, wgpu::Device)> {
    let setup = open(everything).or_else(missing)?;
    let handle = setup.device.clone();
    // burn keeps one runtime per kind of device, but makes another for a given setup.
    Some((Device::wgpu_options().setup(setup).init().expect("a runtime"), handle))
}

/// The same device without burn's runtime: wgpu's handles to it and to its queue.
///
/// # Panics
/// As [`software`].
pub fn bare() -> Option<(wgpu::Device, wgpu::Queue)> {
    let WgpuSetup { device, queue, .. } = open(everything).or_else(missing)?;
    Some((device, queue))
}

/// All that an adapter offers.
fn everything(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        required_limits: adapter.limits(),
        required_features: adapter.features() - wgpu::Features::all_experimental_mask(),
        ..wgpu::DeviceDescriptor::default()
    }
}

/// Opens the first software adapter.
fn open<'a>(
    wanted: impl FnOnce(&wgpu::Adapter) -> wgpu::DeviceDescriptor<'a>,
) -> Option<WgpuSetup> {
    let backends = wgpu::Backends::VULKAN;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    let software =
        |adapter: &wgpu::Adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let adapter = adapters.into_iter().find(software)?;
    let opened = pollster::block_on(adapter.request_device(&wanted(&adapter)));
    let (device, queue) = opened.expect("a device of the software adapter");
    let backend = adapter.get_info().backend;
    Some(WgpuSetup { instance, adapter, device, queue, backend })
}

/// No adapter: fails the test or lets it end.
pub fn missing<T>() -> Option<T> {
    not_run("no GPU adapter");
    None
}

/// Reports that the test of this thread does not run.
///
/// # Panics
/// Unless `LORB_ALLOW_NO_GPU` is set: a test that did not run must not look as if it had passed.
pub fn not_run(why: &str) {
    assert!(
        std::env::var_os("LORB_ALLOW_NO_GPU").is_some(),
        "{why}; install mesa-vulkan-drivers, or set LORB_ALLOW_NO_GPU=1 to do without"
    );
    report_not_run(why);
}

/// Writes the line about a test that does not run, once, with how many there were in this test program.
pub fn report_not_run(why: &str) {
    static TESTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    let mut tests = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if tests.contains(&test) {
        return;
    }
    let count = tests.len() + 1;
    let line = format!("NOT RUN: {why}: {test} ({count} in this test program)\n");
    tests.push(test);
    // The harness captures what `eprint!` writes, but not this.
    std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    if let Some(path) = std::env::var_os("LORB_NOT_RUN") {
        let file = File::options().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the file that LORB_NOT_RUN names can be written");
    }
}
