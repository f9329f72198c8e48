//! Mesa's compiler for AMD's GPUs (RADV), which also compiles for a GPU that is not in the machine.

use std::env;
use std::ffi::CString;

use ash::{khr, vk};
use burn::tensor::wgpu::wgpu;
use burn::tensor::wgpu::wgpu::hal;
use lorb::ops::wgsl::kernel::Kernel;

use super::budget::Statistics;
use super::spirv;

type Vulkan = hal::api::Vulkan;

/// A device of a family of GPUs that compiles, but has nothing to run on.
pub struct Compiler {
    device: hal::OpenDevice<Vulkan>,
    executables: khr::pipeline_executable_properties::Device,
    features: wgpu::Features,
    /// The version of Mesa.
    pub version: String,
}

impl Compiler {
    /// Opens a device of the family, with the features that LoRB's runtime requests. `None`: Mesa has no such driver
    /// here.
    pub fn open(family: &str) -> Option<Self> {
        // SAFETY: of this program's tests only one calls C code, which reads the environment without a lock.
        unsafe {
            env::set_var("RADV_FORCE_FAMILY", family);
            env::set_var("MESA_SHADER_CACHE_DISABLE", "true");
        }
        let backends = wgpu::Backends::VULKAN;
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        let adapter = adapters.into_iter().find(|adapter| adapter.get_info().driver == "radv")?;
        let version = adapter.get_info().driver_info;
        let features = adapter.features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        let mut reports = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
            .pipeline_executable_info(true);
        // SAFETY: the adapter is not destroyed here, and nothing is taken from it.
        let raw = unsafe { adapter.as_hal::<Vulkan>() }.expect("a Vulkan adapter");
        let reports = &mut reports;
        let callback: Box<hal::vulkan::CreateDeviceCallback<'_>> = Box::new(move |args| {
            args.extensions.push(khr::pipeline_executable_properties::NAME);
            *args.create_info = args.create_info.push_next(reports);
        });
        // SAFETY: RADV has this extension on every GPU, and no feature is removed.
        let opened = unsafe {
            raw.open_with_callback(
                features,
                &adapter.limits(),
                &wgpu::MemoryHints::MemoryUsage,
                Some(callback),
            )
        };
        let device = opened.expect("RADV opens a device without a GPU");
        let instance = device.device.shared_instance().raw_instance();
        let executables =
            khr::pipeline_executable_properties::Device::new(instance, device.device.raw_device());
        Some(Self { device, executables, features, version })
    }

    /// Whether the device has the kernel's extensions.
    pub fn supports(&self, kernel: &Kernel) -> bool {
        let matrices = kernel.extensions.contains(&"wgpu_cooperative_matrix");
        !matrices || self.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    }

    /// Compiles the SPIR-V of a kernel.
    pub fn compile(&self, kernel: &Kernel) -> Result<Statistics, vk::Result> {
        let words = spirv::spirv(kernel);
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: naga wrote valid SPIR-V; the module is destroyed before the device.
        unsafe {
            let device = self.device.device.raw_device();
            let module = device.create_shader_module(&info, None)?;
            let found = self.statistics(kernel, module);
            device.destroy_shader_module(module, None);
            found
        }
    }

    /// The statistics of a pipeline of the module.
    ///
    /// # Safety
    /// The module must be one of this device and of this kernel.
    unsafe fn statistics(
        &self,
        kernel: &Kernel,
        module: vk::ShaderModule,
    ) -> Result<Statistics, vk::Result> {
        let device = self.device.device.raw_device();
        let storage = kernel.written.iter().map(|_| vk::DescriptorType::STORAGE_BUFFER);
        let bindings: Vec<_> = storage
            .chain([vk::DescriptorType::UNIFORM_BUFFER])
            .enumerate()
            .map(|(binding, kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding as u32)
                    .descriptor_type(kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let entry = CString::new(kernel.entry).expect("names contain no zero");
        // SAFETY: every object is used with the device that made it and destroyed once.
        unsafe {
            let set = device.create_descriptor_set_layout(
                &vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings),
                None,
            )?;
            let sets = [set];
            let layout = device.create_pipeline_layout(
                &vk::PipelineLayoutCreateInfo::default().set_layouts(&sets),
                None,
            )?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                // As wgpu does on devices with subgroups.
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&entry);
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = made.map_err(|(_, error)| error)?[0];
            let found = self.executables.get_pipeline_executable_statistics(
                &vk::PipelineExecutableInfoKHR::default().pipeline(pipeline),
            );
            let found = found.map(|all| read(&all));
            device.destroy_pipeline(pipeline, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set, None);
            found
        }
    }
}

fn read(all: &[vk::PipelineExecutableStatisticKHR<'_>]) -> Statistics {
    let value = |name: &str| {
        let found = all.iter().find(|each| {
            each.name_as_c_str().is_ok_and(|known| known.to_bytes() == name.as_bytes())
        });
        let found = found.unwrap_or_else(|| panic!("RADV reports no {name}"));
        assert_eq!(found.format, vk::PipelineExecutableStatisticFormatKHR::UINT64, "{name}");
        // SAFETY: the format says which field was written.
        unsafe { found.value.u64 }
    };
    Statistics {
        registers: value("VGPRs"),
        spills: value("Spilled SGPRs") + value("Spilled VGPRs"),
        workgroup_bytes: value("LDS size"),
        waves: value("Subgroups per SIMD"),
    }
}
