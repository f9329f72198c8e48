//! Launches `lora_*.wgsl`.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{
    LoraBackward, LoraForward, LoraGradInputs, LoraGrads, LoraInputs, LoraLinear,
    LoraLinearKernels, LoraPlan, composed,
};
use crate::ops::linear::{self, LinearForward, activate, dense, input_grad};
use crate::ops::saved::{Output, Preceding, SavedInput};
use crate::ops::wgsl::kernel::{
    Groups, LowRank, Tile, lora_down, lora_grads, lora_grads_scaled, lora_linear,
    lora_linear_backward, lora_linear_gelu, lora_up_backward,
};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{count, dims, empty, launch};
use crate::ops::wgsl::product::{Keep, Product, in_quads};
use crate::ops::wgsl::tuning::{Processor, Tuning, tuning};
use crate::ops::{Activation, Precision, Storage};

impl LoraLinear for CubeBackend {
    fn lora_linear(inputs: LoraInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        drop(saved);
        Output::whole(layer(inputs, None, Keep::Nothing).y)
    }

    fn lora_linear_with_dropout(
        inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> Output<Self> {
        Output::whole(layer(inputs, Some(dropped), Keep::Before).y)
    }
}

impl LoraLinearKernels for CubeBackend {
    fn lora_linear_forward(inputs: LoraInputs<Self>) -> LoraForward<Self> {
        layer(inputs, None, Keep::Before)
    }

    fn lora_linear_with_dropout_forward(
        inputs: LoraInputs<Self>,
        dropped: FloatTensor<Self>,
    ) -> LoraForward<Self> {
        layer(inputs, Some(dropped), Keep::Before)
    }

    fn lora_grads(g: FloatTensor<Self>, inputs: LoraGradInputs<Self>) -> LoraGrads<Self> {
        kernel_or_composed(
            (g, inputs),
            |(g, inputs)| grads(&g, &inputs),
            |(g, inputs)| composed::lora_grads(g, inputs),
        )
    }

    fn lora_linear_backward(g: FloatTensor<Self>, inputs: LoraBackward<Self>) -> FloatTensor<Self> {
        kernel_or_composed(
            (g, inputs),
            |(g, inputs)| backward(&g, &inputs),
            |(g, LoraBackward { w, v, factors, plan, storage, preceding })| {
                let w = dense(w, storage);
                let dx = composed::lora_linear_backward::<Self>(g, w, v, factors, &plan);
                preceding.multiply(dx)
            },
        )
    }

    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        kernel_or_composed(
            (v, factors),
            |(v, factors)| {
                let inputs = plan.inputs(factors.shape().num_elements());
                let (outputs, precision) = (plan.stacked_rank(), Precision::F32);
                // A is at the start of the factors.
                let storage = Storage { outputs, inputs, precision };
                input_grad(&v, &factors, storage, &Preceding::Nothing)
            },
            |(v, factors)| composed::lora_down_backward::<Self>(v, factors, &plan),
        )
    }
}

/// A layer; its low-rank path uses x unless it has another input. The input of its activation is undefined if it is not
/// saved.
fn layer(
    inputs: LoraInputs<CubeBackend>,
    dropped: Option<CubeTensor>,
    keep: Keep,
) -> LoraForward<CubeBackend> {
    kernel_or_composed(
        (inputs, dropped),
        |(inputs, dropped)| forward(&inputs, dropped, keep),
        |(inputs, dropped)| {
            let LoraInputs { x, w, bias, factors, plan, storage, activation } = inputs;
            let low = dropped.unwrap_or_else(|| x.clone());
            let base = linear::composed::linear::<CubeBackend>(x, dense(w, storage), bias);
            let (before, u) = composed::lora_add::<CubeBackend>(base, low, factors, &plan);
            let LinearForward { y, before } = activate(before, activation);
            LoraForward { y, before, u }
        },
    )
}

/// Maximum width of an output for which every column tile computes `x A^T` itself on a GPU, which saves a more
/// expensive dispatch.
const WIDEST_FUSED: u32 = 1024;

/// Up to this many rows, more than 64 threads would have too few rows each for the gradient of the factors.
const FEW_ROWS: u32 = 128;

/// Maximum rank of `x A^T` that fits in a tile.
const MOST_FUSED: usize = 16;

/// The shaders' marker for an output block without a low-rank term.
const NO_SLOT: u32 = u32::MAX;

/// Index of blocks 0, 1 and 2 among the adapted ones.
fn slots(plan: &LoraPlan) -> [u32; 3] {
    let slot = |block| {
        let place = plan.adapted.iter().position(|&adapted| adapted == block);
        place.map_or(NO_SLOT, |place| place as u32)
    };
    [slot(0), slot(1), slot(2)]
}

/// `x A^T`.
fn down(x: &CubeTensor, factors: &CubeTensor, plan: &LoraPlan) -> CubeTensor {
    let ((rows, inputs), stacked_rank) = (dims(x), plan.stacked_rank() as u32);
    let u = empty([rows as usize, stacked_rank as usize], x);
    let call = lora_down::Arguments { x, factors, u: &u, rows, inputs, stacked_rank };
    let groups = Groups::linear(rows.div_ceil(8) * stacked_rank.div_ceil(8));
    launch(lora_down::variant(), &call, groups);
    u
}

