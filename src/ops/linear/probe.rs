//! Cases of the probe.

use super::{Activation, linear};
use crate::ops::probe::{Case, Names, kernel};
use crate::ops::wgsl::Extensions;
use crate::ops::{Precision, Storage, Weights};

/// The activations of a layer.
const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Gelu];

/// The precisions of frozen weights.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// A linear layer's kernel by activation, weight precision and tile.
pub(in crate::ops) fn tiled(
    entry: &str,
    activation: Activation,
    precision: Precision,
    tile: &str,
) -> &'static str {
    let gelu = if activation == Activation::Gelu { "_gelu" } else { "" };
    kernel(&format!("{entry}{gelu}_{precision}{tile}"))
}

/// `forward` and `backward` are the suffixes of the variants' names.
fn case(
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
    precision: Precision,
    [forward, backward]: [&str; 2],
) -> Case {
    let forward = tiled("linear", activation, precision, forward);
    let mut of_x = vec![tiled("linear_backward", Activation::Identity, precision, backward)];
    if activation == Activation::Gelu {
        of_x.insert(0, "gelu_backward");
    }
    let name = format!("linear {activation:?} {precision}, {rows} by {inputs} to {outputs}");
    Case::new(name, &[forward], &[("x", [rows, inputs], &of_x)], move |source, i| {
        let w = source.weights([outputs, inputs], precision);
        let bias = source.tensor([outputs]);
        linear(i[0].clone(), &w, &bias, activation).into_values()
    })
}

/// A linear layer with trained weight and bias.
fn trained([rows, inputs, outputs]: [usize; 3], [tile, grad]: [&str; 2]) -> Case {
    let f32 = Precision::F32;
    let forward = tiled("linear", Activation::Gelu, f32, tile);
    let of_x = ["gelu_backward", tiled("linear_backward", Activation::Identity, f32, tile)];
    let of_w = ["gelu_backward", kernel(grad)];
    let name = format!("trained linear, {rows} by {inputs} to {outputs}");
    let tracked: [(&str, [usize; 2], Names<'_>); 3] = [
        ("x", [rows, inputs], &of_x),
        ("the weight", [1, outputs * inputs], &of_w),
        ("the bias", [1, outputs], &of_w[..1]),
    ];
    Case::new(name, &[forward], &tracked, move |_, i| {
        let w = Weights {
            words: i[1].clone().flatten(0, 1),
            storage: Storage { outputs, inputs, precision: f32 },
        };
        let bias = i[2].clone().flatten(0, 1);
        linear(i[0].clone(), &w, &bias, Activation::Gelu).into_values()
    })
}

/// Any sizes; sizes divisible by four with few tiles; the same with many tiles in the output, and in output and
/// gradient; and the tiles of software adapters. Last, without saved activations.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for f in ACTIVATIONS {
        for p in PRECISIONS {
            all.push(case([17, 31, 33], f, p, [""; 2]));
            all.push(case([65, 68, 132], f, p, ["_vec4_small"; 2]));
            let many = case([4096, 128, 128], f, p, ["_vec4"; 2]);
            let default = f == Activation::Gelu && p == Precision::F32;
            all.push(if default { many.quick() } else { many });
            let wide = case([196, 260, 196], f, p, ["_vec4_wide"; 2]).software();
            all.push(if default { wide.quick() } else { wide });
        }
    }
    all.push(trained([17, 31, 33], ["", "linear_weight_grad"]));
    all.push(trained([9, 68, 132], ["_vec4_small", "linear_weight_grad_vec4_small"]));
    all.push(trained([5, 516, 520], ["_vec4_small", "linear_weight_grad_vec4"]));
    let extensions = Extensions { cooperative_matrices: true, ..Extensions::NONE };
    for f in ACTIVATIONS {
        for p in PRECISIONS {
            let mut case = case([67, 100, 132], f, p, ["_vec4_small"; 2]).without_gradients();
            case.results[0].kernels = vec![tiled("linear_cooperative", f, p, "")];
            let case = case.extended(extensions, "cooperative");
            let default = f == Activation::Gelu && p == Precision::F32;
            all.push(if default { case.quick() } else { case });
        }
    }
    let scoring = case([19, 32, 36], Activation::Gelu, Precision::F32, ["_vec4_small"; 2]);
    all.push(scoring.without_gradients());
    all
}
