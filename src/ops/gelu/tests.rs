//! Compares all implementations of GELU with f64.

use burn::backend::{Flex, ops::FloatTensorOps};

use super::{Gelu, GeluKernels, composed_gelu, composed_gelu_backward};
use crate::ops::tests::cpu_path::{SIZES, same};
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::Source;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(gelu_forward: ELEMENT, gelu_backward: ELEMENT);

/// `x (1 + erf(x / sqrt 2)) / 2`.
pub(in crate::ops) fn gelu(x: f64) -> f64 {
    x * normal(x)
}

/// `gelu'(x)`: the standard normal CDF, plus x times its density.
pub(in crate::ops) fn gelu_slope(x: f64) -> f64 {
    normal(x) + x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn normal(x: f64) -> f64 {
    f64::midpoint(1.0, libm::erf(x / std::f64::consts::SQRT_2))
}

/// Values near zero, where the GELU is curved, and far from it.
pub(in crate::ops) fn bent(source: &mut Source, count: usize) -> Vec<f64> {
    source.exact(count).into_iter().map(|x| if x > 0.95 { 9.0 * x } else { 4.0 * x }).collect()
}

/// Fewer and more elements than a workgroup's block.
const COUNTS: [usize; 7] = [1025, 1, 2, 17, 127, 1024, 4097];

fn gelu_forward(bench: &Bench) {
    for kernel in bench.variants("gelu_forward") {
        for count in bench.sizes(COUNTS) {
            let (x, y) = (bent(&mut Source::new(65), count), bench.gpu.output([count]));
            let call = shaders::gelu_forward::Arguments {
                x: &bench.gpu.floats([count], &x),
                y: &y,
                count: count as u32,
            };
            launch(kernel, &call, groups(count, kernel.constant("BLOCK")));
            let expected: Vec<f64> = x.iter().map(|x| gelu(*x)).collect();
            check(kernel, &format!("{count}"), &expected, &y);
        }
    }
}

fn gelu_backward(bench: &Bench) {
    for kernel in bench.variants("gelu_backward") {
        for count in bench.sizes(COUNTS) {
            let mut source = Source::new(66);
            let (x, g) = (bent(&mut source, count), source.exact(count));
            let dx = bench.gpu.output([count]);
            let call = shaders::gelu_backward::Arguments {
                g: &bench.gpu.floats([count], &g),
                x: &bench.gpu.floats([count], &x),
                dx: &dx,
                count: count as u32,
            };
            launch(kernel, &call, groups(count, kernel.constant("BLOCK")));
            let expected: Vec<f64> = x.iter().zip(&g).map(|(x, g)| g * gelu_slope(*x)).collect();
            check(kernel, &format!("{count}"), &expected, &dx);
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(14);
    for (t, h) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let what = |part| format!("{part} {t} {h}");
        let (x, g) = (source.f32([t, h]), source.f32([t, h]));
        same(&what("gelu"), composed_gelu::<Flex>(x.clone()), Flex::gelu_exact(x.clone()));
        same(
            &what("gelu backward"),
            composed_gelu_backward::<Flex>(g.clone(), x.clone()),
            Flex::gelu_exact_backward(g, x),
        );
    }
}

#[test]
fn composed_gradient() {
    let x = Flex::float_mul_scalar(Source::new(6).f64([6, 7]), 4f32.into());
    finite_differences::check(
        "gelu",
        &[x],
        |i| composed_gelu::<Flex>(i[0].clone()),
        |g, i| vec![composed_gelu_backward::<Flex>(g, i[0].clone())],
    );
}

#[test]
fn gpu_path() {
    for [t, h] in [[1, 3], [17, 31], [129, 33]] {
        gpu::compare(&format!("gelu {t} {h}"), &[[t, h]], |_, i| super::gelu(i[0].clone() * 3.0));
    }
}

#[test]
fn gpu_gradient() {
    for [t, h] in [[1, 1], [17, 31], [33, 129]] {
        Case {
            name: format!("gelu {t} {h}"),
            kernel: "gelu_forward",
            shapes: vec![[t, h]],
            truth: Box::new(|i| i[0].iter().map(|x| gelu(4.0 * x)).collect()),
            operation: Box::new(|_, i| super::gelu(i[0].clone() * 4.0)),
        }
        .check();
    }
}
