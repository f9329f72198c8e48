//! The operations through burn's autodiff, on the GPU path and on the CPU path: the same outputs
//! and the same gradients.
//!
//! Any adapter will do, a software rasteriser included. Without one these tests fail, unless
//! `LORB_ALLOW_NO_GPU` is set.

use burn::tensor::{DType, Device, Int, Tensor};

use super::device::gpu;
use super::support::{Source, lists, of_lengths, plans};
use super::tolerance::PATHS;
use crate::ops::{self, Activation, AdamW, AdamWStep, LoraPlan, Objective, Precision, Weights};

fn assert_near(what: &str, expected: Tensor<2>, found: Tensor<2>) {
    let expected: Vec<f32> = expected.into_data().try_into_vec().expect("f32");
    let found: Vec<f32> = found.into_data().try_into_vec().expect("f32");
    assert_eq!(expected.len(), found.len(), "{what}: sizes");
    assert!(expected.iter().any(|value| *value != 0.0), "{what}: all zero proves nothing");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let allowed = PATHS.absolute + PATHS.relative * f64::from(largest);
        let error = f64::from((expected - found).abs());
        assert!(error <= allowed, "{what}: element {i} is {found}, expected {expected}");
    }
}

/// Runs `operation` on both devices with tracked inputs of the given shapes, and compares its
/// output and the gradients of all inputs.
fn compare(
    what: &str,
    shapes: &[[usize; 2]],
    operation: impl Fn(&Device, &[Tensor<2>]) -> Tensor<2>,
) {
    let Some(gpu) = gpu() else { return };
    let run = |device: &Device| {
        let mut source = Source::new(21);
        let autodiff = device.clone().autodiff();
        let inputs: Vec<Tensor<2>> = shapes
            .iter()
            .map(|&shape| {
                Tensor::from_data(source.data(shape, DType::F32), &autodiff).require_grad()
            })
            .collect();
        let y = operation(device, &inputs);
        let g = Tensor::<2>::from_data(source.data(y.dims(), DType::F32), &autodiff);
        let grads = (y.clone() * g).sum().backward();
        let grads: Vec<Tensor<2>> =
            inputs.iter().map(|input| input.grad(&grads).expect("a tracked input")).collect();
        (y.inner(), grads)
    };
    let ((expected, expected_grads), (found, grads)) = (run(&Device::flex()), run(&gpu));
    assert_near(what, expected, found);
    for (i, (expected, found)) in expected_grads.into_iter().zip(grads).enumerate() {
        assert_near(&format!("{what}, gradient {i}"), expected, found);
    }
}

/// A frozen tensor, the same on every device.
fn frozen<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(Source::new(seed).data(shape, DType::F32), device)
}

#[test]
fn linear() {
    for activation in [Activation::Identity, Activation::Gelu] {
        for (t, k, o) in [(1, 3, 2), (17, 31, 33), (129, 33, 127), (65, 68, 132), (1500, 64, 384)] {
            compare(&format!("linear {t} {k} {o} {activation:?}"), &[[t, k]], |device, i| {
                let (w, bias) = (frozen(1, [o, k], device), frozen(2, [o], device));
                ops::linear(i[0].clone(), &Weights::from(w), &bias, activation).into_values()
            });
        }
    }
}

#[test]
fn weights_of_fewer_bits() {
    for precision in [Precision::F16, Precision::Int8] {
        // Odd sizes, quads in small tiles, quads in large ones.
        for (t, k, width) in [(17, 31, 33), (33, 36, 64), (1500, 32, 448)] {
            let plan = plans(width).remove(0).1;
            let (n, r) = (plan.adapted.len(), plan.rank);
            let values: Vec<f32> =
                Source::new(1).values(width * k).into_iter().map(|value| value as f32).collect();
            for activation in [Activation::Identity, Activation::Gelu] {
                let what = format!("{precision} {t} {k} {width} {activation:?}");
                compare(&what, &[[t, k]], |device, i| {
                    let w = Weights::new(&values, [width, k], precision, device);
                    let bias = frozen(2, [width], device);
                    ops::linear(i[0].clone(), &w, &bias, activation).into_values()
                });
                let shapes = [[t, k], [n * r, k], [n * width, r]];
                compare(&format!("lora, {what}"), &shapes, |device, i| {
                    let w = Weights::new(&values, [width, k], precision, device);
                    let (bias, factors) = (frozen(2, [width], device), join(&i[1], &i[2]));
                    ops::lora_linear(i[0].clone(), &w, &bias, &factors, &plan, activation)
                        .into_values()
                });
            }
        }
    }
}

