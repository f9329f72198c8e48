//! Compares all implementations of the gated GELU with f64.

use burn::backend::{Flex, ops::FloatTensorOps};

use super::{GatedGelu, GatedGeluKernels, composed, composed_backward};
use crate::ops::gelu::tests::{bent, gelu, gelu_slope};
use crate::ops::tests::cpu_path::{SIZES, same};
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::Source;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(gated_gelu: ELEMENT, gated_gelu_backward: ELEMENT);

/// Rows and half their width: fewer and more elements than a workgroup's block.
const SHAPES: [[usize; 2]; 6] = [[33, 32], [1, 1], [2, 3], [17, 31], [129, 33], [3, 1025]];

/// `gelu(a) * b` of rows of `2 * inner` values.
fn truth(x: &[f64], inner: usize) -> Vec<f64> {
    let row = |x: &[f64]| (0..inner).map(|i| gelu(x[i]) * x[inner + i]).collect::<Vec<_>>();
    x.chunks_exact(2 * inner).flat_map(row).collect()
}

fn gated_gelu(bench: &Bench) {
    for kernel in bench.variants("gated_gelu") {
        for [rows, inner] in bench.sizes(SHAPES) {
            let x = bent(&mut Source::new(84), rows * 2 * inner);
            let y = bench.gpu.output([rows, inner]);
            let call = shaders::gated_gelu::Arguments {
                x: &bench.gpu.floats([rows, 2 * inner], &x),
                y: &y,
                count: (rows * inner) as u32,
                inner: inner as u32,
            };
            launch(kernel, &call, groups(rows * inner, kernel.constant("BLOCK")));
            check(kernel, &format!("{rows} {inner}"), &truth(&x, inner), &y);
        }
    }
}

fn gated_gelu_backward(bench: &Bench) {
    for kernel in bench.variants("gated_gelu_backward") {
        for [rows, inner] in bench.sizes(SHAPES) {
            let mut source = Source::new(85);
            let (x, g) = (bent(&mut source, rows * 2 * inner), source.exact(rows * inner));
            let dx = bench.gpu.output([rows, 2 * inner]);
            let call = shaders::gated_gelu_backward::Arguments {
                g: &bench.gpu.floats([rows, inner], &g),
                x: &bench.gpu.floats([rows, 2 * inner], &x),
                dx: &dx,
                count: (rows * inner) as u32,
                inner: inner as u32,
            };
            launch(kernel, &call, groups(rows * inner, kernel.constant("BLOCK")));
            let of_row = |(x, g): (&[f64], &[f64])| {
                let (a, b) = x.split_at(inner);
                let by_a = (0..inner).map(|i| g[i] * b[i] * gelu_slope(a[i]));
                by_a.chain((0..inner).map(|i| g[i] * gelu(a[i]))).collect::<Vec<_>>()
            };
            let rows_of = x.chunks_exact(2 * inner).zip(g.chunks_exact(inner));
            let expected: Vec<f64> = rows_of.flat_map(of_row).collect();
            check(kernel, &format!("{rows} {inner}"), &expected, &dx);
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(86);
    for (t, inner) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let what = |part| format!("{part} {t} {inner}");
        let (x, g) = (source.f32([t, 2 * inner]), source.f32([t, inner]));
        same(&what("gated gelu"), composed::<Flex>(x.clone()), Flex::gated_gelu(x.clone()));
        same(
            &what("gated gelu backward"),
            composed_backward::<Flex>(g.clone(), x.clone()),
            Flex::gated_gelu_backward(g, x),
        );
    }
}

#[test]
fn composed_gradient() {
    let x = Flex::float_mul_scalar(Source::new(87).f64([6, 14]), 3f32.into());
    finite_differences::check(
        "gated gelu",
        &[x],
        |i| composed::<Flex>(i[0].clone()),
        |g, i| vec![composed_backward::<Flex>(g, i[0].clone())],
    );
}

#[test]
fn gpu_path() {
    for [t, inner] in [[1, 3], [17, 31], [129, 33]] {
        gpu::compare(&format!("gated gelu {t} {inner}"), &[[t, 2 * inner]], |_, i| {
            super::gated_gelu(i[0].clone() * 3.0)
        });
    }
}

#[test]
fn gpu_gradient() {
    for [t, inner] in [[1, 1], [17, 31], [33, 129]] {
        Case {
            name: format!("gated gelu {t} {inner}"),
            kernel: "gated_gelu",
            shapes: vec![[t, 2 * inner]],
            truth: Box::new(move |i| truth(&i[0], inner)),
            operation: Box::new(|_, i| super::gated_gelu(i[0].clone())),
        }
        .check();
    }
}
