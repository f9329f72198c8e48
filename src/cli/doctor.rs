//! `lorb doctor`: what this machine can compute on, and what `--device auto` would take.

use std::fmt::Write;

use burn::tensor::wgpu::wgpu;
use lorb::device::{AdapterReport, DeviceChoice, adapters, select};

use super::error::CliError;
use super::output;

/// What LoRB's kernels ask of an adapter: no more than every implementation of WebGPU gives.
struct Need {
    name: &'static str,
    least: u64,
    found: fn(&wgpu::Limits) -> u64,
}

const NEEDS: [Need; 6] = [
    Need {
        name: "storage buffers a stage",
        least: 8,
        found: |limits| limits.max_storage_buffers_per_shader_stage.into(),
    },
    Need {
        name: "storage binding, bytes",
        least: 128 << 20,
        found: |limits| limits.max_storage_buffer_binding_size,
    },
    Need { name: "buffer, bytes", least: 256 << 20, found: |limits| limits.max_buffer_size },
    Need {
        name: "workgroup memory, bytes",
        least: 16 << 10,
        found: |limits| limits.max_compute_workgroup_storage_size.into(),
    },
    Need {
        name: "invocations a workgroup",
        least: 256,
        found: |limits| limits.max_compute_invocations_per_workgroup.into(),
    },
    Need {
        name: "workgroups a dimension",
        least: 65_535,
        found: |limits| limits.max_compute_workgroups_per_dimension.into(),
    },
];

pub fn run() -> Result<(), CliError> {
    let mut text = format!("lorb {}\n\n", env!("CARGO_PKG_VERSION"));
    cpu(&mut text);
    let found = adapters();
    if found.is_empty() {
        text.push_str("\nno adapter through Vulkan, Metal or DX12\n");
    }
    for adapter in &found {
        describe(&mut text, adapter);
    }
    let selected =
        select(DeviceChoice::Auto).map_err(|error| CliError::at("--device auto", &error))?;
    let why = selected.note.map(|note| format!(": {note}")).unwrap_or_default();
    text.push_str(&format!("\n--device auto takes {}{why}\n", selected.name));
    output::print(&text)
}

fn cpu(text: &mut String) {
    let threads = std::thread::available_parallelism();
    let threads = threads.map_or_else(|error| error.to_string(), |count| count.to_string());
    line(text, "CPU", std::env::consts::ARCH);
    line(text, "threads", &threads);
    line(text, "vector instructions", &vector_instructions());
}

#[cfg(target_arch = "x86_64")]
fn vector_instructions() -> String {
    let found = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
    ];
    found.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_instructions() -> String {
    if cfg!(target_feature = "neon") { "neon".into() } else { "not known".into() }
}

fn describe(text: &mut String, adapter: &AdapterReport) {
    let info = &adapter.info;
    text.push('\n');
    line(text, "adapter", &info.name);
    line(
        text,
        "type",
        &format!(
            "{:?}{}",
            info.device_type,
            if adapter.is_software() { " (software rasteriser)" } else { "" }
        ),
    );
    line(text, "graphics API", &format!("{:?}", info.backend));
    line(text, "driver", &format!("{} {}", info.driver, info.driver_info));
    let yes = |feature| if adapter.features.contains(feature) { "yes" } else { "no" };
    line(text, "shader-f16", yes(wgpu::Features::SHADER_F16));
    let sizes = format!(
        "{}, of {} to {}",
        yes(wgpu::Features::SUBGROUP),
        info.subgroup_min_size,
        info.subgroup_max_size
    );
    line(text, "subgroups", &sizes);
    line(text, "timestamps", yes(wgpu::Features::TIMESTAMP_QUERY));
    for need in &NEEDS {
        let found = (need.found)(&adapter.limits);
        let short = if found < need.least {
            format!(", too few: LoRB needs {}", need.least)
        } else {
            String::new()
        };
        line(text, need.name, &format!("{found}{short}"));
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // A string takes whatever is written to it.
    let _ = writeln!(text, "{name:<24} {}", value.trim());
}
