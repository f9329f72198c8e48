//! Compares the kernels with the f64 reference.

use burn_cubecl::tensor::CubeTensor;

use super::truth::{activated, linear as truth, nn, tn};
use crate::ops::Storage;
use crate::ops::gelu::tests::{bent, gelu_slope};
use crate::ops::tests::device::host;
use crate::ops::tests::kernels::{
    Bench, ODD, check, kernel_tests, multiplied, precision, tiles, widths,
};
use crate::ops::tests::support::Source;
use crate::ops::wgsl::kernel::{self as shaders, Kernel};
use crate::ops::wgsl::launch::launch;

kernel_tests!(
    linear: PRODUCT,
    linear_gelu: ACTIVATED,
    linear_cooperative: HALF,
    linear_backward: PRODUCT,
    linear_weight_grad: PRODUCT,
);

/// Rows, inputs and outputs.
pub(in crate::ops) fn sizes(kernel: &Kernel) -> impl Iterator<Item = [usize; 3]> {
    let widths = widths(kernel);
    // The first one is smaller than a tile and does not divide one in any direction.
    (0..8).map(move |i| [ODD[(i + 5) % 8], widths[(i + 4) % 8], widths[(i + 3) % 8]])
}

/// A test layer: x and bias, and the weight as stored and as read.
struct Layer {
    x: Vec<f64>,
    bias: Vec<f64>,
    words: CubeTensor,
    storage: Storage,
    w: Vec<f64>,
}

impl Layer {
    fn new(bench: &Bench, kernel: &Kernel, source: &mut Source, [t, k, o]: [usize; 3]) -> Self {
        let (x, bias) = (multiplied(kernel, source.exact(t * k)), source.exact(o));
        let (words, storage, w) = bench.gpu.weight(&source.exact(o * k), [o, k], precision(kernel));
        Self { x, bias, words, storage, w }
    }
}

fn linear(bench: &Bench) {
    let mut source = Source::new(31);
    for kernel in bench.variants("linear") {
        for size @ [t, k, o] in bench.sizes(sizes(kernel)) {
            let Layer { x, bias, words, storage, w } = Layer::new(bench, kernel, &mut source, size);
            let y = bench.gpu.output([t, o]);
            let call = shaders::linear::Arguments {
                x: &bench.gpu.floats([t, k], &x),
                w: &words,
                bias: &bench.gpu.floats([o], &bias),
                y: &y,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: storage.scales() as u32,
            };
            launch(kernel, &call, tiles(kernel, t, o));
            check(kernel, &format!("{size:?}"), &truth(&x, &w, &bias, size), &y);
        }
    }
}

fn linear_gelu(bench: &Bench) {
    let mut source = Source::new(32);
    for kernel in bench.variants("linear_gelu") {
        for (i, size @ [t, k, o]) in bench.sizes(sizes(kernel)).enumerate() {
            let Layer { x, bias, words, storage, w } = Layer::new(bench, kernel, &mut source, size);
            let keep = i % 2 == 0;
            let (pre, y) = (kept(bench, keep, [t, o]), bench.gpu.output([t, o]));
            let call = shaders::linear_gelu::Arguments {
                x: &bench.gpu.floats([t, k], &x),
                w: &words,
                bias: &bench.gpu.floats([o], &bias),
                pre: &pre,
                y: &y,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: storage.scales() as u32,
                keep: keep.into(),
            };
            launch(kernel, &call, tiles(kernel, t, o));
            let expected = truth(&x, &w, &bias, size);
            check_kept(kernel, &format!("pre {size:?}"), keep, &expected, &pre);
            check(kernel, &format!("y {size:?}"), &activated(&expected), &y);
        }
    }
}

/// Memory for saved activations, or the minimum that can be bound if there are none.
pub(in crate::ops) fn kept(bench: &Bench, keep: bool, shape: [usize; 2]) -> CubeTensor {
    bench.gpu.output(if keep { shape } else { [1, 4] })
}

