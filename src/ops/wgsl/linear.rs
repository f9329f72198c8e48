//! Linear layers, with and without a low-rank term, and their gradients.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::kernel::{
    Groups, Kernel, LowRank, Tile, linear, linear_backward, linear_cooperative, linear_gelu,
    linear_weight_grad, lora_down, lora_grads, lora_grads_scaled, lora_linear,
    lora_linear_backward, lora_linear_gelu, lora_up_backward,
};
use super::launch::{aligned, count, dims, empty, launch};
use super::tuning::{Processor, tuning};
use crate::ops::{Activation, Kept, LoraPlan, Storage};

/// Below so many tiles of 64 by 64, smaller tiles keep more of a GPU busy.
const FEW_TILES: u32 = 64;

/// What a tile of 128 by 128 costs a software rasteriser, in tiles of 64 by 64: measured, 2.3 on llvmpipe.
/// Four of the small ones fit in it, unless it is filled with rows or columns that do not exist.
const WIDE_TILE_COST: f32 = 2.3;

/// Widest output of which every column tile computes `x A^T` for itself on a GPU, sparing a dispatch that
/// would cost more.
const WIDEST_FUSED: u32 = 1024;

/// To so many rows, more threads than 64 have too few of them each for the gradient by the factors.
const FEW_ROWS: u32 = 128;

/// Largest rank of `x A^T` that a tile has room for.
const MOST_FUSED: u32 = 16;

/// No such block: the shaders' mark for an output block without a low-rank term.
const NO_SLOT: u32 = u32::MAX;

impl Tile {
    /// The one for an output of these sizes. `quads`: whether everything divides by four and begins at
    /// quads.
    fn choose(processor: Processor, quads: bool, rows: u32, columns: u32) -> Self {
        let tiles = |size| rows.div_ceil(size) * columns.div_ceil(size);
        match processor {
            _ if !quads => Self::Any,
            Processor::Gpu if tiles(64) < FEW_TILES => Self::Small,
            Processor::Gpu => Self::Large,
            Processor::Software if tiles(128) as f32 * WIDE_TILE_COST < tiles(64) as f32 => {
                Self::Wide
            }
            Processor::Software => Self::Large,
        }
    }
}

/// The tile of a product without low-rank term, for an output on the device of `like`.
fn tile(quads: bool, [rows, columns]: [u32; 2], like: &CubeTensor) -> Tile {
    Tile::choose(tuning(like).processor, quads, rows, columns)
}

/// One workgroup for each tile of the output.
fn tiles(kernel: &Kernel, rows: u32, columns: u32) -> Groups {
    let tile = kernel.constant("TILE");
    Groups::linear(rows.div_ceil(tile) * columns.div_ceil(tile))
}

/// Whether sizes divide by four and the tensors begin at quads.
pub(in crate::ops) fn in_quads(sizes: &[u32], tensors: &[&CubeTensor]) -> bool {
    sizes.iter().all(|size| size.is_multiple_of(4)) && tensors.iter().all(|tensor| aligned(tensor))
}

/// What a layer with an activation may keep of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: the output is all that is wanted.
    Nothing,
    /// What the activation was applied to.
    Before,
}

impl Keep {
    /// Memory for what is kept; where nothing is, of the least size that can be bound.
    fn memory(self, rows: u32, outputs: u32, like: &CubeTensor) -> CubeTensor {
        match self {
            Self::Nothing => empty([1, 4], like),
            Self::Before => empty([rows as usize, outputs as usize], like),
        }
    }

    fn flag(self) -> u32 {
        u32::from(self == Self::Before)
    }
}

/// The activated output, and the output before, which is meaningless where it is not kept.
pub(super) fn linear_forward(
    x: &CubeTensor,
    w: &CubeTensor,
    bias: &CubeTensor,
    storage: Storage,
    activation: Activation,
    keep: Keep,
) -> (CubeTensor, CubeTensor) {
    let ((rows, inputs), outputs) = (dims(x), storage.outputs as u32);
    let quads = in_quads(&[inputs, outputs], &[x, w, bias]);
    let scales = storage.scales() as u32;
    let y = empty([rows as usize, outputs as usize], x);
    let tile = tile(quads, [rows, outputs], x);
    if quads && keep == Keep::Nothing && tuning(x).extensions.cooperative_matrices {
        let kernel = linear_cooperative::variant(activation, storage.precision);
        let call =
            linear_cooperative::Arguments { x, w, bias, y: &y, rows, inputs, outputs, scales };
        launch(kernel, &call, tiles(kernel, rows, outputs));
        return (y.clone(), y);
    }
    match activation {
        Activation::Identity => {
            let kernel = linear::variant(storage.precision, tile);
            let call = linear::Arguments { x, w, bias, y: &y, rows, inputs, outputs, scales };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y.clone(), y)
        }
        Activation::Gelu => {
            let kernel = linear_gelu::variant(storage.precision, tile);
            let pre = keep.memory(rows, outputs, x);
            let call = linear_gelu::Arguments {
                x,
                w,
                bias,
                pre: &pre,
                y: &y,
                rows,
                inputs,
                outputs,
                scales,
                keep: keep.flag(),
            };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y, pre)
        }
    }
}

/// `g w`.
pub(super) fn linear_backward(g: &CubeTensor, w: &CubeTensor, storage: Storage) -> CubeTensor {
    let ((rows, outputs), inputs) = (dims(g), storage.inputs as u32);
    let quads = in_quads(&[inputs, outputs], &[g, w]);
    let kernel = linear_backward::variant(storage.precision, tile(quads, [rows, inputs], g));
    let dx = empty([rows as usize, inputs as usize], g);
    let scales = storage.scales() as u32;
    let call = linear_backward::Arguments { g, w, dx: &dx, rows, inputs, outputs, scales };
    launch(kernel, &call, tiles(kernel, rows, inputs));
    dx
}

