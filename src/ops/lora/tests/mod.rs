//! Compares all implementations of linear layers with a low-rank term.

mod kernels;
mod truth;

use burn::backend::Flex;
use burn::tensor::{Device, Tensor};

use super::{
    FrozenLinear, LoraBackward, LoraGradInputs, LoraInputs, LoraLinearKernels, LoraPlan, composed,
    lora_linear, lora_linear_with_dropout,
};
use crate::ops::gelu::composed_gelu;
use crate::ops::layer_norm::AddLayerNormInputs;
use crate::ops::layer_norm::tests::{normalise, scaled, sum};
use crate::ops::linear::composed::linear as composed_linear;
use crate::ops::linear::tests::truth::{activated, linear as linear_truth};
use crate::ops::linear::tests::{ACTIVATIONS, Frozen, PRECISIONS, apply, rounded_to_f16};
use crate::ops::saved::{Preceding, SavedInput};
use crate::ops::tests::cpu_path::{SIZES, same, words};
use crate::ops::tests::device::half_gpu;
use crate::ops::tests::directions::{Case, host, put, vector};
use crate::ops::tests::gpu::frozen;
use crate::ops::tests::support::{Float, Source, plans, read};
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::{
    Activation, Activations, Gelu, GeluKernels, LayerNormKernels, Precision, Weights,
    add_layer_norm, linear,
};
pub(in crate::ops) use kernels::KERNELS;
use truth::Adapted;

#[test]
fn cpu_path() {
    let mut source = Source::new(12);
    for (i, t) in SIZES.into_iter().chain([1030]).enumerate() {
        let (k, width) = (SIZES[(i + 3) % 8], SIZES[(i + 5) % 8]);
        for (blocks, plan) in plans(width) {
            let what = |part| format!("{part} {t} {k} {width} {plan:?}");
            let (n, r, o) = (plan.adapted.len(), plan.rank, blocks * width);
            let (x, w, bias) = (source.f32([t, k]), source.f32([o, k]), source.f32([o]));
            let factors = source.f32([n * r * (k + width)]);
            let (g, low) = (source.f32([t, o]), source.f32([t, k]));
            let (stored, storage) = words(&w);
            let inputs = |activation| LoraInputs::<Flex> {
                x: x.clone(),
                w: stored.clone(),
                bias: bias.clone(),
                factors: factors.clone(),
                plan: plan.clone(),
                storage,
                activation,
            };

            let plain = composed_linear::<Flex>(x.clone(), w.clone(), bias.clone());
            let add = |x| composed::lora_add::<Flex>(plain.clone(), x, factors.clone(), &plan);
            let (y, u) = add(x.clone());
            let found = Flex::lora_linear_forward(inputs(Activation::Gelu));
            same(&what("lora_linear"), y.clone(), found.before);
            same(&what("lora_linear and gelu"), composed_gelu::<Flex>(y), found.y);
            same(&what("x A^T"), u.clone(), found.u);

            let (y, dropped) = add(low.clone());
            let found = Flex::lora_linear_with_dropout_forward(inputs(Activation::Identity), low);
            same(&what("lora_linear with dropout"), y, found.y);
            same(&what("dropped A^T"), dropped, found.u);

            let saved = SavedInput::Whole(x.clone());
            let (of, p) = (factors.clone(), plan.clone());
            let inputs = LoraGradInputs::<Flex> { saved, u, factors: of, plan: p };
            let expected = composed::lora_grads(g.clone(), inputs.clone());
            let found = Flex::lora_grads(g.clone(), inputs);
            same(&what("dU"), expected.u.clone(), found.u);
            let parts = |factors| composed::split_factors::<Flex>(factors, &plan);
            let ((da, db), found) = (parts(expected.factors), parts(found.factors));
            same(&what("dA"), da, found.0);
            same(&what("dB"), db, found.1);
            let v = expected.u;
            same(
                &what("dX of the low-rank term"),
                composed::lora_down_backward::<Flex>(v.clone(), factors.clone(), &plan),
                Flex::lora_down_backward(v.clone(), factors.clone(), plan.clone()),
            );
            let inputs = |preceding| LoraBackward {
                w: stored.clone(),
                v: v.clone(),
                factors: factors.clone(),
                plan: plan.clone(),
                storage,
                preceding,
            };
            let (v, of) = (v.clone(), factors.clone());
            let dx = composed::lora_linear_backward::<Flex>(g.clone(), w, v, of, &plan);
            let found = Flex::lora_linear_backward(g.clone(), inputs(Preceding::Nothing));
            same(&what("dX"), dx.clone(), found);
            let preceding = Preceding::Gelu(x.clone());
            same(
                &what("dX after GELU"),
                Flex::gelu_exact_backward(dx, x),
                Flex::lora_linear_backward(g, inputs(preceding)),
            );
        }
    }
}

