//! Linear layers, with and without a low-rank term, and their gradients.

use burn_cubecl::tensor::CubeTensor;

use super::kernel::{
    Groups, Kernel, linear, linear_backward, linear_gelu, lora_down, lora_grads, lora_linear,
    lora_linear_backward, lora_linear_gelu, lora_up_backward,
};
use super::launch::{aligned, count, dims, empty, launch};
use crate::ops::{Activation, LoraPlan};

/// Below so many tiles of 64 by 64, smaller tiles keep more of a GPU busy.
const FEW_TILES: u32 = 128;

/// Widest output of which every column tile computes `x A^T` for itself, sparing a dispatch that
/// would cost more.
const WIDEST_FUSED: u32 = 1024;

/// No such block: the shaders' mark for an output block without a low-rank term.
const NO_SLOT: u32 = u32::MAX;

/// The three variants of a product: any sizes, sizes that divide by four, few tiles.
struct Tiles {
    any: &'static Kernel,
    quads: &'static Kernel,
    few: &'static Kernel,
}

impl Tiles {
    fn choose(&self, quads: bool, rows: u32, columns: u32) -> &'static Kernel {
        match quads {
            false => self.any,
            true if rows.div_ceil(64) * columns.div_ceil(64) < FEW_TILES => self.few,
            true => self.quads,
        }
    }
}

/// One workgroup for each tile of the output.
fn tiles(kernel: &Kernel, rows: u32, columns: u32) -> Groups {
    let tile = kernel.constant("TILE");
    Groups::linear(rows.div_ceil(tile) * columns.div_ceil(tile))
}

/// Whether sizes divide by four and the tensors begin at quads.
fn in_quads(sizes: &[u32], tensors: &[&CubeTensor]) -> bool {
    sizes.iter().all(|size| size.is_multiple_of(4)) && tensors.iter().all(|tensor| aligned(tensor))
}

/// The activated output, and the output before.
pub(super) fn linear_forward(
    x: &CubeTensor,
    w: &CubeTensor,
    bias: &CubeTensor,
    activation: Activation,
) -> (CubeTensor, CubeTensor) {
    let ((rows, inputs), (outputs, _)) = (dims(x), dims(w));
    let quads = in_quads(&[inputs, outputs], &[x, w, bias]);
    let y = empty([rows as usize, outputs as usize], x);
    let scales = 0;
    match activation {
        Activation::Identity => {
            let variants = Tiles {
                any: &linear::LINEAR_F32,
                quads: &linear::LINEAR_F32_VEC4,
                few: &linear::LINEAR_F32_VEC4_SMALL,
            };
            let kernel = variants.choose(quads, rows, outputs);
            let call = linear::Arguments { x, w, bias, y: &y, rows, inputs, outputs, scales };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y.clone(), y)
        }
        Activation::Gelu => {
            let variants = Tiles {
                any: &linear_gelu::LINEAR_GELU_F32,
                quads: &linear_gelu::LINEAR_GELU_F32_VEC4,
                few: &linear_gelu::LINEAR_GELU_F32_VEC4_SMALL,
            };
            let kernel = variants.choose(quads, rows, outputs);
            let pre = empty([rows as usize, outputs as usize], x);
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
            };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y, pre)
        }
    }
}

/// `g w`.
pub(super) fn linear_backward(g: &CubeTensor, w: &CubeTensor) -> CubeTensor {
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(w));
    let variants = Tiles {
        any: &linear_backward::LINEAR_BACKWARD_F32,
        quads: &linear_backward::LINEAR_BACKWARD_F32_VEC4,
        few: &linear_backward::LINEAR_BACKWARD_F32_VEC4_SMALL,
    };
    let kernel = variants.choose(in_quads(&[inputs, outputs], &[g, w]), rows, inputs);
    let dx = empty([rows as usize, inputs as usize], g);
    let call = linear_backward::Arguments { g, w, dx: &dx, rows, inputs, outputs, scales: 0 };
    launch(kernel, &call, tiles(kernel, rows, inputs));
    dx
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
    launch(&lora_down::LORA_DOWN, &call, groups);
    u
}

