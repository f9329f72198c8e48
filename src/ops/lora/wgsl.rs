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
use crate::ops::saved::{Output, SavedInput};
use crate::ops::wgsl::kernel::{
    Groups, LowRank, Tile, lora_down, lora_grads, lora_grads_scaled, lora_linear,
    lora_linear_backward, lora_linear_gelu, lora_up_backward,
};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{count, dims, empty, launch};
use crate::ops::wgsl::product::{Keep, in_quads, tile, tiles};
use crate::ops::wgsl::tuning::{Processor, tuning};
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
            |(g, LoraBackward { w, v, factors, plan, storage })| {
                composed::lora_linear_backward::<Self>(g, dense(w, storage), v, factors, &plan)
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
                input_grad(&v, &factors, Storage { outputs, inputs, precision })
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
const MOST_FUSED: u32 = 16;

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

/// Whether every tile of an output also computes `x A^T`.
fn fuses(processor: Processor, tile: Tile, outputs: u32, plan: &LoraPlan) -> bool {
    tile != Tile::Any
        && plan.rank as u32 <= MOST_FUSED
        && (plan.width as u32).is_multiple_of(tile.size())
        && (processor == Processor::Software || outputs <= WIDEST_FUSED)
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
    let processor = tuning(x).processor;
    let tile = Tile::choose(processor, quads, rows, outputs);
    let fused = dropped.is_none() && fuses(processor, tile, outputs, plan);
    let u = if fused {
        empty([rows as usize, plan.stacked_rank()], x)
    } else {
        down(dropped.as_ref().unwrap_or(x), factors, plan)
    };
    let y = empty([rows as usize, outputs as usize], x);
    let (adapted, [slot_0, slot_1, slot_2]) = (plan.adapted.len() as u32, slots(plan));
    let (scale, scales) = (plan.scale, storage.scales() as u32);
    let low_rank = match fused {
        false => LowRank::Given,
        true if rank <= 8 => LowRank::Fused8,
        true => LowRank::Fused16,
    };
    let missing = "only products of unaligned sizes are not fused";
    match activation {
        Activation::Identity => {
            let kernel = lora_linear::variant(storage.precision, low_rank, tile).expect(missing);
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
            launch(kernel, &call, tiles(kernel, rows, outputs));
            LoraForward { y: y.clone(), before: y, u }
        }
        Activation::Gelu => {
            let kernel =
                lora_linear_gelu::variant(storage.precision, low_rank, tile).expect(missing);
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
            launch(kernel, &call, tiles(kernel, rows, outputs));
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

/// `g w + v A`.
fn backward(g: &CubeTensor, inputs: &LoraBackward<CubeBackend>) -> CubeTensor {
    let &LoraBackward { ref w, ref v, ref factors, ref plan, storage } = inputs;
    let ((rows, outputs), inputs) = (dims(g), storage.inputs as u32);
    let quads = in_quads(&[inputs, outputs, plan.width as u32], &[g, w, factors]);
    let kernel = lora_linear_backward::variant(storage.precision, tile(quads, [rows, inputs], g));
    let dx = empty([rows as usize, inputs as usize], g);
    let call = lora_linear_backward::Arguments {
        g,
        w,
        factors,
        v,
        dx: &dx,
        rows,
        inputs,
        outputs,
        scales: storage.scales() as u32,
        stacked_rank: plan.stacked_rank() as u32,
    };
    launch(kernel, &call, tiles(kernel, rows, inputs));
    dx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selectable_variant_exists() {
        use Precision::{F16, F32, Int8};
        let plan = LoraPlan { adapted: vec![0], width: 128, rank: 8, scale: 1.0 };
        for tile in Tile::ALL {
            let fused = [Processor::Gpu, Processor::Software].map(|p| fuses(p, tile, 128, &plan));
            assert_eq!(fused, [tile != Tile::Any; 2]);
            for (low_rank, precision) in LowRank::ALL
                .into_iter()
                .flat_map(|low_rank| [F32, F16, Int8].map(|p| (low_rank, p)))
            {
                let found = [
                    lora_linear::variant(precision, low_rank, tile),
                    lora_linear_gelu::variant(precision, low_rank, tile),
                ];
                let exists = fused[0] || low_rank == LowRank::Given;
                for kernel in found {
                    assert_eq!(kernel.is_some(), exists, "{precision} {low_rank:?} {tile:?}");
                    assert!(kernel.is_none_or(|kernel| kernel.constant("TILE") == tile.size()));
                }
            }
        }
    }
}
