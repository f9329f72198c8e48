//! Cases of the probe.

use burn::tensor::Tensor;

use super::{FrozenLinear, LoraPlan, lora_linear};
use crate::ops::layer_norm::add_layer_norm;
use crate::ops::linear::{linear, tiled};
use crate::ops::probe::{Case, Names, Source, kernel};
use crate::ops::{Activation, Activations, Precision};

/// `forward`, `backward` and `grads` are the suffixes of the variants' names, for output, gradient of x and gradient of
/// the factors. The product `x A^T` is a separate kernel if it is not fused.
struct LowRank {
    rows: usize,
    inputs: usize,
    blocks: usize,
    plan: LoraPlan,
    forward: &'static str,
    backward: &'static str,
    grads: &'static str,
}

impl LowRank {
    fn case(&self, activation: Activation, precision: Precision) -> Case {
        let &Self { rows, inputs, blocks, ref plan, forward, backward, grads } = self;
        let mut output = vec![tiled("lora_linear", activation, precision, forward)];
        if !forward.contains("fused") {
            output.insert(0, "lora_down");
        }
        let mut of_factors = vec!["lora_up_backward"];
        if activation == Activation::Gelu {
            of_factors.insert(0, "gelu_backward");
        }
        let mut of_x = of_factors.clone();
        of_x.push(tiled("lora_linear_backward", Activation::Identity, precision, backward));
        of_factors.push(kernel(&format!("lora_grads{grads}")));
        let outputs = blocks * plan.width;
        let factors = plan.stacked_rank() * inputs + plan.up_len();
        let name = format!(
            "lora_linear {activation:?} {precision}, {rows} by {inputs} to {blocks} blocks of {}, rank {} on {:?}",
            plan.width, plan.rank, plan.adapted
        );
        let tracked: [(&str, [usize; 2], Names<'_>); 2] =
            [("x", [rows, inputs], &of_x), ("the factors", [1, factors], &of_factors)];
        let plan = plan.clone();
        Case::new(name, &output, &tracked, move |source, i| {
            let w = source.weights([outputs, inputs], precision);
            let bias = source.tensor([outputs]);
            let factors = i[1].clone().flatten(0, 1);
            let layer = FrozenLinear { weight: &w, bias: &bias, activation };
            lora_linear(i[0].clone(), layer, &factors, &plan).into_values()
        })
    }
}

/// All cases, and layers that recompute their input.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mut all = low_rank();
    for (rows, few) in [(33, "_few"), (133, "")] {
        all.extend(computed_again([rows, 31, 17], "", few));
        all.extend(computed_again([rows, 36, 20], "_vec4_small", &format!("_vec4{few}")));
    }
    all
}

fn low_rank() -> Vec<Case> {
    let plan = |adapted: &[usize], width, rank| LoraPlan {
        adapted: adapted.to_vec(),
        width,
        rank,
        scale: 0.5,
    };
    // Any sizes; then sizes divisible by four, among them widths of whole tiles with a rank that fits a
    // tile, where `x A^T` is fused. Last, many tiles, in the output and in the gradient.
    let any = LowRank {
        rows: 33,
        inputs: 31,
        blocks: 3,
        plan: plan(&[0, 2], 17, 3),
        forward: "",
        backward: "",
        grads: "_few",
    };
    let any_rows = LowRank { rows: 133, plan: plan(&[0, 2], 17, 3), grads: "", ..any };
    let quads = LowRank {
        rows: 66,
        inputs: 36,
        plan: plan(&[1], 20, 4),
        forward: "_vec4_small",
        backward: "_vec4_small",
        grads: "_vec4_few",
        ..any
    };
    let fused8 =
        LowRank { rows: 70, plan: plan(&[0, 1, 2], 64, 8), forward: "_fused8_vec4_small", ..quads };
    let fused16 = LowRank { plan: plan(&[0, 2], 64, 16), forward: "_fused16_vec4_small", ..fused8 };
    let many = LowRank {
        rows: 512,
        inputs: 24,
        blocks: 1,
        plan: plan(&[0], 1028, 8),
        forward: "_vec4",
        grads: "_vec4",
        ..quads
    };
    let many16 = LowRank { plan: plan(&[0], 1024, 16), forward: "_fused16_vec4", ..many };
    let many8 = LowRank {
        rows: 4096,
        inputs: 128,
        plan: plan(&[0], 128, 8),
        forward: "_fused8_vec4",
        backward: "_vec4",
        ..many16
    };
    let wide = LowRank {
        rows: 130,
        inputs: 260,
        blocks: 3,
        plan: plan(&[0, 2], 68, 5),
        forward: "_vec4_wide",
        backward: "_vec4_wide",
        ..many
    };
    let wide8 = LowRank { plan: plan(&[0, 2], 128, 8), forward: "_fused8_vec4_wide", ..wide };
    let wide16 = LowRank { plan: plan(&[1], 128, 11), forward: "_fused16_vec4_wide", ..wide };
    let mut all = Vec::new();
    for f in [Activation::Identity, Activation::Gelu] {
        for p in [Precision::F32, Precision::F16, Precision::Int8] {
            let sizes = [&any, &any_rows, &quads, &fused8, &fused16, &many, &many16];
            all.extend(sizes.map(|size| size.case(f, p)));
            let most = many8.case(f, p);
            let default = f == Activation::Identity && p == Precision::F32;
            all.push(if default { most.quick() } else { most });
            all.extend([&wide, &wide8, &wide16].map(|size| size.case(f, p).software()));
        }
    }
    let separate = LowRank { rows: 19, ..fused8 };
    all.push(separate.case(Activation::Gelu, Precision::F32).without_gradients());
    all
}

/// An adapted layer after one with GELU, and one after a normalisation: neither saves its input, so the gradient of the
/// factors recomputes it. `tile` and `grads` are suffixes of the variants' names.
fn computed_again([rows, inputs, outputs]: [usize; 3], tile: &str, grads: &str) -> [Case; 2] {
    let f32 = Precision::F32;
    let plain = |entry| tiled(entry, Activation::Identity, f32, tile);
    let plan = LoraPlan { adapted: vec![0], width: outputs, rank: 4, scale: 0.5 };
    let factors = [1, plan.rank * (inputs + outputs)];
    let name = |of: &str| format!("lora_linear of {of}, {rows} by {inputs} to {outputs}");
    let second = move |source: &mut Source, x: Activations, factors: &Tensor<2>| {
        let (w, bias) = (source.weights([outputs, inputs], f32), source.tensor([outputs]));
        let factors = factors.clone().flatten(0, 1);
        let layer = FrozenLinear { weight: &w, bias: &bias, activation: Activation::Identity };
        lora_linear(x, layer, &factors, &plan).into_values()
    };
    let adapted = ["lora_down", plain("lora_linear")];
    let by_factors = |entry: &str| ["lora_up_backward", kernel(&format!("{entry}{grads}"))];
    let by_input = ["lora_up_backward", plain("lora_linear_backward")];

    let of_x = [&by_input[..], &["gelu_backward", plain("linear_backward")]].concat();
    let output = [&[tiled("linear", Activation::Gelu, f32, tile)][..], &adapted].concat();
    let tracked: [(&str, [usize; 2], Names<'_>); 2] =
        [("x", [rows, inputs], &of_x), ("the factors", factors, &by_factors("lora_grads_gelu"))];
    let next = second.clone();
    let of_gelu = Case::new(name("a GELU"), &output, &tracked, move |source, i| {
        let (w, bias) = (source.weights([inputs, inputs], f32), source.tensor([inputs]));
        let x = linear(i[0].clone(), &w, &bias, Activation::Gelu);
        next(source, x, &i[1])
    });

    let of_x = [&by_input[..], &["add_layer_norm_backward_wide"]].concat();
    let output = [&["add_layer_norm_wide"][..], &adapted].concat();
    let tracked: [(&str, [usize; 2], Names<'_>); 3] = [
        ("x", [rows, inputs], &of_x),
        ("the factors", factors, &by_factors("lora_grads_scaled")),
        ("the residual", [rows, inputs], &of_x),
    ];
    let of_norm = Case::new(name("a normalisation"), &output, &tracked, move |source, i| {
        let (gamma, beta) = (source.tensor([inputs]), source.tensor([inputs]));
        let x = add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
        second(source, x, &i[1])
    });
    [of_gelu, of_norm]
}
