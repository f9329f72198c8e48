//! Cases of the probe.

use super::{Activation, linear};
use crate::ops::probe::{Case, Names};
use crate::ops::wgsl::kernel::{
    Kernel, Tile, linear as plain, linear_backward, linear_gelu, linear_weight_grad,
};
#[cfg(not(target_family = "wasm"))]
use crate::ops::wgsl::{Extensions, kernel::linear_cooperative};
use crate::ops::{Precision, Storage, Weights};

/// The activations of a layer.
const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Gelu];

/// The name of a variant, if it exists.
pub(in crate::ops) fn name(kernel: Option<&'static Kernel>) -> Option<&'static str> {
    kernel.map(|kernel| kernel.name)
}

/// A layer's kernel, if it has a variant with this tile.
pub(in crate::ops) fn forward(
    activation: Activation,
    precision: Precision,
    tile: Tile,
) -> Option<&'static str> {
    name(match activation {
        Activation::Identity => plain::variant(precision, tile),
        Activation::Gelu => linear_gelu::variant(precision, tile),
    })
}

/// The kernel of the gradient by a layer's input, if it has a variant with this tile.
pub(in crate::ops) fn backward(precision: Precision, tile: Tile) -> Option<&'static str> {
    name(linear_backward::variant(precision.in_f32(), tile))
}

fn case(
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
    precision: Precision,
    tile: Tile,
) -> Option<Case> {
    let output = forward(activation, precision, tile)?;
    let backward = backward(precision, tile);
    let mut of_x: Vec<_> = backward.into_iter().collect();
    if activation == Activation::Gelu {
        of_x.insert(0, "gelu_backward");
    }
    let name = format!("linear {activation:?} {precision}, {rows} by {inputs} to {outputs}");
    let case = Case::new(name, &[output], &[("x", [rows, inputs], &of_x)], move |source, i| {
        let w = source.weights([outputs, inputs], precision);
        let bias = source.tensor([outputs]);
        linear(i[0].clone(), &w, &bias, activation).into_values()
    });
    Some(if backward.is_some() { case } else { case.without_gradients() })
}

/// Two layers with a GELU between them, whose derivative is part of the second one's gradient.
fn chain([rows, inputs, outputs]: [usize; 3], tile: Tile) -> Option<Case> {
    let f32 = Precision::F32;
    let output = [Activation::Gelu, Activation::Identity].map(|f| forward(f, f32, tile));
    let of_x = [backward(f32, tile)?];
    let output: Option<Vec<_>> = output.into_iter().collect();
    let name = format!("linear layers, {rows} by {inputs} to {outputs} to {inputs}");
    Some(Case::new(name, &output?, &[("x", [rows, inputs], &of_x)], move |source, i| {
        let (w, bias) = (source.weights([outputs, inputs], f32), source.tensor([outputs]));
        let x = linear(i[0].clone(), &w, &bias, Activation::Gelu);
        let (w, bias) = (source.weights([inputs, outputs], f32), source.tensor([inputs]));
        linear(x, &w, &bias, Activation::Identity).into_values()
    }))
}

/// A linear layer with trained weight and bias.
fn trained([rows, inputs, outputs]: [usize; 3], tile: Tile) -> Option<Case> {
    let f32 = Precision::F32;
    let output = forward(Activation::Gelu, f32, tile)?;
    let of_x = ["gelu_backward", backward(f32, tile)?];
    let of_w = ["gelu_backward", name(linear_weight_grad::variant(tile))?];
    let name = format!("trained linear, {rows} by {inputs} to {outputs}");
    let tracked: [(&str, [usize; 2], Names<'_>); 3] = [
        ("x", [rows, inputs], &of_x),
        ("the weight", [1, outputs * inputs], &of_w),
        ("the bias", [1, outputs], &of_w[..1]),
    ];
    Some(Case::new(name, &[output], &tracked, move |_, i| {
        let w = Weights {
            words: i[1].clone().flatten(0, 1),
            storage: Storage { outputs, inputs, precision: f32 },
        };
        let bias = i[2].clone().flatten(0, 1);
        linear(i[0].clone(), &w, &bias, Activation::Gelu).into_values()
    }))
}

/// Any sizes, and more than one of every tile. Last, on matrix units, and without saved activations.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for tile in Tile::ALL {
        let of = |any, quads| if tile == Tile::Any { any } else { quads };
        let sizes = of([17, 31, 33], [133, 68, 132]);
        for f in ACTIVATIONS {
            for p in Precision::ALL {
                let common = [Precision::F32, Precision::Mixed].contains(&p);
                let quick = f == Activation::Gelu && common && tile != Tile::Any;
                let case = case(sizes, f, p, tile).map(|case| case.tiled(tile).computed_in(p));
                all.extend(case.map(|case| if quick { case.quick() } else { case }));
            }
        }
        all.extend(chain(sizes, tile).map(|case| case.tiled(tile)));
        let sizes = of([17, 31, 33], [9, 132, 136]);
        all.extend(trained(sizes, tile).map(|case| case.tiled(tile)));
    }
    let untracked = |sizes, f, p| case(sizes, f, p, Tile::T32x32).map(Case::without_gradients);
    #[cfg(not(target_family = "wasm"))]
    for f in ACTIVATIONS {
        for p in Precision::ALL {
            let Some(kernel) = linear_cooperative::variant(f, p) else { continue };
            let Some(mut case) = untracked([67, 100, 132], f, p) else { continue };
            case.results[0].kernels = vec![kernel.name];
            let extensions = Extensions { cooperative_matrices: true, ..Extensions::NONE };
            let case = case.extended(extensions, "cooperative");
            let default = f == Activation::Gelu && p == Precision::F32;
            all.push(if default { case.quick() } else { case });
        }
    }
    all.extend(untracked([19, 32, 36], Activation::Gelu, Precision::F32));
    all
}
