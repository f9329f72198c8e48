//! Compares all implementations of the correlation term with f64.

use burn::backend::Flex;

use super::{CorrelationForward, composed, correlation as term};
use crate::ops::linear::tests::truth::{nn, tn};
use crate::ops::tests::device::host;
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, check, compare, groups, kernel_tests};
use crate::ops::tests::support::{Source, rounded};
use crate::ops::tests::truth::dot;
use crate::ops::tests::{finite_differences, gpu, tolerance};
use crate::ops::wgsl::kernel::{self as shaders, Groups};
use crate::ops::wgsl::launch::launch;

kernel_tests!(
    correlation_standardise: NORMALISED,
    correlation_matrix: PRODUCT,
    correlation_finish: OPTIMISER,
    correlation_backward: PRODUCT,
);

/// Columns with mean 0 and deviation 1, and for each one over its divisor and whether it is not clamped.
fn standardise(cls: &[f64], [n, d]: [usize; 2]) -> (Vec<f64>, Vec<f64>) {
    let (mut z, mut scales) = (vec![0.0; n * d], Vec::new());
    for c in 0..d {
        let mean = (0..n).map(|i| cls[i * d + c]).sum::<f64>() / n as f64;
        let squares = (0..n).map(|i| (cls[i * d + c] - mean).powi(2)).sum::<f64>();
        let variance = squares / (n - 1) as f64;
        let inverse = 1.0 / variance.max(1e-10).sqrt();
        for i in 0..n {
            z[i * d + c] = (cls[i * d + c] - mean) * inverse;
        }
        scales.extend([inverse, f64::from(variance > 1e-10)]);
    }
    (z, scales)
}

/// `z^T z / (n - 1) - I`.
fn off_diagonal(z: &[f64], [n, d]: [usize; 2]) -> Vec<f64> {
    let product = tn(z, z, [d, n, d]);
    let identity = |i: usize| f64::from(i.is_multiple_of(d + 1));
    product.iter().enumerate().map(|(i, r)| r / (n - 1) as f64 - identity(i)).collect()
}

/// `|| off ||_F / sqrt(d (d - 1))`.
fn correlation(off: &[f64], d: usize) -> f64 {
    (dot(off, off) / (d * (d - 1)) as f64).sqrt()
}

/// Gradient with respect to cls, from the value, z, the scales and `R - I`.
fn gradient(
    g: f64,
    value: f64,
    z: &[f64],
    scales: &[f64],
    off: &[f64],
    [n, d]: [usize; 2],
) -> Vec<f64> {
    let factor = 2.0 * g / ((d * (d - 1)) as f64 * value * (n - 1) as f64);
    let dz: Vec<f64> = nn(z, off, [n, d, d]).iter().map(|dz| factor * dz).collect();
    let column = |of: &[f64], c: usize| (0..n).map(|i| of[i * d + c]).sum::<f64>();
    let products: Vec<f64> = dz.iter().zip(z).map(|(dz, z)| dz * z).collect();
    let mut all = vec![0.0; n * d];
    for c in 0..d {
        let mean = column(&dz, c) / n as f64;
        let along = column(&products, c) / (n - 1) as f64;
        let [inverse, moves] = [scales[2 * c], scales[2 * c + 1]];
        for i in 0..n {
            all[i * d + c] = inverse * (dz[i * d + c] - mean - z[i * d + c] * along * moves);
        }
    }
    all
}

/// Rows and columns, at least 2 each.
const MATRICES: [[usize; 2]; 7] =
    [[33, 31], [2, 3], [3, 2], [17, 129], [127, 33], [200, 17], [129, 65]];

/// Values whose third column is nearly constant, so that its deviation is clamped.
fn cls(source: &mut Source, [n, d]: [usize; 2]) -> Vec<f64> {
    let hold = |(i, x): (usize, f64)| if i % d == 2 { 0.25 } else { x };
    source.exact(n * d).into_iter().enumerate().map(hold).collect()
}

fn correlation_standardise(bench: &Bench) {
    for kernel in bench.variants("correlation_standardise") {
        for size @ [n, d] in bench.sizes(MATRICES) {
            let cls = cls(&mut Source::new(83), size);
            let (z, scales) = (bench.gpu.output([n, d]), bench.gpu.output([d, 2]));
            let call = shaders::correlation_standardise::Arguments {
                cls: &bench.gpu.floats([n, d], &cls),
                z: &z,
                scales: &scales,
                rows: n as u32,
                width: d as u32,
            };
            launch(kernel, &call, groups(d, kernel.constant("COLUMNS")));
            let expected = standardise(&cls, size);
            check(kernel, &format!("z {size:?}"), &expected.0, &z);
            // The scales of a clamped column differ in magnitude: compare each with its own.
            let relative = tolerance::of(kernel.entry).relative;
            for (expected, found) in expected.1.iter().zip(host(&scales)) {
                let near = (expected - found).abs() <= relative * expected;
                assert!(near, "{}: scales {size:?}: {found}, expected {expected}", kernel.name);
            }
        }
    }
}