/// The same bits, so that the form in which a layer saves its input does not change its gradients.
#[test]
fn recomputed_inputs_equal_the_original_ones() {
    let mut source = Source::new(19);
    for [t, k, o] in [[1, 3, 2], [17, 31, 33], [1030, 129, 17]] {
        let (x, residual) = (source.f32([t, k]), source.f32([t, k]));
        let (gamma, beta) = (source.f32([k]), source.f32([k]));
        let normed = Flex::add_layer_norm_forward(AddLayerNormInputs {
            x: x.clone(),
            residual,
            gamma: gamma.clone(),
            beta: beta.clone(),
            epsilon: 1e-12,
        });
        let activated = Flex::gelu_exact(x.clone());
        let plan = LoraPlan { adapted: vec![0], width: o, rank: 3, scale: 0.5 };
        let (g, u) = (source.f32([t, o]), source.f32([t, 3]));
        let factors = source.f32([3 * (k + o)]);
        let normalised = SavedInput::Normalised { rows: normed.normalised, gamma, beta };
        for (input, saved) in [(activated, SavedInput::BeforeGelu(x)), (normed.y, normalised)] {
            let grads = |saved| {
                let (u, factors, plan) = (u.clone(), factors.clone(), plan.clone());
                let inputs = LoraGradInputs::<Flex> { saved, u, factors, plan };
                read::<Flex>(Flex::lora_grads(g.clone(), inputs).factors)
            };
            let expected = grads(SavedInput::Whole(input.clone()));
            assert!(expected.iter().any(|value| *value != 0.0));
            assert_eq!(read::<Flex>(input), read::<Flex>(saved.clone().input()), "{t} {k}");
            assert_eq!(expected, grads(saved), "{t} {k} {o}");
        }
    }
}

#[test]
fn composed_gradient() {
    let mut source = Source::new(2);
    for (blocks, plan) in plans(3) {
        let (n, r) = (plan.adapted.len(), plan.rank);
        let w = source.f64([blocks * 3, 7]);
        let bias = source.f64([blocks * 3]);
        // Inputs in the order of the gradients: x, the factors.
        let inputs = [source.f64([5, 7]), source.f64([n * r * (7 + 3)])];
        let forward = |i: &[Float]| {
            let base = composed_linear::<Flex>(i[0].clone(), w.clone(), bias.clone());
            composed::lora_add::<Flex>(base, i[0].clone(), i[1].clone(), &plan)
        };
        finite_differences::check(
            &format!("low rank, {plan:?}"),
            &inputs,
            |i| forward(i).0,
            |g, i| {
                let (saved, u) = (SavedInput::Whole(i[0].clone()), forward(i).1);
                let (factors, w) = (i[1].clone(), w.clone());
                let inputs = LoraGradInputs::<Flex> {
                    saved,
                    u,
                    factors: factors.clone(),
                    plan: plan.clone(),
                };
                let by = composed::lora_grads(g.clone(), inputs);
                let dx = composed::lora_linear_backward::<Flex>(g, w, by.u, factors, &plan);
                vec![dx, by.factors]
            },
        );
    }
}

/// Concatenates A and B for `lora_linear`.
fn join(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    Tensor::cat(vec![a.clone().flatten(0, 1), b.clone().flatten(0, 1)], 0)
}