/// Where a layer takes `x A^T` from. Every tile computes it for its own block if that is possible and pays, up to rank
/// `most`.
fn low_rank(
    tuning: Tuning,
    quads: bool,
    output: [u32; 2],
    plan: &LoraPlan,
    precision: Precision,
    most: usize,
) -> LowRank {
    let fused = if plan.rank <= 8 { LowRank::Fused8 } else { LowRank::Fused16 };
    let allowed = plan.rank <= most;
    let of = |low_rank| {
        let exists = |tile| {
            fits(tuning, low_rank, plan, tile)
                && lora_linear::variant(precision, low_rank, tile).is_some()
        };
        Tile::choose(tuning, quads, output, exists)
    };
    let fuses = match tuning.processor {
        // Not in another tile.
        Processor::Software => of(fused) == of(LowRank::Given),
        Processor::Gpu => output[1] <= WIDEST_FUSED && of(fused).is_some(),
    };
    if allowed && fuses { fused } else { LowRank::Given }
}

/// Whether a product may have a tile. If every tile computes `x A^T`, it must belong to one block, and on a GPU have few
/// sums, because more of them need more registers than there are.
fn fits(tuning: Tuning, low_rank: LowRank, plan: &LoraPlan, tile: Tile) -> bool {
    low_rank == LowRank::Given
        || ((plan.width as u32).is_multiple_of(tile.columns())
            && (tile != Tile::T64x64By64
                || tuning.processor == Processor::Software
                || tuning.tile == Some(tile)))
}

fn forward(
    inputs: &LoraInputs<CubeBackend>,
    dropped: Option<CubeTensor>,
    keep: Keep,
) -> LoraForward<CubeBackend> {
    let &LoraInputs { ref x, ref w, ref bias, ref factors, ref plan, storage, activation } = inputs;
    let ((rows, inputs), outputs) = (dims(x), storage.outputs as u32);
    let (width, rank) = (plan.width as u32, plan.rank as u32);
    let quads = in_quads(&[inputs, outputs, width], &[x, w, bias, factors]);
    let most = if dropped.is_some() { 0 } else { MOST_FUSED };
    let (tuning, precision) = (tuning(x), storage.precision);
    let low_rank = low_rank(tuning, quads, [rows, outputs], plan, precision, most);
    let fits = |tile: &Tile| fits(tuning, low_rank, plan, *tile);
    let product = Product { quads, rows, inner: inputs, columns: outputs, over_rows: false };
    let u = match low_rank {
        LowRank::Given => down(dropped.as_ref().unwrap_or(x), factors, plan),
        LowRank::Fused8 | LowRank::Fused16 => empty([rows as usize, plan.stacked_rank()], x),
    };
    let y = empty([rows as usize, outputs as usize], x);
    let (adapted, [slot_0, slot_1, slot_2]) = (plan.adapted.len() as u32, slots(plan));
    let (scale, scales) = (plan.scale, storage.scales() as u32);
    match activation {
        Activation::Identity => {
            let of = |tile| {
                Some(tile).filter(fits).and_then(|t| lora_linear::variant(precision, low_rank, t))
            };
            let call = lora_linear::Arguments {
                x,
                w,
                bias,
                factors,
                u: &u,
                y: &y,
                rows,
                inputs,
                outputs,
                scales,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale,
            };
            product.launch(of, &call);
            LoraForward { y: y.clone(), before: y, u }
        }
        Activation::Gelu => {
            let of = |tile| {
                let fitting = Some(tile).filter(fits);
                fitting.and_then(|tile| lora_linear_gelu::variant(precision, low_rank, tile))
            };
            let pre = keep.memory(rows, outputs, x);
            let call = lora_linear_gelu::Arguments {
                x,
                w,
                bias,
                factors,
                u: &u,
                pre: &pre,
                y: &y,
                rows,
                inputs,
                outputs,
                scales,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale,
                keep: keep.flag(),
            };
            product.launch(of, &call);
            LoraForward { y, before: pre, u }
        }
    }
}