/// `g^T x`, row-major.
pub(super) fn weight_grad(g: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(x));
    let quads = in_quads(&[inputs, outputs], &[g, x]);
    let tile = Tile::choose(Processor::Gpu, quads, outputs, inputs);
    let kernel = linear_weight_grad::variant(tile).expect("a GPU is given no wide tiles");
    let dw = empty([outputs as usize * inputs as usize], g);
    let call = linear_weight_grad::Arguments { g, x, dw: &dw, rows, inputs, outputs };
    launch(kernel, &call, tiles(kernel, outputs, inputs));
    dw
}

/// Place of blocks 0, 1 and 2 among the adapted ones.
fn slots(plan: &LoraPlan) -> [u32; 3] {
    let slot = |block| {
        let place = plan.adapted.iter().position(|&adapted| adapted == block);
        place.map_or(NO_SLOT, |place| place as u32)
    };
    [slot(0), slot(1), slot(2)]
}

/// `x A^T`.
pub(super) fn down(x: &CubeTensor, factors: &CubeTensor, plan: &LoraPlan) -> CubeTensor {
    let ((rows, inputs), stacked_rank) = (dims(x), plan.stacked_rank() as u32);
    let u = empty([rows as usize, stacked_rank as usize], x);
    let call = lora_down::Arguments { x, factors, u: &u, rows, inputs, stacked_rank };
    let groups = Groups::linear(rows.div_ceil(8) * stacked_rank.div_ceil(8));
    launch(lora_down::variant(), &call, groups);
    u
}

/// What an adapted layer takes beside its frozen part.
pub(super) struct Inputs<'a> {
    pub x: &'a CubeTensor,
    /// Input of the low-rank path, where that is not x.
    pub low: Option<CubeTensor>,
    pub factors: &'a CubeTensor,
    pub plan: &'a LoraPlan,
}

/// Whether every tile of an output computes `x A^T` along with it.
fn fuses(processor: Processor, tile: Tile, outputs: u32, plan: &LoraPlan) -> bool {
    tile != Tile::Any
        && plan.rank as u32 <= MOST_FUSED
        && (plan.width as u32).is_multiple_of(tile.size())
        && (processor == Processor::Software || outputs <= WIDEST_FUSED)
}

/// The activated output, the output before, which is meaningless where it is not kept, and `x A^T`, or
/// `low A^T`.
pub(super) fn lora_linear_forward(
    inputs: &Inputs<'_>,
    w: &CubeTensor,
    bias: &CubeTensor,
    storage: Storage,
    activation: Activation,
    keep: Keep,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let &Inputs { x, ref low, factors, plan } = inputs;
    let ((rows, inputs), outputs) = (dims(x), storage.outputs as u32);
    let (width, rank) = (plan.width as u32, plan.rank as u32);
    let quads = in_quads(&[inputs, outputs, width], &[x, w, bias, factors]);
    let processor = tuning(x).processor;
    let tile = Tile::choose(processor, quads, rows, outputs);
    let fused = low.is_none() && fuses(processor, tile, outputs, plan);
    let u = if fused {
        empty([rows as usize, plan.stacked_rank()], x)
    } else {
        down(low.as_ref().unwrap_or(x), factors, plan)
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
            (y.clone(), y, u)
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
            (y, pre, u)
        }
    }
}

/// Gradients of `x A^T` and of the factors.
pub(super) fn lora_grads(
    g: &CubeTensor,
    x: &Kept<CubeBackend>,
    u: &CubeTensor,
    factors: &CubeTensor,
    plan: &LoraPlan,
) -> (CubeTensor, CubeTensor) {
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(x.held()));
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
    match x {
        Kept::Rows(kept) | Kept::Gelu(kept) => {
            let before = match x {
                Kept::Gelu(_) => Activation::Gelu,
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
        Kept::Scaled(normalised, gamma, beta) => {
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
    (v, dfactors)
}

/// `g w + v A`.
pub(super) fn lora_linear_backward(
    g: &CubeTensor,
    w: &CubeTensor,
    v: &CubeTensor,
    factors: &CubeTensor,
    plan: &LoraPlan,
    storage: Storage,
) -> CubeTensor {
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
    use crate::ops::Precision;

    #[test]
    fn every_variant_that_can_be_asked_for_exists() {
        use Precision::{F16, F32, Int8};
        for quads in [false, true] {
            for rows in [1, 4096] {
                let tile = Tile::choose(Processor::Gpu, quads, rows, 4096);
                assert!(linear_weight_grad::variant(tile).is_some(), "{tile:?}");
            }
        }
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

    #[test]
    fn tiles_suit_the_device_and_the_output() {
        let choose = |processor, rows, columns| Tile::choose(processor, true, rows, columns);
        assert_eq!(choose(Processor::Gpu, 30, 1536), Tile::Small);
        assert_eq!(choose(Processor::Gpu, 4096, 384), Tile::Large);
        assert_eq!(choose(Processor::Software, 30, 1536), Tile::Large);
        assert_eq!(choose(Processor::Software, 100, 384), Tile::Wide);
        assert_eq!(choose(Processor::Software, 600, 1536), Tile::Wide);
        for processor in [Processor::Gpu, Processor::Software] {
            assert_eq!(Tile::choose(processor, false, 4096, 4096), Tile::Any);
        }
    }
}
