//! Cases of the probe.

use burn::tensor::Tensor;

use super::{FrozenLinear, LoraPlan, lora_linear};
use crate::ops::layer_norm::add_layer_norm;
use crate::ops::linear::{backward, forward, linear, name};
use crate::ops::probe::{Case, Names, Source, kernel};
use crate::ops::wgsl::kernel::{
    LowRank as From, Tile, lora_linear as adapted, lora_linear_backward, lora_linear_gelu,
};
use crate::ops::{Activation, Activations, Precision};

/// `grads` is the suffix of the variants' names for the gradient of the factors. The product `x A^T` is a separate kernel
/// if it is `Given`.
struct LowRank {
    rows: usize,
    inputs: usize,
    blocks: usize,
    plan: LoraPlan,
    from: From,
    grads: &'static str,
}

impl LowRank {
    /// `None` if there is no variant with this tile.
    fn case(&self, activation: Activation, precision: Precision, tile: Tile) -> Option<Case> {
        let &Self { rows, inputs, blocks, ref plan, from, grads } = self;
        let product = name(match activation {
            Activation::Identity => adapted::variant(precision, from, tile),
            Activation::Gelu => lora_linear_gelu::variant(precision, from, tile),
        });
        let mut output = vec![product?];
        if from == From::Given {
            output.insert(0, "lora_down");
        }
        let mut of_factors = vec!["lora_up_backward"];
        if activation == Activation::Gelu {
            of_factors.insert(0, "gelu_backward");
        }
        let mut of_x = of_factors.clone();
        let backward = name(lora_linear_backward::variant(precision.in_f32(), tile));
        of_x.extend(backward);
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
        let case = Case::new(name, &output, &tracked, move |source, i| {
            let w = source.weights([outputs, inputs], precision);
            let bias = source.tensor([outputs]);
            let factors = i[1].clone().flatten(0, 1);
            let layer = FrozenLinear { weight: &w, bias: &bias, activation };
            lora_linear(i[0].clone(), layer, &factors, &plan).into_values()
        });
        let case = if backward.is_some() { case } else { case.without_gradients() };
        Some(case.tiled(tile).computed_in(precision))
    }
}

/// All cases, and layers that recompute their input.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mut all = low_rank();
    for (rows, few) in [(33, "_few"), (133, "")] {
        all.extend(computed_again([rows, 31, 17], Tile::Any, few).into_iter().flatten());
        let grads = format!("_vec4{few}");
        all.extend(computed_again([rows, 36, 20], Tile::T32x32, &grads).into_iter().flatten());
    }
    // In the other tiles, the derivative of the GELU before the layer.
    for tile in Tile::ALL {
        if ![Tile::Any, Tile::T32x32].contains(&tile)
            && let Some([of_gelu, _]) = computed_again([133, 68, 20], tile, "_vec4")
        {
            all.push(of_gelu);
        }
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
    // Any sizes; then sizes divisible by four in more than one of every tile: tiles with columns of several blocks, and
    // blocks of whole tiles with a rank that fits, where `x A^T` is fused.
    let any = LowRank {
        rows: 33,
        inputs: 31,
        blocks: 3,
        plan: plan(&[0, 2], 17, 3),
        from: From::Given,
        grads: "_few",
    };
    let any_rows = LowRank { rows: 133, plan: plan(&[0, 2], 17, 3), grads: "", ..any };
    let few = LowRank { rows: 66, inputs: 36, plan: plan(&[1], 20, 4), grads: "_vec4_few", ..any };
    let given =
        LowRank { rows: 133, inputs: 68, plan: plan(&[0, 2], 68, 5), grads: "_vec4", ..any };
    let fused8 = LowRank { plan: plan(&[0, 1, 2], 128, 8), from: From::Fused8, ..given };
    let fused16 = LowRank { plan: plan(&[0, 2], 128, 16), from: From::Fused16, ..given };
    let odd16 = LowRank { plan: plan(&[1], 128, 11), from: From::Fused16, ..given };
    let mut all = Vec::new();
    for f in [Activation::Identity, Activation::Gelu] {
        for p in Precision::ALL {
            all.extend([&any, &any_rows].map(|size| size.case(f, p, Tile::Any)));
            all.push(few.case(f, p, Tile::T32x32));
            for tile in Tile::ALL.into_iter().filter(|tile| *tile != Tile::Any) {
                all.extend([&given, &fused16, &odd16].map(|size| size.case(f, p, tile)));
                let case = fused8.case(f, p, tile);
                let common = [Precision::F32, Precision::Mixed].contains(&p);
                let quick = f == Activation::Identity && common;
                all.push(if quick { case.map(Case::quick) } else { case });
            }
        }
    }
    let separate = LowRank { rows: 19, ..fused8 };
    let scoring = separate.case(Activation::Gelu, Precision::F32, Tile::T32x32);
    all.push(scoring.map(Case::without_gradients));
    all.into_iter().flatten().collect()
}

/// An adapted layer after one with GELU, and one after a normalisation: neither saves its input, so the gradient of the
/// factors recomputes it. `grads` is a suffix of the variants' names. `None` if this build has no variants with the tile.
fn computed_again(
    [rows, inputs, outputs]: [usize; 3],
    tile: Tile,
    grads: &str,
) -> Option<[Case; 2]> {
    let f32 = Precision::F32;
    let plan = LoraPlan { adapted: vec![0], width: outputs, rank: 4, scale: 0.5 };
    let factors = [1, plan.rank * (inputs + outputs)];
    let what = |of: &str| format!("lora_linear of {of}, {rows} by {inputs} to {outputs}");
    let second = move |source: &mut Source, x: Activations, factors: &Tensor<2>| {
        let (w, bias) = (source.weights([outputs, inputs], f32), source.tensor([outputs]));
        let factors = factors.clone().flatten(0, 1);
        let layer = FrozenLinear { weight: &w, bias: &bias, activation: Activation::Identity };
        lora_linear(x, layer, &factors, &plan).into_values()
    };
    let product = name(adapted::variant(f32, From::Given, tile))?;
    let adapted = ["lora_down", product];
    let by_factors = |entry: &str| ["lora_up_backward", kernel(&format!("{entry}{grads}"))];
    let product = name(lora_linear_backward::variant(f32, tile))?;
    let by_input = ["lora_up_backward", product];

    let of_x = [&by_input[..], &[backward(f32, tile)?]].concat();
    let first = forward(Activation::Gelu, f32, tile)?;
    let output = [&[first][..], &adapted].concat();
    let tracked: [(&str, [usize; 2], Names<'_>); 2] =
        [("x", [rows, inputs], &of_x), ("the factors", factors, &by_factors("lora_grads_gelu"))];
    let next = second.clone();
    let of_gelu = Case::new(what("a GELU"), &output, &tracked, move |source, i| {
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
    let of_norm = Case::new(what("a normalisation"), &output, &tracked, move |source, i| {
        let (gamma, beta) = (source.tensor([inputs]), source.tensor([inputs]));
        let x = add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
        second(source, x, &i[1])
    });
    Some([of_gelu, of_norm].map(|case| case.tiled(tile)))
}
