//! `lorb doctor`: the report on this machine and the check of the kernels.

use crate::gpu;
use crate::sandbox::{Run, Sandbox};

fn doctor(words: &str) -> Run {
    Sandbox::new().run_with_shaders(&format!("doctor {words}"))
}

#[test]
fn the_cpu_has_no_kernels_to_check() {
    let text = doctor("--device cpu").done();
    assert!(text.ends_with("\n--device cpu selects CPU\n"), "{text}");
    assert!(!text.contains("probe of"), "{text}");
}

#[test]
fn limits_of_every_adapter_are_shown() {
    let text = doctor("--device cpu").done();
    let adapters = text.lines().filter(|line| line.starts_with("adapter ")).count();
    if adapters == 0 {
        return gpu::not_run("no adapter at all");
    }
    for name in [
        "shader-f16",
        "subgroups",
        "storage buffers per stage",
        "storage binding, bytes",
        "workgroup memory, bytes",
        "invocations per workgroup",
    ] {
        let lines = text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines, adapters, "{name} in {text}");
    }
}

#[test]
fn the_kernels_of_the_software_adapter_are_checked_one_by_one() {
    let run = doctor("--device software");
    if run.stderr.contains("no software adapter was found") {
        assert!(run.stderr.contains("run `lorb doctor` to list the adapters"), "{}", run.stderr);
        return gpu::not_run("no software adapter");
    }
    let text = run.done();
    let (_, probe) = text.split_once("probe of ").unwrap_or_else(|| panic!("no probe in {text}"));
    assert!(probe.contains("\nLoRB's own kernels       yes\n"), "{probe}");
    let variants = lorb::ops::wgsl::kernel::ALL.len();
    assert!(
        probe.contains(&format!("\nkernel variants          {variants}, of which ")),
        "{probe}"
    );
    let checked: Vec<&str> = probe.lines().filter(|line| line.ends_with(" ok")).collect();
    assert!(probe.contains(&format!("\nresults compared         {}, 0 wrong", checked.len())));
    for (operation, kernel) in [
        ("lora_linear Gelu f32, 133 by 68", "lora_linear_gelu_f32_fused8_32x32"),
        ("attention, 2 heads of 64", "attention_backward_vec4"),
        ("score_head, ", "score_head_backward"),
    ] {
        let found = checked.iter().any(|line| line.contains(operation) && line.contains(kernel));
        assert!(found, "{operation}: {kernel} in {probe}");
    }
    assert!(text.contains("\n--device software selects "), "{text}");
}
