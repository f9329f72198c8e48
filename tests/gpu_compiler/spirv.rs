//! The SPIR-V that wgpu gives a Vulkan driver for a kernel.

use burn::tensor::wgpu::wgpu::naga;
use lorb::ops::wgsl::kernel::Kernel;
use naga::ShaderStage;
use naga::back::spv;
use naga::front::wgsl::{Frontend, Options};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// The options of wgpu-hal 30.0.1 for a driver of Vulkan 1.3 (`naga_options` in `vulkan/adapter.rs`), without the
/// run-time checks that burn's runtime turns off (`backend/base.rs` of cubecl-wgpu; `compile_stage` in
/// `vulkan/device.rs`).
fn options() -> spv::Options<'static> {
    let unchecked = BoundsCheckPolicy::Unchecked;
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        // Buffers keep the numbers that they have in the WGSL.
        fake_missing_bindings: true,
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    }
}

/// The SPIR-V of a kernel, in words.
pub fn spirv(kernel: &Kernel) -> Vec<u32> {
    let options_in = Options { capabilities: Capabilities::all(), ..Options::new() };
    let parsed = Frontend::new_with_options(options_in).parse(&kernel.source());
    let module = parsed.expect("the build parsed it");
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).expect("the build validated it");
    let entry = spv::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: kernel.entry.to_owned(),
    };
    spv::write_vec(&module, &info, &options(), Some(&entry)).expect("naga writes valid modules")
}
