//! Tests of the probe: its coverage, its tolerances, and that it detects faulty kernels.

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, Tensor};

use super::*;
use crate::ops::wgsl::Extensions;
use crate::ops::wgsl::kernel::ALL;
use crate::test_gpu::software as gpu;

fn named() -> Vec<&'static str> {
    let all = cases();
    let kernels = all.iter().flat_map(|case| &case.results).flat_map(|result| &result.kernels);
    kernels.copied().collect()
}

#[test]
fn every_variant_has_a_case_and_every_name_is_a_variant() {
    let named = named();
    for name in &named {
        assert!(ALL.iter().any(|kernel| kernel.name == *name), "{name} is not a kernel");
    }
    for kernel in ALL {
        assert!(named.contains(&kernel.name), "no case runs {}", kernel.name);
    }
}

#[test]
fn names_of_cases_are_unique() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_quick_run_is_short_and_covers_the_model() {
    let quick = chosen(CaseSet::Quick, Tuning::SOFTWARE);
    assert!(quick.len() <= 13, "{} cases", quick.len());
    for operation in [
        "embed_layer_norm",
        "linear ",
        "lora_linear ",
        "attention,",
        "attention_cls",
        "add_layer_norm",
        "score_head",
        "list_loss",
        "adamw",
    ] {
        assert!(quick.iter().any(|case| case.name.starts_with(operation)), "{operation}");
    }
}

#[test]
fn f16_factors_have_their_own_run() {
    let half = Tuning { extensions: Extensions { half: true, ..Extensions::NONE }, ..Tuning::GPU };
    let names = |extent, tuning| -> Vec<String> {
        chosen(extent, tuning).into_iter().map(|case| case.name).collect()
    };
    assert_eq!(names(CaseSet::Quick, half), names(CaseSet::Quick, Tuning::GPU));
    let mixed = names(CaseSet::Mixed, half);
    for operation in ["linear Gelu mixed", "lora_linear Identity mixed"] {
        assert!(mixed.iter().any(|name| name.starts_with(operation)), "{operation}: {mixed:?}");
    }
    assert!(mixed.iter().all(|name| name.contains("mixed")) && mixed.len() <= 6, "{mixed:?}");
    assert!(names(CaseSet::Mixed, Tuning::GPU).is_empty());
}

#[test]
fn the_cpu_agrees_with_itself_and_nothing_is_zero() {
    let checked = pollster::block_on(probe(&Device::flex(), CaseSet::Full)).expect("the same code");
    assert!(checked.iter().all(|one| one.largest_error == 0.0 && one.kernels.is_empty()));
    // Expected zeros would accept a kernel that writes nothing.
    for case in chosen(CaseSet::Full, Tuning::SOFTWARE) {
        for (result, values) in case.results.iter().zip(compute(&case, &Device::flex())) {
            let values = pollster::block_on(read(values)).expect("readable");
            let what = format!("{} of {}", result.name, case.name);
            let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
            assert!(most > 100.0 * compare::ABSOLUTE as f32, "{what} is at most {most}");
        }
    }
    let of_gpus = chosen(CaseSet::Full, Tuning::GPU);
    assert_eq!(checked.len(), of_gpus.iter().map(|case| case.results.len()).sum::<usize>());
    assert!(of_gpus.len() < cases().len());
}