/// Joins A and B as `lora_linear` takes them.
fn join(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    Tensor::cat(vec![a.clone().flatten(0, 1), b.clone().flatten(0, 1)], 0)
}

#[test]
fn low_rank_terms() {
    // Odd sizes; sizes of quads; a width of whole tiles, where the low-rank term is fused.
    for (t, k, width) in [(33, 31, 17), (66, 36, 20), (70, 32, 64)] {
        for (blocks, plan) in plans(width) {
            let o = blocks * width;
            let (n, r) = (plan.adapted.len(), plan.rank);
            for activation in [Activation::Identity, Activation::Gelu] {
                compare(
                    &format!("lora_linear {t} {k} {plan:?} {activation:?}"),
                    &[[t, k], [n * r, k], [n * width, r]],
                    |device, i| {
                        let (w, bias) = (frozen(1, [o, k], device), frozen(2, [o], device));
                        let factors = join(&i[1], &i[2]);
                        let w = Weights::from(w);
                        ops::lora_linear(i[0].clone(), &w, &bias, &factors, &plan, activation)
                            .into_values()
                    },
                );
            }
            let shapes = [[t, k], [t, k], [n * r, k], [n * width, r]];
            compare(&format!("lora_linear_apart {t} {k} {plan:?}"), &shapes, |device, i| {
                let (w, bias) = (frozen::<2>(1, [o, k], device), frozen(2, [o], device));
                let (x, low, w) = (i[0].clone(), i[1].clone(), Weights::from(w));
                let factors = join(&i[2], &i[3]);
                ops::lora_linear_apart(x, low, &w, &bias, &factors, &plan, Activation::Gelu)
                    .into_values()
            });
        }
    }
}

/// What the gradients by the second layer's factors are computed from is the first one's, not its output.
#[test]
fn inputs_that_are_computed_again() {
    for (t, k, h) in [(33, 17, 31), (65, 36, 20), (200, 64, 64)] {
        let plan = LoraPlan { adapted: vec![0], width: h, rank: 5, scale: 0.5 };
        let shapes = [[t, k], [1, 5 * (k + h)]];
        let second = |device: &Device, x: ops::Rows, factors: &Tensor<2>| {
            let w = Weights::from(frozen::<2>(7, [h, k], device));
            let (bias, factors) = (frozen(8, [h], device), factors.clone().flatten(0, 1));
            ops::lora_linear(x, &w, &bias, &factors, &plan, Activation::Identity).into_values()
        };
        compare(&format!("of a GELU, {t} {k} {h}"), &shapes, |device, i| {
            let w = Weights::from(frozen::<2>(1, [k, k], device));
            let bias = frozen(2, [k], device);
            second(device, ops::linear(i[0].clone(), &w, &bias, Activation::Gelu), &i[1])
        });
        compare(&format!("of an adapted GELU, {t} {k} {h}"), &shapes, |device, i| {
            let w = Weights::from(frozen::<2>(1, [k, k], device));
            let (bias, factors) = (frozen(2, [k], device), frozen(3, [4 * k], device));
            let plan = LoraPlan { adapted: vec![0], width: k, rank: 2, scale: 2.0 };
            let x = i[0].clone();
            let x = ops::lora_linear(x, &w, &bias, &factors, &plan, Activation::Gelu);
            second(device, x, &i[1])
        });
        let shapes = [[t, k], [1, 5 * (k + h)], [t, k]];
        compare(&format!("of a normalisation, {t} {k} {h}"), &shapes, |device, i| {
            let (gamma, beta) = (frozen(4, [k], device), frozen(5, [k], device));
            let x = ops::add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
            second(device, x, &i[1])
        });
    }
}

#[test]
fn attention() {
    for lengths in [vec![3, 1, 17], vec![33, 31], vec![127]] {
        let segments = of_lengths(&lengths);
        let (t, s) = (segments.rows(), segments.len());
        compare(&format!("attention {lengths:?}"), &[[t, 3 * 18]], |_, i| {
            ops::attention(i[0].clone(), &segments, 3)
        });
        compare(&format!("attention of [CLS] {lengths:?}"), &[[s, 18], [t, 36]], |_, i| {
            ops::attention_cls(i[0].clone(), i[1].clone(), &segments, 3)
        });
    }
}

