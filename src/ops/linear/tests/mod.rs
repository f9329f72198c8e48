//! Compares all implementations of linear layers.

pub(in crate::ops) mod kernels;
pub(in crate::ops) mod truth;

use burn::backend::TensorMetadata;
use burn::backend::{Flex, ops::FloatTensorOps};
use burn::tensor::{Device, Tensor};

use super::{Activation, Linear, LinearInputs, LinearKernels, composed, linear};
use crate::ops::gelu::composed_gelu;
use crate::ops::layer_norm::composed::column_sums as composed_column_sums;
use crate::ops::saved::{Preceding, SavedInput};
use crate::ops::tests::cpu_path::{SIZES, same, words};
use crate::ops::tests::device::half_gpu;
use crate::ops::tests::directions::{Case, host, put, vector};
use crate::ops::tests::gpu::frozen;
use crate::ops::tests::support::Source;
use crate::ops::tests::tolerance::HALF;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::{GeluKernels, Precision, Weights};
pub(in crate::ops) use kernels::KERNELS;

pub(in crate::ops) const PRECISIONS: [Precision; 3] =
    [Precision::F32, Precision::F16, Precision::Int8];
pub(in crate::ops) const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Gelu];

/// A frozen weight, and its values.
pub(in crate::ops) struct Frozen {
    values: Vec<f32>,
    shape: [usize; 2],
    precision: Precision,
    pub bias: Vec<f64>,
}

impl Frozen {
    pub fn new(shape: [usize; 2], precision: Precision) -> Self {
        let mut source = Source::new(92);
        let values = source.exact(shape[0] * shape[1]).iter().map(|value| *value as f32).collect();
        Self { values, shape, precision, bias: source.exact(shape[0]) }
    }

    pub fn on(&self, device: &Device) -> (Weights, Tensor<1>) {
        let weights = Weights::new(&self.values, self.shape, self.precision, device);
        (weights, vector(&self.bias, device))
    }

    /// The CPU stores the rounded values as f32.
    pub fn numbers(&self) -> Vec<f64> {
        let words = self.on(&Device::flex()).0.words;
        host(words.reshape([1, self.values.len()]))
    }
}

/// The activation in f64.
pub(in crate::ops) fn apply(activation: Activation, before: Vec<f64>) -> Vec<f64> {
    if activation == Activation::Gelu { truth::activated(&before) } else { before }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(11);
    for (i, t) in SIZES.into_iter().chain([1030]).enumerate() {
        let (k, o) = (SIZES[(i + 3) % 8], SIZES[(i + 5) % 8]);
        let (x, w, bias) = (source.f32([t, k]), source.f32([o, k]), source.f32([o]));
        let (g, (stored, storage)) = (source.f32([t, o]), words(&w));
        let inputs = |activation| LinearInputs::<Flex> {
            x: x.clone(),
            w: stored.clone(),
            bias: bias.clone(),
            storage,
            activation,
        };
        let saved = SavedInput::Whole(x.clone());
        let expected = composed::linear::<Flex>(x.clone(), w.clone(), bias.clone());
        let found = Flex::base_linear(inputs(Activation::Identity), saved).values;
        same(&format!("linear {t} {k} {o}"), expected.clone(), found);
        let found = Flex::base_linear_forward(inputs(Activation::Gelu));
        same(&format!("before gelu {t} {k} {o}"), expected.clone(), found.before);
        let expected = composed_gelu::<Flex>(expected);
        same(&format!("linear and gelu {t} {k} {o}"), expected, found.y);
        same(
            &format!("linear backward {t} {k} {o}"),
            composed::linear_backward::<Flex>(g.clone(), w.clone()),
            Flex::base_linear_backward(g.clone(), stored.clone(), storage, Preceding::Nothing),
        );
        let before = source.f32([t, k]);
        let dx = composed::linear_backward::<Flex>(g.clone(), w.clone());
        let preceding = Preceding::Gelu(before.clone());
        same(
            &format!("linear backward after GELU {t} {k} {o}"),
            Flex::gelu_exact_backward(dx, before),
            Flex::base_linear_backward(g.clone(), stored.clone(), storage, preceding),
        );
        same(
            &format!("gradient by the weight {t} {k} {o}"),
            composed::weight_grad::<Flex>(g.clone(), x.clone()),
            Flex::weight_grad(g, x.clone()),
        );
    }
}