#[test]
fn gpu_path() {
    // Odd sizes; multiples of four; a width of whole tiles, where the low-rank term is fused.
    for (t, k, width) in [(33, 31, 17), (66, 36, 20), (70, 32, 64)] {
        for (blocks, plan) in plans(width) {
            let o = blocks * width;
            let (n, r) = (plan.adapted.len(), plan.rank);
            for activation in [Activation::Identity, Activation::Gelu] {
                gpu::compare(
                    &format!("lora_linear {t} {k} {plan:?} {activation:?}"),
                    &[[t, k], [n * r, k], [n * width, r]],
                    |device, i| {
                        let (w, bias) = (frozen(1, [o, k], device), frozen(2, [o], device));
                        let factors = join(&i[1], &i[2]);
                        let w = Weights::from(w);
                        let layer = FrozenLinear { weight: &w, bias: &bias, activation };
                        lora_linear(i[0].clone(), layer, &factors, &plan).into_values()
                    },
                );
            }
            let shapes = [[t, k], [t, k], [n * r, k], [n * width, r]];
            gpu::compare(
                &format!("lora_linear_with_dropout {t} {k} {plan:?}"),
                &shapes,
                |device, i| {
                    let (w, bias) = (frozen::<2>(1, [o, k], device), frozen(2, [o], device));
                    let (x, low, w) = (i[0].clone(), i[1].clone(), Weights::from(w));
                    let factors = join(&i[2], &i[3]);
                    let layer =
                        FrozenLinear { weight: &w, bias: &bias, activation: Activation::Gelu };
                    lora_linear_with_dropout(x, low, layer, &factors, &plan).into_values()
                },
            );
        }
    }
}

#[test]
fn gpu_path_with_lower_precision() {
    for precision in [Precision::F16, Precision::Int8] {
        // Odd sizes, quads in small tiles, quads in large ones.
        for (t, k, width) in [(17, 31, 33), (33, 36, 64), (1500, 32, 448)] {
            let plan = plans(width).remove(0).1;
            let (n, r) = (plan.adapted.len(), plan.rank);
            let values: Vec<f32> =
                Source::new(1).values(width * k).into_iter().map(|value| value as f32).collect();
            for activation in ACTIVATIONS {
                let what = format!("lora, {precision} {t} {k} {width} {activation:?}");
                let shapes = [[t, k], [n * r, k], [n * width, r]];
                gpu::compare(&what, &shapes, |device, i| {
                    let w = Weights::new(&values, [width, k], precision, device);
                    let (bias, factors) = (frozen(2, [width], device), join(&i[1], &i[2]));
                    let layer = FrozenLinear { weight: &w, bias: &bias, activation };
                    lora_linear(i[0].clone(), layer, &factors, &plan).into_values()
                });
            }
        }
    }
}

/// A layer without activation.
fn identity(
    x: Activations,
    weight: &Weights,
    bias: &Tensor<1>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
) -> Tensor<2> {
    let layer = FrozenLinear { weight, bias, activation: Activation::Identity };
    lora_linear(x, layer, factors, plan).into_values()
}

