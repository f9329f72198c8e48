//! `lorb doctor`: lists the devices of this machine, checks their results, and shows which one
//! `--device auto` selects.

use std::fmt::Write;
use std::time::Instant;

use burn::tensor::wgpu::wgpu;
use clap::Args;
use lorb::device::{
    AdapterReport, DeviceChoice, DeviceError, Selected, SelectedKind, adapters, select,
    select_unprobed,
};
use lorb::ops::probe::{CaseSet, Checked, examine, runs_own_kernels};
use lorb::ops::wgsl::kernel::ALL;

use super::args::{why, words};
use super::error::CliError;
use super::{output, threads};

/// Limits that LoRB's kernels need: at most those that every WebGPU implementation guarantees.
struct Need {
    name: &'static str,
    least: u64,
    found: fn(&wgpu::Limits) -> u64,
}

const NEEDS: [Need; 6] = [
    Need {
        name: "storage buffers per stage",
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
        name: "invocations per workgroup",
        least: 256,
        found: |limits| limits.max_compute_invocations_per_workgroup.into(),
    },
    Need {
        name: "workgroups per dimension",
        least: 65_535,
        found: |limits| limits.max_compute_workgroups_per_dimension.into(),
    },
];

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Device whose kernels are checked: auto uses a GPU if available, else the CPU, which
    /// has no kernels to check
    #[arg(long, default_value_t = DeviceChoice::Auto, value_parser = words::<DeviceChoice>(&["auto", "gpu", "cpu", "software"]))]
    pub device: DeviceChoice,
}

pub fn run(args: &DoctorArgs) -> Result<(), CliError> {
    let mut text = format!("lorb {}\n\n", env!("CARGO_PKG_VERSION"));
    cpu(&mut text);
    let found = adapters();
    if found.is_empty() {
        text.push_str("\nno adapter through Vulkan, Metal or DX12\n");
    }
    for adapter in &found {
        describe(&mut text, adapter);
    }
    // Print this now: it helps if the device cannot be opened or hangs.
    output::print(&text)?;

    let flag = format!("--device {}", args.device);
    let device = threads::start()?.allow(args.device)?;
    let opened = select_unprobed(device).map_err(|error| CliError::at(&flag, &error))?;
    let wrong = if opened.kind == SelectedKind::Cpu {
        None
    } else {
        let (report, wrong) = check(&opened);
        output::print(&report)?;
        wrong
    };
    // If there was no fault, this shows whether the other commands would use the device.
    let taken = match wrong {
        Some(wrong) if args.device != DeviceChoice::Auto => {
            return Err(CliError::at(&flag, &wrong));
        }
        _ => select(device).map_err(|error| CliError::at(&flag, &error))?,
    };
    let why = why(&taken);
    output::print(&format!("\n{flag} selects {}{why}\n", taken.name))?;
    wrong.map_or(Ok(()), |wrong| Err(CliError::at(&flag, &wrong)))
}

/// Runs every case on the device. Returns the text to print and the first fault.
fn check(opened: &Selected) -> (String, Option<DeviceError>) {
    let start = Instant::now();
    let all = pollster::block_on(examine(&opened.device, CaseSet::Full));
    let seconds = start.elapsed().as_secs_f64();
    let mut text = String::from("\n");
    line(&mut text, "probe of", &opened.name);
    let own = runs_own_kernels(&opened.device);
    line(&mut text, "LoRB's own kernels", if own { "yes" } else { "no: burn's operations" });
    let mut run: Vec<&str> = all.iter().flat_map(|checked| checked.kernels.clone()).collect();
    run.sort_unstable();
    run.dedup();
    let variants = format!("{}, of which {} are checked", ALL.len(), run.len());
    line(&mut text, "kernel variants", &variants);
    let wrong: Vec<&Checked> = all.iter().filter(|checked| checked.fault.is_some()).collect();
    let count = format!("{}, {} wrong, in {seconds:.1} s", all.len(), wrong.len());
    line(&mut text, "results compared", &count);
    text.push_str("  largest error and tolerance\n");
    for checked in &all {
        let Checked { operation, result, kernels, largest_error, allowed, fault } = checked;
        let state = fault.as_ref().map_or("ok".to_owned(), |fault| format!("WRONG: {fault}"));
        let kernels = kernels.join(", ");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {largest_error:.1e} / {allowed:.1e}  {operation}: {result} ({kernels}) {state}"
        );
    }
    let first = wrong.first().and_then(|checked| checked.verdict().err());
    let name = opened.name.clone();
    (text, first.map(|source| DeviceError::Wrong { name, source }))
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
            if adapter.is_software() { " (software adapter)" } else { "" }
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
            format!(", too low: LoRB needs {}", need.least)
        } else {
            String::new()
        };
        line(text, need.name, &format!("{found}{short}"));
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<24} {}", value.trim());
}