#[test]
fn composed_gradient() {
    let mut source = Source::new(1);
    let inputs = [source.f64([5, 7]), source.f64([3, 7]), source.f64([3])];
    finite_differences::check(
        "linear",
        &inputs,
        |i| composed::linear::<Flex>(i[0].clone(), i[1].clone(), i[2].clone()),
        |g, i| {
            let dw = composed::weight_grad::<Flex>(g.clone(), i[0].clone());
            let dw = Flex::float_reshape(dw, i[1].shape());
            let dbias = composed_column_sums::<Flex>(g.clone());
            vec![composed::linear_backward::<Flex>(g, i[1].clone()), dw, dbias]
        },
    );
}

#[test]
fn gpu_path() {
    for activation in [Activation::Identity, Activation::Gelu] {
        for (t, k, o) in [(1, 3, 2), (17, 31, 33), (129, 33, 127), (65, 68, 132), (1500, 64, 384)] {
            gpu::compare(&format!("linear {t} {k} {o} {activation:?}"), &[[t, k]], |device, i| {
                let (w, bias) = (frozen(1, [o, k], device), frozen(2, [o], device));
                linear(i[0].clone(), &Weights::from(w), &bias, activation).into_values()
            });
        }
    }
}

#[test]
fn gpu_path_with_lower_precision() {
    for precision in [Precision::F16, Precision::Int8] {
        // Odd sizes, quads in small tiles, quads in large ones.
        for (t, k, width) in [(17, 31, 33), (33, 36, 64), (1500, 32, 448)] {
            let values: Vec<f32> =
                Source::new(1).values(width * k).into_iter().map(|value| value as f32).collect();
            for activation in ACTIVATIONS {
                let what = format!("{precision} {t} {k} {width} {activation:?}");
                gpu::compare(&what, &[[t, k]], |device, i| {
                    let w = Weights::new(&values, [width, k], precision, device);
                    let bias = frozen(2, [width], device);
                    linear(i[0].clone(), &w, &bias, activation).into_values()
                });
            }
        }
    }
}

/// Odd sizes, quads in small tiles, quads in large ones.
const MIXED_SIZES: [[usize; 3]; 3] = [[17, 31, 33], [33, 36, 64], [1500, 32, 448]];

/// Output and gradient by x of a layer on a GPU.
fn with_gradient(
    device: &Device,
    [t, k, o]: [usize; 3],
    precision: Precision,
    activation: Activation,
) -> [Vec<f64>; 2] {
    let (frozen, mut source) = (Frozen::new([o, k], precision), Source::new(7));
    let tracked = device.clone().autodiff();
    let x = put(&source.exact(t * k), [t, k], &tracked).require_grad();
    let (w, bias) = frozen.on(device);
    let y = linear(x.clone(), &w, &bias, activation).into_values();
    let grads = (y.clone() * put(&source.exact(t * o), [t, o], &tracked)).backward();
    [host(y.inner()), host(x.grad(&grads).expect("it is tracked"))]
}

/// Fails unless the largest difference is that of rounding factors to f16.
pub(in crate::ops) fn rounded_to_f16(what: &str, exact: &[f64], rounded: &[f64]) {
    assert_eq!(exact.len(), rounded.len(), "{what}");
    let most = exact.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let off = exact.iter().zip(rounded).map(|(exact, rounded)| (exact - rounded).abs());
    let off = off.fold(0.0f64, f64::max);
    assert!(off <= HALF.absolute + HALF.relative * most, "{what}: {off} of {most}: {}", HALF.why);
    assert!(off > 1e-5 * most, "{what}: nothing was rounded");
}