/// The gradients of the second layer's factors are computed from the saved state of the first layer, not from its
/// output.
#[test]
fn gpu_path_of_recomputed_inputs() {
    for (t, k, h) in [(33, 17, 31), (65, 36, 20), (200, 64, 64)] {
        let plan = LoraPlan { adapted: vec![0], width: h, rank: 5, scale: 0.5 };
        let shapes = [[t, k], [1, 5 * (k + h)]];
        let second = |device: &Device, x: Activations, factors: &Tensor<2>| {
            let w = Weights::from(frozen::<2>(7, [h, k], device));
            let (bias, factors) = (frozen(8, [h], device), factors.clone().flatten(0, 1));
            identity(x, &w, &bias, &factors, &plan)
        };
        gpu::compare(&format!("of a GELU, {t} {k} {h}"), &shapes, |device, i| {
            let w = Weights::from(frozen::<2>(1, [k, k], device));
            let bias = frozen(2, [k], device);
            second(device, linear(i[0].clone(), &w, &bias, Activation::Gelu), &i[1])
        });
        gpu::compare(&format!("of an adapted GELU, {t} {k} {h}"), &shapes, |device, i| {
            let w = Weights::from(frozen::<2>(1, [k, k], device));
            let (bias, factors) = (frozen(2, [k], device), frozen(3, [4 * k], device));
            let plan = LoraPlan { adapted: vec![0], width: k, rank: 2, scale: 2.0 };
            let x = i[0].clone();
            let layer = FrozenLinear { weight: &w, bias: &bias, activation: Activation::Gelu };
            let x = lora_linear(x, layer, &factors, &plan);
            second(device, x, &i[1])
        });
        let shapes = [[t, k], [1, 5 * (k + h)], [t, k]];
        gpu::compare(&format!("of a normalisation, {t} {k} {h}"), &shapes, |device, i| {
            let (gamma, beta) = (frozen(4, [k], device), frozen(5, [k], device));
            let x = add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
            second(device, x, &i[1])
        });
    }
}

/// Sizes, blocks and plans: odd, quads, and blocks of whole tiles, where `x A^T` is fused.
fn adapted() -> Vec<([usize; 3], LoraPlan)> {
    let of = |t, k, width| {
        plans(width).into_iter().map(move |(blocks, plan)| ([t, k, blocks * width], plan))
    };
    of(33, 31, 17).chain(of(1, 3, 2)).chain(of(127, 12, 36)).chain(of(65, 20, 64)).collect()
}

#[test]
fn gpu_gradient() {
    for (size @ [t, k, o], plan) in adapted() {
        let truth = Adapted { plan: &plan, sizes: size };
        let factors = plan.stacked_rank() * k + plan.up_len();
        for (i, precision) in PRECISIONS.into_iter().enumerate() {
            let frozen = Frozen::new([o, k], precision);
            let (w, activation) = (frozen.numbers(), ACTIVATIONS[(i + t / 2) % 2]);
            Case {
                name: format!("lora_linear {size:?} {precision} {activation:?} {plan:?}"),
                kernel: "lora_linear_gelu",
                shapes: vec![[t, k], [1, factors]],
                truth: Box::new(|i| {
                    apply(activation, truth.forward(&i[0], &w, &frozen.bias, &i[1]))
                }),
                operation: Box::new(|device, i| {
                    let ((w, bias), factors) = (frozen.on(device), i[1].clone().flatten(0, 1));
                    let layer = FrozenLinear { weight: &w, bias: &bias, activation };
                    lora_linear(i[0].clone(), layer, &factors, &plan).into_values()
                }),
            }
            .check();
        }
    }
}

#[test]
fn mixed_precision_rounds_the_factors_of_forward_products_only() {
    let Some(device) = half_gpu() else { return };
    let tracked = device.clone().autodiff();
    for ([t, k, o], plan) in adapted() {
        for activation in ACTIVATIONS {
            let results = [Precision::F16, Precision::Mixed].map(|precision| {
                let (frozen, mut source) = (Frozen::new([o, k], precision), Source::new(8));
                let (w, bias) = frozen.on(&device);
                let x = put(&source.exact(t * k), [t, k], &tracked).require_grad();
                let count = plan.stacked_rank() * k + plan.up_len();
                let factors = put(&source.exact(count), [1, count], &tracked).require_grad();
                let layer = FrozenLinear { weight: &w, bias: &bias, activation };
                let flat = factors.clone().flatten(0, 1);
                let y = lora_linear(x.clone(), layer, &flat, &plan).into_values();
                let grads = (y.clone() * put(&source.exact(t * o), [t, o], &tracked)).backward();
                let grad = |of: Tensor<2>| of.grad(&grads).expect("it is tracked");
                [y.inner(), grad(x), grad(factors)].map(host)
            });
            let [[y, dx, _], [mixed, mixed_dx, _]] = &results;
            let what = format!("{t} {k} {o} {activation:?} {plan:?}");
            rounded_to_f16(&what, y, mixed);
            match activation {
                Activation::Identity => assert_eq!(dx, mixed_dx, "{what}"),
                // Its derivative at rounded values.
                Activation::Gelu => rounded_to_f16(&what, dx, mixed_dx),
            }
        }
    }
}