fn correlation_matrix(bench: &Bench) {
    for kernel in bench.variants("correlation_matrix") {
        let tile = kernel.constant("TILE") as usize;
        for size @ [n, d] in bench.sizes(MATRICES) {
            let z = rounded(&standardise(&cls(&mut Source::new(84), size), size).0);
            let across = d.div_ceil(tile);
            let (off, partials) = (bench.gpu.output([d, d]), bench.gpu.output([across * across]));
            let call = shaders::correlation_matrix::Arguments {
                z: &bench.gpu.floats([n, d], &z),
                off: &off,
                partials: &partials,
                rows: n as u32,
                width: d as u32,
            };
            launch(kernel, &call, groups(across * across, 1));
            let expected = off_diagonal(&z, size);
            let mut squares = vec![0.0; across * across];
            for (i, r) in expected.iter().enumerate() {
                squares[i / d / tile * across + i % d / tile] += r * r;
            }
            check(kernel, &format!("off {size:?}"), &expected, &off);
            check(kernel, &format!("partials {size:?}"), &squares, &partials);
        }
    }
}

fn correlation_finish(bench: &Bench) {
    for kernel in bench.variants("correlation_finish") {
        for (count, width) in bench.sizes([(9, 129), (1, 2), (1, 33), (529, 1472)]) {
            let partials: Vec<f64> = Source::new(85).exact(count).iter().map(|x| x.abs()).collect();
            let value = bench.gpu.output([1]);
            let call = shaders::correlation_finish::Arguments {
                partials: &bench.gpu.floats([count], &partials),
                value: &value,
                count: count as u32,
                width: width as u32,
            };
            launch(kernel, &call, Groups::linear(1));
            let expected = (partials.iter().sum::<f64>() / (width * (width - 1)) as f64).sqrt();
            check(kernel, &format!("{count} {width}"), &[expected], &value);
        }
    }
}

fn correlation_backward(bench: &Bench) {
    for kernel in bench.variants("correlation_backward") {
        let tile = kernel.constant("TILE") as usize;
        for size @ [n, d] in bench.sizes(MATRICES) {
            let (z, scales) = standardise(&cls(&mut Source::new(86), size), size);
            // A clamped column's factor of 1e5 would dominate the comparison.
            let tame = |scale: f64| if scale > 1e4 { 2.0 } else { scale };
            let (z, scales) =
                (rounded(&z), rounded(&scales.into_iter().map(tame).collect::<Vec<_>>()));
            let off = rounded(&off_diagonal(&z, size));
            let value = rounded(&[correlation(&off, d)]);
            // Two rows always have correlations of 1 and -1; the rest is rounding error.
            let factor = if n == 2 { 1.0 } else { 64.0 };
            let dcls = bench.gpu.output([n, d]);
            let call = shaders::correlation_backward::Arguments {
                upstream: &bench.gpu.floats([1], &[0.75]),
                value: &bench.gpu.floats([1], &value),
                z: &bench.gpu.floats([n, d], &z),
                scales: &bench.gpu.floats([d, 2], &scales),
                off: &bench.gpu.floats([d, d], &off),
                dcls: &dcls,
                rows: n as u32,
                width: d as u32,
                factor,
            };
            launch(kernel, &call, groups(n.div_ceil(tile) * d.div_ceil(tile), 1));
            let expected = gradient(0.75 * f64::from(factor), value[0], &z, &scales, &off, size);
            let most = compare(kernel, &format!("{size:?}"), &expected, &dcls);
            assert!(most > 1e-3 || n == 2, "{}: {size:?}: all zero", kernel.name);
        }
    }
}

#[test]
fn composed_gradient() {
    let cls = Source::new(9).f64([5, 4]);
    finite_differences::check(
        "correlation",
        &[cls],
        |i| composed::correlation::<Flex>(i[0].clone()).value,
        |g, i| {
            let saved: CorrelationForward<Flex> = composed::correlation(i[0].clone());
            vec![composed::correlation_backward(g, saved)]
        },
    );
}

#[test]
fn gpu_path() {
    for [n, d] in [[2, 3], [17, 31], [33, 129], [200, 64]] {
        gpu::compare(&format!("correlation {n} {d}"), &[[n, d]], |_, i| {
            term(i[0].clone()).reshape([1, 1])
        });
    }
}

#[test]
fn gpu_gradient() {
    for size @ [n, d] in [[3, 2], [17, 31], [33, 129], [200, 65]] {
        Case {
            name: format!("correlation {size:?}"),
            kernel: "correlation_finish",
            shapes: vec![size],
            truth: Box::new(|i| {
                let off = off_diagonal(&standardise(&i[0], size).0, size);
                vec![correlation(&off, d)]
            }),
            operation: Box::new(|_, i| term(i[0].clone()).reshape([1, 1])),
        }
        .check();
        assert!(n > 2, "two rows have no gradient");
    }
}