#[test]
fn mixed_precision_rounds_the_factors_of_forward_products_only() {
    let Some(device) = half_gpu() else { return };
    for size in MIXED_SIZES {
        for activation in ACTIVATIONS {
            let [[exact, exact_dx], [mixed, mixed_dx]] = [Precision::F16, Precision::Mixed]
                .map(|precision| with_gradient(&device, size, precision, activation));
            let what = format!("{size:?} {activation:?}");
            rounded_to_f16(&what, &exact, &mixed);
            match activation {
                Activation::Identity => assert_eq!(exact_dx, mixed_dx, "{what}"),
                // Its derivative at rounded values.
                Activation::Gelu => rounded_to_f16(&what, &exact_dx, &mixed_dx),
            }
        }
    }
}

#[test]
fn an_input_beyond_the_range_of_f16_gives_no_number() {
    let Some(device) = half_gpu() else { return };
    for k in [3, 8] {
        let weights = |precision| Weights::new(&vec![0.5; 4 * k], [4, k], precision, &device);
        let (x, bias) = (put(&vec![70_000.0; k], [1, k], &device), Tensor::zeros([4], &device));
        let of = |precision| {
            host(linear(x.clone(), &weights(precision), &bias, Activation::Identity).into_values())
        };
        assert!(of(Precision::F16).iter().all(|y| (y - 35_000.0 * k as f64).abs() < 1.0));
        assert!(of(Precision::Mixed).iter().all(|y| !y.is_finite()));
    }
}

#[test]
fn gpu_gradient() {
    // Odd sizes, quads, and quads in large tiles.
    let sizes =
        [[1, 3, 2], [17, 31, 33], [129, 127, 1], [33, 2, 129], [31, 36, 132], [1500, 8, 400]];
    for size @ [t, k, o] in sizes {
        for precision in PRECISIONS {
            let frozen = Frozen::new([o, k], precision);
            let w = frozen.numbers();
            for activation in ACTIVATIONS {
                Case {
                    name: format!("linear {size:?} {precision} {activation:?}"),
                    kernel: "linear_gelu",
                    shapes: vec![[t, k]],
                    truth: Box::new(|i| {
                        apply(activation, truth::linear(&i[0], &w, &frozen.bias, size))
                    }),
                    operation: Box::new(|device, i| {
                        let (w, bias) = frozen.on(device);
                        linear(i[0].clone(), &w, &bias, activation).into_values()
                    }),
                }
                .check();
            }
        }
    }
}

/// The derivative of a GELU is part of the next layer's gradient, unless its output has another use.
#[test]
fn gpu_gradient_through_a_gelu() {
    for size @ [t, k, o] in [[1, 3, 2], [17, 31, 33], [33, 68, 132], [1500, 8, 100]] {
        for precision in PRECISIONS {
            let (up, down) = (Frozen::new([o, k], precision), Frozen::new([k, o], precision));
            let (w, back) = (up.numbers(), down.numbers());
            for twice in [false, true] {
                Case {
                    name: format!("linear layers {size:?} {precision}, output used twice: {twice}"),
                    kernel: "linear_gelu",
                    shapes: vec![[t, k]],
                    truth: Box::new(|i| {
                        let y = truth::activated(&truth::linear(&i[0], &w, &up.bias, size));
                        let z = truth::linear(&y, &back, &down.bias, [t, o, k]);
                        z.iter().map(|z| if twice { z + z } else { *z }).collect()
                    }),
                    operation: Box::new(|device, i| {
                        let ((w, bias), (back, b)) = (up.on(device), down.on(device));
                        let y = linear(i[0].clone(), &w, &bias, Activation::Gelu);
                        let z = linear(y.clone(), &back, &b, Activation::Identity).into_values();
                        if !twice {
                            return z;
                        }
                        let values = y.into_values();
                        z + linear(values, &back, &b, Activation::Identity).into_values()
                    }),
                }
                .check();
            }
        }
    }
}