/// As with dropout: the low-rank path has another input than the base, with zeros in it.
#[test]
fn gpu_gradient_with_dropout() {
    for (i, (size @ [t, k, o], plan)) in adapted().into_iter().enumerate() {
        let truth = Adapted { plan: &plan, sizes: size };
        let mask: Vec<f64> = (0..t * k).map(|i| f64::from(i % 3 != 0) * 1.5).collect();
        let masked = |x: &[f64]| x.iter().zip(&mask).map(|(x, m)| x * m).collect::<Vec<_>>();
        let frozen = Frozen::new([o, k], PRECISIONS[i % 3]);
        let (w, activation) = (frozen.numbers(), ACTIVATIONS[i % 2]);
        Case {
            name: format!("lora_linear_with_dropout {size:?} {activation:?} {plan:?}"),
            kernel: "lora_linear_gelu",
            shapes: vec![[t, k], [1, plan.stacked_rank() * k + plan.up_len()]],
            truth: Box::new(|i| {
                let base = linear_truth(&i[0], &w, &frozen.bias, size);
                let low = truth.down(&masked(&i[0]), &i[1]);
                apply(activation, truth.add(&base, &low, &i[1]))
            }),
            operation: Box::new(|device, i| {
                let ((w, bias), factors) = (frozen.on(device), i[1].clone().flatten(0, 1));
                let low = i[0].clone() * put(&mask, [t, k], &device.clone().autodiff());
                let layer = FrozenLinear { weight: &w, bias: &bias, activation };
                lora_linear_with_dropout(i[0].clone(), low, layer, &factors, &plan).into_values()
            }),
        }
        .check();
    }
}

/// Layers that save the source of their input instead of the input.
#[test]
fn gpu_gradient_of_recomputed_inputs() {
    for size @ [t, k, o] in [[33, 31, 17], [1, 3, 2], [65, 36, 20], [129, 12, 64]] {
        let plan = LoraPlan { adapted: vec![0], width: o, rank: 3, scale: 0.5 };
        let truth = Adapted { plan: &plan, sizes: size };
        let (first, second) =
            (Frozen::new([k, k], Precision::F32), Frozen::new([o, k], Precision::F32));
        let (first_w, w) = (first.numbers(), second.numbers());
        let mut source = Source::new(94);
        let (gamma, beta) = (source.exact(k), source.exact(k));
        let factors = [1, plan.stacked_rank() * k + plan.up_len()];
        let adapt = |device: &Device, x: Activations, factors: &Tensor<2>| {
            let ((w, bias), factors) = (second.on(device), factors.clone().flatten(0, 1));
            identity(x, &w, &bias, &factors, &plan)
        };
        Case {
            name: format!("of a GELU {size:?}"),
            kernel: "lora_linear_gelu",
            shapes: vec![[t, k], factors],
            truth: Box::new(|i| {
                let before = linear_truth(&i[0], &first_w, &first.bias, [t, k, k]);
                truth.forward(&activated(&before), &w, &second.bias, &i[1])
            }),
            operation: Box::new(|device, i| {
                let (w, bias) = first.on(device);
                adapt(device, linear(i[0].clone(), &w, &bias, Activation::Gelu), &i[1])
            }),
        }
        .check();
        Case {
            name: format!("of a normalisation {size:?}"),
            kernel: "lora_linear_gelu",
            shapes: vec![[t, k], factors, [t, k]],
            truth: Box::new(|i| {
                let x = scaled(&normalise(&sum(&i[0], &i[2]), k, 1e-12).0, &gamma, &beta);
                truth.forward(&x, &w, &second.bias, &i[1])
            }),
            operation: Box::new(|device, i| {
                let (gamma, beta) = (vector(&gamma, device), vector(&beta, device));
                let x = add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
                adapt(device, x, &i[1])
            }),
        }
        .check();
    }
}
