//! Compares all implementations of layer normalisation with f64.

use burn::backend::Flex;

use super::{
    AddLayerNormForward, AddLayerNormInputs, LayerNorm, LayerNormKernels, LayerNormSaved,
    add_layer_norm as normed, composed,
};
use crate::ops::tests::cpu_path::{SIZES, same};
use crate::ops::tests::directions::{Case, vector};
use crate::ops::tests::gpu::frozen;
use crate::ops::tests::kernels::{
    Bench, EPSILON, by_row, check, kernel_tests, row_sizes, wide_enough,
};
use crate::ops::tests::support::{Float, Source};
use crate::ops::tests::truth::dot;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(
    add_layer_norm: NORMALISED,
    add_layer_norm_infer: NORMALISED,
    add_layer_norm_backward: NORMALISED,
);

/// Rows of `width`, normalised before gamma, and one over their deviations.
pub(in crate::ops) fn normalise(x: &[f64], width: usize, epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut normalised, mut inverses) = (Vec::new(), Vec::new());
    for row in x.chunks(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        normalised.extend(row.iter().map(|x| (x - mean) * inverse));
        inverses.push(inverse);
    }
    (normalised, inverses)
}

/// `n gamma + beta`.
pub(in crate::ops) fn scaled(normalised: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let width = gamma.len();
    normalised.iter().enumerate().map(|(i, n)| n * gamma[i % width] + beta[i % width]).collect()
}

/// `(h - mean h - n mean(h n)) inverse` with `h = g gamma`.
pub(in crate::ops) fn normalise_backward(
    g: &[f64],
    normalised: &[f64],
    inverses: &[f64],
    gamma: &[f64],
) -> Vec<f64> {
    let width = gamma.len();
    let rows = g.chunks(width).zip(normalised.chunks(width)).zip(inverses);
    rows.flat_map(|((g, n), inverse)| {
        let h: Vec<f64> = g.iter().zip(gamma).map(|(g, gamma)| g * gamma).collect();
        let mean = h.iter().sum::<f64>() / width as f64;
        let along = dot(&h, n) / width as f64;
        h.iter().zip(n).map(|(h, n)| (h - mean - n * along) * inverse).collect::<Vec<_>>()
    })
    .collect()
}