/// The activated output, the output before, and `x A^T`.
pub(super) fn lora_linear_forward(
    x: &CubeTensor,
    w: &CubeTensor,
    bias: &CubeTensor,
    factors: &CubeTensor,
    plan: &LoraPlan,
    activation: Activation,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let ((rows, inputs), (outputs, _)) = (dims(x), dims(w));
    let (width, rank) = (plan.width as u32, plan.rank as u32);
    let quads = in_quads(&[inputs, outputs, width], &[x, w, bias, factors]);
    let fused = quads && rank <= 16 && width.is_multiple_of(64) && outputs <= WIDEST_FUSED;
    let u =
        if fused { empty([rows as usize, plan.stacked_rank()], x) } else { down(x, factors, plan) };
    let y = empty([rows as usize, outputs as usize], x);
    let (adapted, [slot_0, slot_1, slot_2]) = (plan.adapted.len() as u32, slots(plan));
    match activation {
        Activation::Identity => {
            use lora_linear::{
                Arguments, LORA_LINEAR_F32, LORA_LINEAR_F32_FUSED8_VEC4,
                LORA_LINEAR_F32_FUSED8_VEC4_SMALL, LORA_LINEAR_F32_FUSED16_VEC4,
                LORA_LINEAR_F32_FUSED16_VEC4_SMALL, LORA_LINEAR_F32_VEC4,
                LORA_LINEAR_F32_VEC4_SMALL,
            };
            let (quad, few) = match (fused, rank) {
                (false, _) => (&LORA_LINEAR_F32_VEC4, &LORA_LINEAR_F32_VEC4_SMALL),
                (true, ..=8) => (&LORA_LINEAR_F32_FUSED8_VEC4, &LORA_LINEAR_F32_FUSED8_VEC4_SMALL),
                (true, _) => (&LORA_LINEAR_F32_FUSED16_VEC4, &LORA_LINEAR_F32_FUSED16_VEC4_SMALL),
            };
            let kernel =
                Tiles { any: &LORA_LINEAR_F32, quads: quad, few }.choose(quads, rows, outputs);
            let call = Arguments {
                x,
                w,
                bias,
                factors,
                u: &u,
                y: &y,
                rows,
                inputs,
                outputs,
                scales: 0,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
            };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y.clone(), y, u)
        }
        Activation::Gelu => {
            use lora_linear_gelu::{
                Arguments, LORA_LINEAR_GELU_F32, LORA_LINEAR_GELU_F32_FUSED8_VEC4,
                LORA_LINEAR_GELU_F32_FUSED8_VEC4_SMALL, LORA_LINEAR_GELU_F32_FUSED16_VEC4,
                LORA_LINEAR_GELU_F32_FUSED16_VEC4_SMALL, LORA_LINEAR_GELU_F32_VEC4,
                LORA_LINEAR_GELU_F32_VEC4_SMALL,
            };
            let (quad, few) = match (fused, rank) {
                (false, _) => (&LORA_LINEAR_GELU_F32_VEC4, &LORA_LINEAR_GELU_F32_VEC4_SMALL),
                (true, ..=8) => {
                    (&LORA_LINEAR_GELU_F32_FUSED8_VEC4, &LORA_LINEAR_GELU_F32_FUSED8_VEC4_SMALL)
                }
                (true, _) => {
                    (&LORA_LINEAR_GELU_F32_FUSED16_VEC4, &LORA_LINEAR_GELU_F32_FUSED16_VEC4_SMALL)
                }
            };
            let kernel =
                Tiles { any: &LORA_LINEAR_GELU_F32, quads: quad, few }.choose(quads, rows, outputs);
            let pre = empty([rows as usize, outputs as usize], x);
            let call = Arguments {
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
                scales: 0,
                width,
                rank,
                adapted,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
            };
            launch(kernel, &call, tiles(kernel, rows, outputs));
            (y, pre, u)
        }
    }
}

/// Gradients of `x A^T` and of the factors.
pub(super) fn lora_grads(
    g: &CubeTensor,
    x: &CubeTensor,
    u: &CubeTensor,
    factors: &CubeTensor,
    plan: &LoraPlan,
) -> (CubeTensor, CubeTensor) {
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(x));
    let (width, rank) = (plan.width as u32, plan.rank as u32);
    let (adapted, [slot_0, slot_1, slot_2]) = (plan.adapted.len() as u32, slots(plan));
    let stacked = plan.stacked_rank();
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
        scale: plan.scale,
    };
    let groups = Groups::linear(rows.div_ceil(8) * adapted * rank.div_ceil(8));
    launch(&lora_up_backward::LORA_UP_BACKWARD, &call, groups);

    let dfactors = empty([count(factors) as usize], g);
    let call = lora_grads::Arguments {
        g,
        x,
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
        scale: plan.scale,
    };
    let quads = in_quads(&[inputs, outputs, width], &[g, x]);
    let kernel = if quads { &lora_grads::LORA_GRADS_VEC4 } else { &lora_grads::LORA_GRADS };
    let of_a = inputs.div_ceil(16) * (adapted * rank).div_ceil(8);
    let of_b = adapted * width.div_ceil(16) * rank.div_ceil(8);
    launch(kernel, &call, Groups::linear(of_a + of_b));
    (v, dfactors)
}

/// `g w + v A`.
pub(super) fn lora_linear_backward(
    g: &CubeTensor,
    w: &CubeTensor,
    v: &CubeTensor,
    factors: &CubeTensor,
    plan: &LoraPlan,
) -> CubeTensor {
    use lora_linear_backward::{
        Arguments, LORA_LINEAR_BACKWARD_F32, LORA_LINEAR_BACKWARD_F32_VEC4,
        LORA_LINEAR_BACKWARD_F32_VEC4_SMALL,
    };
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(w));
    let variants = Tiles {
        any: &LORA_LINEAR_BACKWARD_F32,
        quads: &LORA_LINEAR_BACKWARD_F32_VEC4,
        few: &LORA_LINEAR_BACKWARD_F32_VEC4_SMALL,
    };
    let quads = in_quads(&[inputs, outputs, plan.width as u32], &[g, w, factors]);
    let kernel = variants.choose(quads, rows, inputs);
    let dx = empty([rows as usize, inputs as usize], g);
    let stacked_rank = plan.stacked_rank() as u32;
    let call =
        Arguments { g, w, factors, v, dx: &dx, rows, inputs, outputs, scales: 0, stacked_rank };
    launch(kernel, &call, tiles(kernel, rows, inputs));
    dx
}