#[test]
fn row_wise_operations() {
    for [t, h] in [[1, 3], [17, 31], [129, 33]] {
        compare(&format!("add_layer_norm {t} {h}"), &[[t, h], [t, h]], |device, i| {
            let (gamma, beta) = (frozen(1, [h], device), frozen(2, [h], device));
            ops::add_layer_norm(i[0].clone(), i[1].clone(), &gamma, &beta, 1e-12).into_values()
        });
        compare(&format!("gelu {t} {h}"), &[[t, h]], |_, i| ops::gelu(i[0].clone() * 3.0));
    }
    let segments = of_lengths(&[3, 1, 17]);
    compare("score_head", &[[31, 17], [1, 18]], |_, i| {
        ops::score_head(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([31, 1])
    });
    compare("gather_cls", &[[21, 5]], |_, i| ops::gather_cls(i[0].clone(), &segments));
}

#[test]
fn embed_layer_norm() {
    let Some(gpu) = gpu() else { return };
    let run = |device: &Device| {
        let tables =
            [frozen(1, [19, 33], device), frozen(2, [7, 33], device), frozen(3, [2, 33], device)];
        let ids: Vec<i32> = [19, 7].iter().flat_map(|m| (0..31).map(move |i| i * 5 % m)).collect();
        let ids = Tensor::<1, Int>::from_ints(ids.as_slice(), device);
        let (gamma, beta) = (frozen(4, [33], device), frozen(5, [33], device));
        ops::embed_layer_norm(tables.each_ref(), &gamma, &beta, ids, 1e-12)
    };
    assert_near("embed_layer_norm", run(&Device::flex()), run(&gpu));
}

#[test]
fn losses_of_lists() {
    for objective in Objective::ALL {
        for (lengths, texts) in [(vec![1, 2, 3, 17, 31], 33), (vec![200], 127), (vec![10; 33], 129)]
        {
            let lists = lists(objective, &lengths, texts);
            let what = format!("{objective:?} of {} lists", lists.len());
            compare(&what, &[[texts, 1]], |_, i| {
                ops::list_loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
            });
        }
    }
}

#[test]
fn list_losses_have_the_slopes_of_their_differences() {
    const STEP: f32 = 1.0 / 512.0;
    for objective in Objective::ALL {
        let lists = lists(objective, &[2, 5, 3], 7);
        let scores: Vec<f32> = (0..7).map(|i| (i * i % 5) as f32 / 4.0).collect();
        let slopes = lists.by_text(&lists.evaluate(&scores).1, 7);
        for (i, slope) in slopes.into_iter().enumerate() {
            let moved = |by: f32| {
                let mut scores = scores.clone();
                scores[i] += by;
                lists.evaluate(&scores).0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let allowed = 1e-5 * (1.0 + expected.abs());
            assert!((slope - expected).abs() <= allowed, "{objective:?}: {slope} {expected}");
        }
    }
}

#[test]
fn correlation() {
    for [n, d] in [[2, 3], [17, 31], [33, 129], [200, 64]] {
        compare(&format!("correlation {n} {d}"), &[[n, d]], |_, i| {
            ops::correlation(i[0].clone()).reshape([1, 1])
        });
    }
}

#[test]
fn optimiser_and_joined_vectors() {
    let Some(gpu) = gpu() else { return };
    for len in [1, 31, 1025, 70_001] {
        let run = |device: &Device| {
            let g = frozen::<1>(1, [len], device);
            let mut state = [
                frozen::<1>(2, [len], device),
                Tensor::zeros([len], device),
                Tensor::zeros([len], device),
            ];
            let mut norm = Tensor::<1>::zeros([1], device);
            // What is held elsewhere must not change under its holder.
            let before = state[0].clone();
            for step in 1..=3 {
                let settings = AdamWStep { settings: AdamW::new(0.01, 0.5), lr: 0.1, step };
                let [parameters, first, second] = state;
                let [parameters, first, second, of_step] =
                    ops::adamw(parameters, g.clone(), first, second, settings);
                (state, norm) = ([parameters, first, second], of_step);
            }
            let pieces: Vec<(usize, Tensor<1>)> = state
                .into_iter()
                .chain([norm, before])
                .scan(0, |offset, piece| {
                    let at = *offset;
                    *offset += piece.dims()[0];
                    Some((at, piece))
                })
                .collect();
            ops::join(&pieces, 4 * len + 1).reshape([1, 4 * len + 1])
        };
        assert_near(&format!("adamw {len}"), run(&Device::flex()), run(&gpu));
    }
    let many = |device: &Device| {
        let pieces: Vec<(usize, Tensor<1>)> =
            (0..13).rev().map(|k| (k * 5, frozen::<1>(k as u64, [5], device))).collect();
        ops::join(&pieces, 65).reshape([1, 65])
    };
    assert_near("join", many(&Device::flex()), many(&gpu));
}