fn grads(g: &CubeTensor, inputs: &LoraGradInputs<CubeBackend>) -> LoraGrads<CubeBackend> {
    let LoraGradInputs { saved, u, factors, plan } = inputs;
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(saved.tensor()));
    let (width, rank) = (plan.width as u32, plan.rank as u32);
    let (adapted, [slot_0, slot_1, slot_2]) = (plan.adapted.len() as u32, slots(plan));
    let (stacked, scale) = (plan.stacked_rank(), plan.scale);
    let v = empty([rows as usize, stacked], g);
    let call = lora_up_backward::Arguments {
        g,
        factors,
        v: &v,
        rows,
        outputs,
        width,
        rank,
        adapted,
        slot_0,
        slot_1,
        slot_2,
        b_start: stacked as u32 * inputs,
        scale,
    };
    let groups = Groups::linear(rows.div_ceil(8) * adapted * rank.div_ceil(8));
    launch(lora_up_backward::variant(), &call, groups);

    let dfactors = empty([count(factors) as usize], g);
    let of_a = inputs.div_ceil(16) * (adapted * rank).div_ceil(8);
    let of_b = adapted * width.div_ceil(16) * rank.div_ceil(8);
    let groups = Groups::linear(of_a + of_b);
    let sizes = [inputs, outputs, width];
    let (quads, few) = (|tensors: &[&CubeTensor]| in_quads(&sizes, tensors), rows <= FEW_ROWS);
    match saved {
        SavedInput::Whole(kept) | SavedInput::BeforeGelu(kept) => {
            let before = match saved {
                SavedInput::BeforeGelu(_) => Activation::Gelu,
                _ => Activation::Identity,
            };
            let kernel = lora_grads::variant(before, quads(&[g, kept]), few);
            let call = lora_grads::Arguments {
                g,
                kept,
                u,
                v: &v,
                dfactors: &dfactors,
                rows,
                inputs,
                outputs,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale,
            };
            launch(kernel, &call, groups);
        }
        SavedInput::Normalised { rows: normalised, gamma, beta } => {
            let quads = quads(&[g, normalised, gamma, beta]);
            let kernel = lora_grads_scaled::variant(quads, few);
            let call = lora_grads_scaled::Arguments {
                g,
                normalised,
                gamma,
                beta,
                u,
                v: &v,
                dfactors: &dfactors,
                rows,
                inputs,
                outputs,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale,
            };
            launch(kernel, &call, groups);
        }
    }
    LoraGrads { u: v, factors: dfactors }
}

/// `g w + v A`, times what precedes the layer.
fn backward(g: &CubeTensor, inputs: &LoraBackward<CubeBackend>) -> CubeTensor {
    let &LoraBackward { ref w, ref v, ref factors, ref plan, storage, ref preceding } = inputs;
    let ((rows, outputs), inputs) = (dims(g), storage.inputs as u32);
    // An unread binding needs some tensor.
    let pre = preceding.before().unwrap_or(g);
    let quads = in_quads(&[inputs, outputs, plan.width as u32], &[g, w, factors, pre]);
    let dx = empty([rows as usize, inputs as usize], g);
    let call = lora_linear_backward::Arguments {
        g,
        w,
        factors,
        v,
        pre,
        dx: &dx,
        rows,
        inputs,
        outputs,
        scales: storage.scales() as u32,
        stacked_rank: plan.stacked_rank() as u32,
        gelu: u32::from(preceding.before().is_some()),
    };
    let product = Product { quads, rows, inner: outputs, columns: inputs, over_rows: false };
    // Gradients can be too small for f16.
    let precision = storage.precision.in_f32();
    product.launch(|tile| lora_linear_backward::variant(precision, tile), &call);
    dx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_layers_have_the_same_variants() {
        for tile in Tile::ALL {
            for low_rank in LowRank::ALL {
                for precision in Precision::ALL {
                    let [one, other] = [
                        lora_linear::variant(precision, low_rank, tile),
                        lora_linear_gelu::variant(precision, low_rank, tile),
                    ]
                    .map(|kernel| kernel.map(|kernel| kernel.constant("TILE_COLUMNS")));
                    assert_eq!(one, other, "{precision} {low_rank:?} {tile:?}");
                    assert!(one.is_none_or(|columns| columns == tile.columns()));
                }
            }
        }
    }

    #[test]
    fn narrow_outputs_of_whole_tiles_are_fused() {
        let plan = |width, rank| LoraPlan { adapted: vec![0], width, rank, scale: 1.0 };
        for precision in Precision::ALL {
            for tuning in [Tuning::GPU, Tuning::SOFTWARE] {
                for rows in [1, 64, 4096] {
                    let of = |quads, plan: LoraPlan| {
                        let output = [rows, plan.width as u32];
                        low_rank(tuning, quads, output, &plan, precision, MOST_FUSED)
                    };
                    assert_eq!(of(true, plan(384, 8)), LowRank::Fused8);
                    assert_eq!(of(true, plan(384, 9)), LowRank::Fused16);
                    assert_eq!(of(true, plan(384, 17)), LowRank::Given);
                    assert_eq!(of(true, plan(388, 8)), LowRank::Given);
                    assert_eq!(of(false, plan(384, 8)), LowRank::Given);
                    let wide = if tuning == Tuning::GPU { LowRank::Given } else { LowRank::Fused8 };
                    assert_eq!(of(true, plan(1536, 8)), wide);
                }
            }
        }
        // On a GPU not in tiles with many sums, unless they are asked for.
        let forced = Tuning { tile: Some(Tile::T64x64By64), ..Tuning::GPU };
        for (tuning, expected) in [(Tuning::GPU, false), (Tuning::SOFTWARE, true), (forced, true)] {
            let found = fits(tuning, LowRank::Fused8, &plan(384, 8), Tile::T64x64By64);
            assert_eq!(found, expected, "{tuning:?}");
        }
    }
}
