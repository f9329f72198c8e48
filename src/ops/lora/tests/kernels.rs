//! Compares the kernels with the f64 reference.

use burn_cubecl::tensor::CubeTensor;

use super::truth::Adapted;
use crate::ops::layer_norm::tests::scaled;
use crate::ops::linear::tests::kernels::{check_kept, kept, preceding, sizes, times};
use crate::ops::linear::tests::truth::activated;
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests, precision, tiles, variants};
use crate::ops::tests::support::{Source, rounded};
use crate::ops::wgsl::kernel::{self as shaders, Groups, Kernel};
use crate::ops::wgsl::launch::launch;
use crate::ops::{LoraPlan, Storage};

kernel_tests!(
    lora_linear: PRODUCT,
    lora_linear_gelu: ACTIVATED,
    lora_linear_backward: PRODUCT,
    lora_down: PRODUCT,
    lora_up_backward: PRODUCT,
    lora_grads: PRODUCT,
    lora_grads_scaled: PRODUCT,
);

type Shape = (&'static [usize], usize, usize);

/// Adapted blocks, their total number, and the rank: single, the last, with a gap, all, more than a tile.
const SHAPES: [Shape; 8] = [
    (&[0, 2], 3, 3),
    (&[0], 1, 1),
    (&[1], 2, 5),
    (&[1], 3, 8),
    (&[0, 1, 2], 3, 2),
    (&[2], 3, 17),
    (&[0, 1], 2, 16),
    (&[0], 1, 33),
];

fn plan(adapted: &[usize], width: usize, rank: usize) -> LoraPlan {
    LoraPlan { adapted: adapted.to_vec(), width, rank, scale: 0.75 }
}

/// Maximum rank for which a variant computes `x A^T`, if it does.
fn fused(kernel: &Kernel) -> Option<usize> {
    let part = kernel.name.split('_').find_map(|part| part.strip_prefix("fused"));
    part.map(|rank| rank.parse().expect("a rank"))
}

/// Plans and sizes that a variant supports.
fn cases(kernel: &Kernel) -> Vec<(LoraPlan, [usize; 3])> {
    let shapes = SHAPES.into_iter().zip(sizes(kernel));
    let (Some(most), tile) = (fused(kernel), kernel_tile(kernel)) else {
        let case = |((adapted, blocks, rank), [t, k, width]): (Shape, [usize; 3])| {
            (plan(adapted, width, rank), [t, k, blocks * width])
        };
        return shapes.map(case).collect();
    };
    // Blocks of whole tiles, with every rank that fits in turn.
    let case = |(i, ((adapted, blocks, _), [t, k, _])): (usize, (Shape, [usize; 3]))| {
        let (width, rank) = (tile * (1 + i % 2), if i == 0 { most } else { 1 + (3 * i) % most });
        (plan(adapted, width, rank), [t, k, blocks * width])
    };
    shapes.enumerate().map(case).collect()
}

fn kernel_tile(kernel: &Kernel) -> usize {
    let tile = kernel.constants.iter().find(|(name, _)| *name == "TILE_COLUMNS");
    tile.map_or(1, |(_, tile)| *tile as usize)
}

/// Index of blocks 0, 1 and 2 among the adapted ones.
fn slots(plan: &LoraPlan) -> [u32; 3] {
    [0, 1, 2].map(|block| {
        let place = plan.adapted.iter().position(|&adapted| adapted == block);
        place.map_or(u32::MAX, |place| place as u32)
    })
}

/// An adapted layer: its inputs on the host and on the device.
struct Layer {
    x: Vec<f64>,
    g: Vec<f64>,
    bias: Vec<f64>,
    factors: Vec<f64>,
    words: CubeTensor,
    storage: Storage,
    w: Vec<f64>,
}

impl Layer {
    fn new(
        bench: &Bench,
        kernel: &Kernel,
        plan: &LoraPlan,
        [t, k, o]: [usize; 3],
        seed: u64,
    ) -> Self {
        let mut source = Source::new(seed);
        let stored = source.exact(o * k);
        let (words, storage, w) = bench.gpu.weight(&stored, [o, k], precision(kernel));
        Self {
            x: source.exact(t * k),
            g: source.exact(t * o),
            bias: source.exact(o),
            factors: source.exact(plan.stacked_rank() * k + plan.up_len()),
            words,
            storage,
            w,
        }
    }

    fn factors(&self, bench: &Bench) -> CubeTensor {
        bench.gpu.floats([self.factors.len()], &self.factors)
    }
}

fn lora_linear(bench: &Bench) {
    for kernel in bench.variants("lora_linear") {
        for (plan, sizes @ [t, k, o]) in bench.sizes(cases(kernel)) {
            let what = format!("{sizes:?} {plan:?}");
            let layer = Layer::new(bench, kernel, &plan, sizes, 41);
            let truth = Adapted { plan: &plan, sizes };
            let down = truth.down(&layer.x, &layer.factors);
            let (n, y) = (plan.stacked_rank(), bench.gpu.output([t, o]));
            let given = bench.gpu.floats([t, n], &down);
            let u = if fused(kernel).is_some() { bench.gpu.output([t, n]) } else { given };
            let [slot_0, slot_1, slot_2] = slots(&plan);
            let call = shaders::lora_linear::Arguments {
                x: &bench.gpu.floats([t, k], &layer.x),
                w: &layer.words,
                bias: &bench.gpu.floats([o], &layer.bias),
                factors: &layer.factors(bench),
                u: &u,
                y: &y,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: layer.storage.scales() as u32,
                width: plan.width as u32,
                rank: plan.rank as u32,
                adapted: plan.adapted.len() as u32,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
            };
            launch(kernel, &call, tiles(kernel, t, o));
            let expected = truth.forward(&layer.x, &layer.w, &layer.bias, &layer.factors);
            check(kernel, &format!("y {what}"), &expected, &y);
            check(kernel, &format!("u {what}"), &down, &u);
        }
    }
}

fn lora_linear_gelu(bench: &Bench) {
    for kernel in bench.variants("lora_linear_gelu") {
        for (i, (plan, sizes @ [t, k, o])) in bench.sizes(cases(kernel)).enumerate() {
            let what = format!("{sizes:?} {plan:?}");
            let layer = Layer::new(bench, kernel, &plan, sizes, 42);
            let truth = Adapted { plan: &plan, sizes };
            let down = truth.down(&layer.x, &layer.factors);
            let n = plan.stacked_rank();
            let keep = i % 2 == 0;
            let (pre, y) = (kept(bench, keep, [t, o]), bench.gpu.output([t, o]));
            let given = bench.gpu.floats([t, n], &down);
            let u = if fused(kernel).is_some() { bench.gpu.output([t, n]) } else { given };
            let [slot_0, slot_1, slot_2] = slots(&plan);
            let call = shaders::lora_linear_gelu::Arguments {
                x: &bench.gpu.floats([t, k], &layer.x),
                w: &layer.words,
                bias: &bench.gpu.floats([o], &layer.bias),
                factors: &layer.factors(bench),
                u: &u,
                pre: &pre,
                y: &y,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: layer.storage.scales() as u32,
                width: plan.width as u32,
                rank: plan.rank as u32,
                adapted: plan.adapted.len() as u32,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
                keep: keep.into(),
            };
            launch(kernel, &call, tiles(kernel, t, o));
            let expected = truth.forward(&layer.x, &layer.w, &layer.bias, &layer.factors);
            check_kept(kernel, &format!("pre {what}"), keep, &expected, &pre);
            check(kernel, &format!("y {what}"), &activated(&expected), &y);
            check(kernel, &format!("u {what}"), &down, &u);
        }
    }
}

fn lora_linear_backward(bench: &Bench) {
    for kernel in bench.variants("lora_linear_backward") {
        for (i, (plan, sizes @ [t, k, o])) in bench.sizes(cases(kernel)).enumerate() {
            let layer = Layer::new(bench, kernel, &plan, sizes, 43);
            let truth = Adapted { plan: &plan, sizes };
            let v = rounded(&truth.up_backward(&layer.g, &layer.factors));
            let (dx, gelu) = (bench.gpu.output([t, k]), i % 2 == 0);
            let (pre, slopes) = preceding(bench, &mut Source::new(48), gelu, [t, k]);
            let call = shaders::lora_linear_backward::Arguments {
                g: &bench.gpu.floats([t, o], &layer.g),
                w: &layer.words,
                factors: &layer.factors(bench),
                v: &bench.gpu.floats([t, plan.stacked_rank()], &v),
                pre: &pre,
                dx: &dx,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: layer.storage.scales() as u32,
                stacked_rank: plan.stacked_rank() as u32,
                gelu: gelu.into(),
            };
            launch(kernel, &call, tiles(kernel, t, k));
            let expected = times(truth.backward(&layer.g, &layer.w, &v, &layer.factors), &slopes);
            check(kernel, &format!("{sizes:?} {plan:?}, GELU before: {gelu}"), &expected, &dx);
        }
    }
}

/// Any width.
fn any() -> Vec<(LoraPlan, [usize; 3])> {
    let of = variants("lora_grads").find(|kernel| kernel.constant("PER_ITEM") == 1);
    cases(of.expect("a variant for any size"))
}

fn lora_down(bench: &Bench) {
    for kernel in bench.variants("lora_down") {
        for (plan, sizes @ [t, k, _]) in bench.sizes(any()) {
            let mut source = Source::new(44);
            let (x, n) = (source.exact(t * k), plan.stacked_rank());
            let factors = source.exact(n * k + plan.up_len());
            let u = bench.gpu.output([t, n]);
            let call = shaders::lora_down::Arguments {
                x: &bench.gpu.floats([t, k], &x),
                factors: &bench.gpu.floats([factors.len()], &factors),
                u: &u,
                rows: t as u32,
                inputs: k as u32,
                stacked_rank: n as u32,
            };
            launch(kernel, &call, Groups::linear((t.div_ceil(8) * n.div_ceil(8)) as u32));
            let expected = Adapted { plan: &plan, sizes }.down(&x, &factors);
            check(kernel, &format!("{sizes:?} {plan:?}"), &expected, &u);
        }
    }
}

fn lora_up_backward(bench: &Bench) {
    for kernel in bench.variants("lora_up_backward") {
        for (plan, sizes @ [t, k, o]) in bench.sizes(any()) {
            let mut source = Source::new(45);
            let (g, n) = (source.exact(t * o), plan.stacked_rank());
            let factors = source.exact(n * k + plan.up_len());
            let v = bench.gpu.output([t, n]);
            let [slot_0, slot_1, slot_2] = slots(&plan);
            let call = shaders::lora_up_backward::Arguments {
                g: &bench.gpu.floats([t, o], &g),
                factors: &bench.gpu.floats([factors.len()], &factors),
                v: &v,
                rows: t as u32,
                outputs: o as u32,
                width: plan.width as u32,
                rank: plan.rank as u32,
                adapted: plan.adapted.len() as u32,
                slot_0,
                slot_1,
                slot_2,
                b_start: (n * k) as u32,
                scale: plan.scale,
            };
            let count = t.div_ceil(8) * plan.adapted.len() * plan.rank.div_ceil(8);
            launch(kernel, &call, groups(count, 1));
            let expected = Adapted { plan: &plan, sizes }.up_backward(&g, &factors);
            check(kernel, &format!("{sizes:?} {plan:?}"), &expected, &v);
        }
    }
}

fn lora_grads(bench: &Bench) {
    for kernel in bench.variants("lora_grads") {
        for (plan, sizes @ [t, k, o]) in bench.sizes(cases(kernel)) {
            let mut source = Source::new(46);
            let n = plan.stacked_rank();
            let (g, kept) = (source.exact(t * o), source.exact(t * k));
            let (u, v) = (source.exact(t * n), source.exact(t * n));
            let dfactors = bench.gpu.output([n * k + plan.up_len()]);
            let [slot_0, slot_1, slot_2] = slots(&plan);
            let call = shaders::lora_grads::Arguments {
                g: &bench.gpu.floats([t, o], &g),
                kept: &bench.gpu.floats([t, k], &kept),
                u: &bench.gpu.floats([t, n], &u),
                v: &bench.gpu.floats([t, n], &v),
                dfactors: &dfactors,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                width: plan.width as u32,
                rank: plan.rank as u32,
                adapted: plan.adapted.len() as u32,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
            };
            launch(kernel, &call, gradient_groups(&plan, k));
            let x = if kernel.name.contains("gelu") { activated(&kept) } else { kept };
            let expected = Adapted { plan: &plan, sizes }.grads(&g, &x, &u, &v);
            check(kernel, &format!("{sizes:?} {plan:?}"), &expected, &dfactors);
        }
    }
}

fn lora_grads_scaled(bench: &Bench) {
    for kernel in bench.variants("lora_grads_scaled") {
        for (plan, sizes @ [t, k, o]) in bench.sizes(cases(kernel)) {
            let mut source = Source::new(47);
            let n = plan.stacked_rank();
            let (g, normalised) = (source.exact(t * o), source.exact(t * k));
            let (gamma, beta) = (source.exact(k), source.exact(k));
            let (u, v) = (source.exact(t * n), source.exact(t * n));
            let dfactors = bench.gpu.output([n * k + plan.up_len()]);
            let [slot_0, slot_1, slot_2] = slots(&plan);
            let call = shaders::lora_grads_scaled::Arguments {
                g: &bench.gpu.floats([t, o], &g),
                normalised: &bench.gpu.floats([t, k], &normalised),
                gamma: &bench.gpu.floats([k], &gamma),
                beta: &bench.gpu.floats([k], &beta),
                u: &bench.gpu.floats([t, n], &u),
                v: &bench.gpu.floats([t, n], &v),
                dfactors: &dfactors,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                width: plan.width as u32,
                rank: plan.rank as u32,
                adapted: plan.adapted.len() as u32,
                slot_0,
                slot_1,
                slot_2,
                scale: plan.scale,
            };
            launch(kernel, &call, gradient_groups(&plan, k));
            let x = scaled(&normalised, &gamma, &beta);
            let expected = Adapted { plan: &plan, sizes }.grads(&g, &x, &u, &v);
            check(kernel, &format!("{sizes:?} {plan:?}"), &expected, &dfactors);
        }
    }
}

/// Workgroups of the factors' gradient for a layer with this many inputs.
fn gradient_groups(plan: &LoraPlan, inputs: usize) -> Groups {
    let of_a = inputs.div_ceil(16) * plan.stacked_rank().div_ceil(8);
    let of_b = plan.adapted.len() * plan.width.div_ceil(16) * plan.rank.div_ceil(8);
    groups(of_a + of_b, 1)
}