/// Sums of two, element by element.
pub(in crate::ops) fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn add_layer_norm(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm") {
        for size @ [t, h] in bench.sizes(row_sizes().filter(wide_enough)) {
            let mut source = Source::new(61);
            let (x, residual) = (source.exact(t * h), source.exact(t * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            let [y, normalised] = [(); 2].map(|()| bench.gpu.output([t, h]));
            let inverse_deviation = bench.gpu.output([t, 1]);
            let call = shaders::add_layer_norm::Arguments {
                x: &bench.gpu.floats([t, h], &x),
                residual: &bench.gpu.floats([t, h], &residual),
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                y: &y,
                normalised: &normalised,
                inverse_deviation: &inverse_deviation,
                rows: t as u32,
                width: h as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let (n, inverses) = normalise(&sum(&x, &residual), h, EPSILON.into());
            check(kernel, &format!("y {size:?}"), &scaled(&n, &gamma, &beta), &y);
            check(kernel, &format!("normalised {size:?}"), &n, &normalised);
            check(kernel, &format!("inverse deviation {size:?}"), &inverses, &inverse_deviation);
        }
    }
}

fn add_layer_norm_infer(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm_infer") {
        for size @ [t, h] in bench.sizes(row_sizes().filter(wide_enough)) {
            let mut source = Source::new(62);
            let (x, residual) = (source.exact(t * h), source.exact(t * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            let y = bench.gpu.output([t, h]);
            let call = shaders::add_layer_norm_infer::Arguments {
                x: &bench.gpu.floats([t, h], &x),
                residual: &bench.gpu.floats([t, h], &residual),
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                y: &y,
                rows: t as u32,
                width: h as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let n = normalise(&sum(&x, &residual), h, EPSILON.into()).0;
            check(kernel, &format!("{size:?}"), &scaled(&n, &gamma, &beta), &y);
        }
    }
}

fn add_layer_norm_backward(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm_backward") {
        for size @ [t, h] in bench.sizes(row_sizes()) {
            // Any values; they need not be normalised.
            let mut source = Source::new(63);
            let [g, n] = [(); 2].map(|()| source.exact(t * h));
            let (inverses, gamma) = (source.exact(t), source.exact(h));
            let dx = bench.gpu.output([t, h]);
            let call = shaders::add_layer_norm_backward::Arguments {
                g: &bench.gpu.floats([t, h], &g),
                normalised: &bench.gpu.floats([t, h], &n),
                inverse_deviation: &bench.gpu.floats([t, 1], &inverses),
                gamma: &bench.gpu.floats([h], &gamma),
                dx: &dx,
                rows: t as u32,
                width: h as u32,
            };
            launch(kernel, &call, by_row(kernel, t));
            let expected = normalise_backward(&g, &n, &inverses, &gamma);
            check(kernel, &format!("{size:?}"), &expected, &dx);
        }
    }
}

fn inputs(i: &[Float], gamma: &Float, beta: &Float) -> AddLayerNormInputs<Flex> {
    AddLayerNormInputs {
        x: i[0].clone(),
        residual: i[1].clone(),
        gamma: gamma.clone(),
        beta: beta.clone(),
        epsilon: EPSILON,
    }
}

fn saved(forward: AddLayerNormForward<Flex>, gamma: Float) -> LayerNormSaved<Flex> {
    let AddLayerNormForward { normalised, inverse_deviation, .. } = forward;
    LayerNormSaved { normalised, inverse_deviation, gamma }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(14);
    for (t, h) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let what = |part| format!("{part} {t} {h}");
        let (i, g) = ([source.f32([t, h]), source.f32([t, h])], source.f32([t, h]));
        let (gamma, beta) = (source.f32([h]), source.f32([h]));
        let inputs = inputs(&i, &gamma, &beta);
        let expected = composed::add_layer_norm(inputs.clone());
        let found = Flex::add_layer_norm_forward(inputs.clone());
        same(&what("add_layer_norm"), expected.y.clone(), found.y);
        same(&what("normalised"), expected.normalised.clone(), found.normalised);
        let deviation = expected.inverse_deviation.clone();
        same(&what("inverse deviation"), deviation, found.inverse_deviation);
        let fused = Flex::add_layer_norm(inputs).values;
        same(&what("add_layer_norm without state"), expected.y.clone(), fused);
        // Two columns always normalise to -1 and 1, so the gradient is zero.
        if h > 2 {
            let saved = saved(expected, gamma);
            same(
                &what("add_layer_norm backward"),
                composed::add_layer_norm_backward(g.clone(), saved.clone()),
                Flex::add_layer_norm_backward(g.clone(), saved),
            );
        }
        same(&what("column sums"), composed::column_sums::<Flex>(g.clone()), Flex::column_sums(g));
    }
}

#[test]
fn composed_gradient() {
    let mut source = Source::new(5);
    let (gamma, beta) = (source.f64([7]), source.f64([7]));
    let forward = |i: &[Float]| composed::add_layer_norm(inputs(i, &gamma, &beta));
    finite_differences::check(
        "add and normalise",
        &[source.f64([4, 7]), source.f64([4, 7])],
        |i| forward(i).y,
        |g, i| {
            let grad = composed::add_layer_norm_backward(g, saved(forward(i), gamma.clone()));
            vec![grad.clone(), grad]
        },
    );
}

#[test]
fn gpu_path() {
    for [t, h] in [[1, 3], [17, 31], [129, 33]] {
        gpu::compare(&format!("add_layer_norm {t} {h}"), &[[t, h], [t, h]], |device, i| {
            let (gamma, beta) = (frozen(1, [h], device), frozen(2, [h], device));
            normed(i[0].clone(), i[1].clone(), &gamma, &beta, 1e-12).into_values()
        });
    }
}

#[test]
fn gpu_gradient() {
    for [t, h] in [[1, 3], [17, 31], [31, 33], [129, 127], [2, 1025], [513, 17]] {
        let mut source = Source::new(93);
        let (gamma, beta) = (source.exact(h), source.exact(h));
        Case {
            name: format!("add_layer_norm {t} {h}"),
            kernel: "add_layer_norm",
            shapes: vec![[t, h], [t, h]],
            truth: Box::new(|i| scaled(&normalise(&sum(&i[0], &i[1]), h, 1e-12).0, &gamma, &beta)),
            operation: Box::new(|device, i| {
                let (gamma, beta) = (vector(&gamma, device), vector(&beta, device));
                normed(i[0].clone(), i[1].clone(), &gamma, &beta, 1e-12).into_values()
            }),
        }
        .check();
    }
}