#[test]
fn one_wrong_number_is_found_and_its_kernels_are_named() {
    let all = chosen(CaseSet::Quick, Tuning::SOFTWARE);
    let case = all.iter().find(|case| case.name.starts_with("linear ")).expect("a quick case");
    let spoil = |result: &str, mut values: Vec<f32>| {
        if result == "gradient by x" {
            values[7] += 0.1;
        }
        values
    };
    let checked = pollster::block_on(check(case, &Device::flex(), spoil));
    assert_eq!(checked[0].verdict(), Ok(()));
    let error = checked[1].verdict().expect_err("spoiled");
    assert!(matches!(error.fault, Fault::Differs { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "the gradient by x of linear Gelu f32, 133 by 68 to 132, tile 64x64/64 is off"
        ),
        "{text}"
    );
    assert!(text.contains("by 1.0e-1; the tolerance is "), "{text}");
}

#[test]
fn every_kernel_is_correct_on_the_software_adapter_and_runs_in_its_case() {
    let Some(gpu) = gpu() else { return };
    assert!(runs_own_kernels(&gpu) && !runs_own_kernels(&Device::flex()));
    // Launch code selects no variants with subgroups on a software adapter, but it can run them.
    let adapters = crate::device::adapters();
    let software = adapters.iter().find(|adapter| adapter.is_software()).expect("it runs");
    let [subgroups, half] = [wgpu::Features::SUBGROUP, wgpu::Features::SHADER_F16]
        .map(|feature| software.features.contains(feature));
    wgsl::register_extensions(&gpu, Extensions { subgroups, half, ..Extensions::NONE });
    for case in chosen(CaseSet::Full, wgsl::tuned_for(&gpu)) {
        drop(wgsl::launched());
        for checked in pollster::block_on(check(&case, &gpu, unaltered)) {
            checked.verdict().unwrap_or_else(|error| panic!("{error}"));
        }
        let launched = wgsl::launched();
        for kernel in case.results.iter().flat_map(|result| &result.kernels) {
            assert!(launched.contains(kernel), "{} did not run {kernel}", case.name);
        }
    }
}

#[test]
fn a_fault_on_a_gpu_names_the_kernel() {
    let Some(gpu) = gpu() else { return };
    let all = chosen(CaseSet::Quick, Tuning::SOFTWARE);
    let case = all.iter().find(|case| case.name.starts_with("score_head")).expect("a quick case");
    type Change = fn(f32) -> f32;
    let spoils: [(&str, Change); 3] =
        [("is all zero", |_| 0.0), ("not finite", |_| f32::NAN), ("is off by", |value| -value)];
    for (expected, spoil) in spoils {
        let alter = |result: &str, values: Vec<f32>| match result {
            "output" => values.into_iter().map(spoil).collect(),
            _ => values,
        };
        let checked = pollster::block_on(check(case, &gpu, alter));
        let text = checked[0].verdict().expect_err("spoiled").to_string();
        assert!(text.starts_with("the output of score_head") && text.contains(expected), "{text}");
        assert!(text.ends_with("(kernel score_head)"), "{text}");
        assert!(checked[1..].iter().all(|checked| checked.fault.is_none()));
    }
}

#[test]
fn a_kernel_is_checked_when_it_is_first_used() {
    let Some(gpu) = gpu() else { return };
    let gelu = || {
        let x = Tensor::<2>::from_data([[1.0f32, -2.0, 0.5]], &gpu);
        crate::ops::gelu(x).into_data()
    };
    let kernels = |checked: Vec<Checked>| -> Vec<_> {
        checked.into_iter().flat_map(|checked| checked.kernels).collect()
    };
    let mut first_use = FirstUse::default();
    assert_eq!(pollster::block_on(first_use.check(&gpu)), Ok(Vec::new()));

    gelu();
    let wrong = |_: &str, values: Vec<f32>| values.into_iter().map(|value| -value).collect();
    let error = pollster::block_on(first_use.check_altered(&gpu, wrong)).expect_err("spoiled");
    assert_eq!(error.kernels, ["gelu_forward"]);
    // After a fault, it is checked again, here only by the forward pass.
    let checked = pollster::block_on(first_use.check(&gpu)).expect("right");
    assert_eq!(kernels(checked), ["gelu_forward"]);
    gelu();
    assert_eq!(pollster::block_on(first_use.check(&gpu)), Ok(Vec::new()));
}

#[test]
fn every_kernel_can_be_checked_at_its_first_use() {
    let Some(gpu) = gpu() else { return };
    let tuning = wgsl::tuned_for(&gpu);
    let covered = cases().into_iter().filter(|case| tuning.supports(case.tuning));
    let mut first_use = FirstUse::default();
    covered
        .flat_map(|case| case.results)
        .flat_map(|result| result.kernels)
        .for_each(|kernel| first_use.used(kernel));
    let checked = pollster::block_on(first_use.check(&gpu)).unwrap_or_else(|e| panic!("{e}"));
    assert!(!checked.is_empty());
    assert_eq!(pollster::block_on(first_use.check(&gpu)), Ok(Vec::new()));
}
