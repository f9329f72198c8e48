//! Variants that read four values at a time are selected exactly if all sizes are divisible by four and all tensors
//! start at quads. Those for `[CLS]` are for heads of certain sizes only.

use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::device::gpu;
use super::support::{Source, of_lengths};
use crate::ops::wgsl::kernel::{ALL, Kernel};
use crate::ops::wgsl::product::in_quads;
use crate::ops::wgsl::{Tuning, launched, with_tuning};
use crate::ops::{self, Activation, Activations, FrozenLinear, LoraPlan, Weights};

const TUNINGS: [Tuning; 2] = [Tuning::GPU, Tuning::SOFTWARE];

fn reads_quads(kernel: &Kernel) -> bool {
    kernel.name.ends_with("_exact") || kernel.constants.contains(&("PER_ITEM", 4))
}

/// Entry points with such variants that `work` launches, and whether it used one.
fn taken(work: impl FnOnce()) -> Vec<(&'static str, bool)> {
    drop(launched());
    work();
    // Mesa's software driver aborts if the process ends while it compiles a kernel.
    gpu().expect("the caller has it").sync().expect("a device that works");
    let launched = launched();
    let of = |name| ALL.iter().find(|kernel| kernel.name == name).expect("one of LoRB's kernels");
    launched
        .into_iter()
        .map(of)
        .filter(|kernel| ALL.iter().any(|k| k.entry == kernel.entry && reads_quads(k)))
        .map(|kernel| (kernel.entry, reads_quads(kernel)))
        .collect()
}

fn random_tensor<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(Source::new(51).data(shape, DType::F32), device)
}

/// A new leaf for every backward pass, because burn consumes the graph.
fn tracked<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    random_tensor(shape, &device.clone().autodiff()).require_grad()
}

/// A fully trained layer, forward and backward.
fn whole([t, k, o]: [usize; 3], device: &Device) {
    for activation in [Activation::Identity, Activation::Gelu] {
        let (x, w) = (tracked([t, k], device), Weights::from(tracked([o, k], device)));
        ops::linear(x, &w, &random_tensor([o], device), activation).into_values().backward();
    }
}

/// An adapted layer of two blocks, forward and backward; also after GELU and after a normalisation.
fn adapted([t, k, width]: [usize; 3], device: &Device) {
    let plan = LoraPlan { adapted: vec![1], width, rank: 3, scale: 0.5 };
    let of = |x: Activations, activation| {
        let (w, bias) = (
            Weights::from(random_tensor([2 * width, k], device)),
            random_tensor([2 * width], device),
        );
        let factors = tracked([3 * (k + width)], device);
        let layer = FrozenLinear { weight: &w, bias: &bias, activation };
        ops::lora_linear(x, layer, &factors, &plan).into_values().backward();
    };
    let x = || tracked([t, k], device);
    of(x().into(), Activation::Gelu);
    let square = Weights::from(random_tensor([k, k], device));
    let activated = ops::linear(x(), &square, &random_tensor([k], device), Activation::Gelu);
    of(activated, Activation::Identity);
    let (gamma, beta) = (random_tensor([k], device), random_tensor([k], device));
    of(ops::add_layer_norm(x(), x(), &gamma, &beta, 1e-12), Activation::Identity);
}

#[test]
fn products_of_other_sizes_use_other_variants() {
    let Some(device) = gpu() else { return };
    for tuning in TUNINGS {
        let taken = |work: &dyn Fn()| taken(|| with_tuning(tuning, work));
        for t in [5, 8] {
            let all = taken(&|| whole([t, 8, 12], &device));
            let entries = ["linear", "linear_gelu", "linear_backward", "linear_weight_grad"];
            assert!(entries.iter().all(|entry| all.contains(&(entry, true))), "{all:?}");
            assert!(all.iter().all(|(_, quads)| *quads), "{tuning:?} {t}: {all:?}");
            for [k, o] in [[9, 12], [8, 13], [10, 12], [8, 14], [7, 11]] {
                let none = taken(&|| whole([t, k, o], &device));
                assert_eq!(none.len(), all.len());
                assert!(none.iter().all(|(_, quads)| !quads), "{tuning:?} {t} {k} {o}: {none:?}");
            }
            let all = taken(&|| adapted([t, 8, 12], &device));
            let entries = [
                "lora_linear",
                "lora_linear_gelu",
                "lora_linear_backward",
                "lora_grads",
                "lora_grads_scaled",
            ];
            assert!(entries.iter().all(|entry| all.contains(&(entry, true))), "{all:?}");
            assert!(all.iter().all(|(_, quads)| *quads), "{tuning:?} {t}: {all:?}");
            // In the last, two blocks have twelve columns in total, but the second starts within a quad.
            for [k, width] in [[9, 12], [10, 12], [8, 13], [8, 6]] {
                let none = taken(&|| adapted([t, k, width], &device));
                let of_lora = none.iter().filter(|(entry, _)| entry.starts_with("lora"));
                assert!(of_lora.clone().count() >= entries.len());
                let what = format!("{tuning:?} {t} {k} {width}: {none:?}");
                assert!(of_lora.clone().all(|(_, quads)| !quads), "{what}");
            }
        }
    }
}

#[test]
fn heads_of_other_widths_use_other_variants() {
    let Some(device) = gpu() else { return };
    let (segments, autodiff) = (of_lengths(&[3, 1, 17]), device.clone().autodiff());
    let run = |head: usize| {
        let qkv = random_tensor([21, 6 * head], &autodiff).require_grad();
        ops::attention(qkv, &segments, 2).backward();
        let q = random_tensor([3, 2 * head], &autodiff).require_grad();
        let kv = random_tensor([21, 4 * head], &autodiff).require_grad();
        ops::attention_cls(q, kv, &segments, 2).backward();
    };
    for exact in [16, 32] {
        for head in [exact, exact - 1, exact - 4] {
            let found = taken(|| run(head));
            assert_eq!(found.len(), 4, "{found:?}");
            let expected = |entry: &str| match entry {
                "attention" | "attention_backward" => head.is_multiple_of(4),
                _ => head == exact,
            };
            let as_expected = |(entry, quads): &(&str, bool)| *quads == expected(entry);
            assert!(found.iter().all(as_expected), "{head}: {found:?}");
        }
    }
}

#[test]
fn tensors_that_start_within_a_quad_use_other_variants() {
    let Some(device) = gpu() else { return };
    let Ok(whole) = random_tensor([64], &device).try_into_primitive::<CubeBackend>() else {
        panic!("a tensor of another backend")
    };
    let from = |bytes: u64| {
        let (client, device) = (whole.client.clone(), whole.device.clone());
        let handle = whole.handle.clone().offset_start(bytes);
        let shape = Shape::new([64 - bytes as usize / 4]);
        CubeTensor::new_contiguous(client, device, shape, handle, whole.dtype)
    };
    for (bytes, quads) in [(0, true), (4, false), (8, false), (12, false), (16, true), (20, false)]
    {
        let tensor = from(bytes);
        assert_eq!(in_quads(&[8, 12], &[&whole, &tensor]), quads, "{bytes}");
        assert!(!in_quads(&[8, 13], &[&tensor]), "{bytes}");
    }
}