/// Fails if saved activations are wrong, or if they were written without being requested.
pub(in crate::ops) fn check_kept(
    kernel: &Kernel,
    what: &str,
    keep: bool,
    expected: &[f64],
    found: &CubeTensor,
) {
    if keep {
        return check(kernel, what, expected, found);
    }
    assert!(host(found).iter().all(|value| value.is_nan()), "{}: {what} is written", kernel.name);
}

/// Runs only if the adapter has cooperative matrices.
fn linear_cooperative(bench: &Bench) {
    let mut source = Source::new(35);
    for kernel in bench.variants("linear_cooperative") {
        for size @ [t, k, o] in bench.sizes(sizes(kernel)) {
            let Layer { x, bias, words, storage, w } = Layer::new(bench, kernel, &mut source, size);
            let y = bench.gpu.output([t, o]);
            let call = shaders::linear_cooperative::Arguments {
                x: &bench.gpu.floats([t, k], &x),
                w: &words,
                bias: &bench.gpu.floats([o], &bias),
                y: &y,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: storage.scales() as u32,
            };
            launch(kernel, &call, tiles(kernel, t, o));
            let before = truth(&x, &w, &bias, size);
            let gelu = kernel.name.contains("gelu");
            let expected = if gelu { activated(&before) } else { before };
            check(kernel, &format!("{size:?}"), &expected, &y);
        }
    }
}

/// What a gradient is multiplied by: nothing, or the derivative of GELU. The tensor to bind, and the factors.
pub(in crate::ops) fn preceding(
    bench: &Bench,
    source: &mut Source,
    gelu: bool,
    [t, k]: [usize; 2],
) -> (CubeTensor, Vec<f64>) {
    if !gelu {
        // Not read: of the least size that can be bound, and NaN.
        return (bench.gpu.output([1, 4]), vec![1.0; t * k]);
    }
    let before = bent(source, t * k);
    (bench.gpu.floats([t, k], &before), before.into_iter().map(gelu_slope).collect())
}

fn linear_backward(bench: &Bench) {
    let mut source = Source::new(33);
    for kernel in bench.variants("linear_backward") {
        for (i, size @ [t, k, o]) in bench.sizes(sizes(kernel)).enumerate() {
            let Layer { words, storage, w, .. } = Layer::new(bench, kernel, &mut source, size);
            let (g, dx) = (source.exact(t * o), bench.gpu.output([t, k]));
            let gelu = i % 2 == 0;
            let (pre, slopes) = preceding(bench, &mut source, gelu, [t, k]);
            let call = shaders::linear_backward::Arguments {
                g: &bench.gpu.floats([t, o], &g),
                w: &words,
                pre: &pre,
                dx: &dx,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
                scales: storage.scales() as u32,
                gelu: gelu.into(),
            };
            launch(kernel, &call, tiles(kernel, t, k));
            let expected = times(nn(&g, &w, [t, o, k]), &slopes);
            check(kernel, &format!("{size:?}, GELU before: {gelu}"), &expected, &dx);
        }
    }
}

/// Element by element.
pub(in crate::ops) fn times(values: Vec<f64>, factors: &[f64]) -> Vec<f64> {
    values.iter().zip(factors).map(|(value, factor)| value * factor).collect()
}

fn linear_weight_grad(bench: &Bench) {
    let mut source = Source::new(34);
    for kernel in bench.variants("linear_weight_grad") {
        for size @ [t, k, o] in bench.sizes(sizes(kernel)) {
            let (g, x) = (source.exact(t * o), source.exact(t * k));
            let dw = bench.gpu.output([o, k]);
            let call = shaders::linear_weight_grad::Arguments {
                g: &bench.gpu.floats([t, o], &g),
                x: &bench.gpu.floats([t, k], &x),
                dw: &dw,
                rows: t as u32,
                inputs: k as u32,
                outputs: o as u32,
            };
            launch(kernel, &call, tiles(kernel, o, k));
            check(kernel, &format!("{size:?}"), &tn(&g, &x, [o, t, k]), &dw);
        }
    }
}
