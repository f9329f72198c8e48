//! The operations on the GPU path with burn's autodiff, against the truth in f64: outputs element by
//! element, gradients by central differences of the truth along random directions.

use burn::tensor::{Device, Tensor, TensorData};

use super::device::{gpu, least_gpu};
use super::support::{Source, lists, plans, segmentations};
use super::tolerance::{self, DIRECTION};
use super::truth::attention::Attention;
use super::truth::linear::{Adapted, activated, linear as linear_truth};
use super::truth::rows::{gather, gelu, normalise, scaled, score_head as head_truth, sum};
use super::truth::{dot, training};
use crate::ops::{self, Activation, LoraPlan, Objective, Precision, Weights};

/// Step along a direction of elements in [-1, 1).
const STEP: f64 = 1e-4;
const DIRECTIONS: usize = 3;

type Truth<'a> = dyn Fn(&[Vec<f64>]) -> Vec<f64> + 'a;
type Operation<'a> = dyn Fn(&Device, &[Tensor<2>]) -> Tensor<2> + 'a;

/// An operation at one size, in f64 and on a device.
struct Case<'a> {
    name: String,
    /// The kernel whose tolerance the output has.
    kernel: &'static str,
    /// Shapes of the inputs, all of which are differentiated by.
    shapes: Vec<[usize; 2]>,
    truth: Box<Truth<'a>>,
    operation: Box<Operation<'a>>,
}

impl Case<'_> {
    /// On a rasteriser as it is, and on one with the least that WebGPU promises.
    fn check(&self) {
        for device in [gpu(), least_gpu()].into_iter().flatten() {
            self.check_on(&device);
        }
    }

    fn check_on(&self, device: &Device) {
        let (name, mut source) = (&self.name, Source::new(91));
        let inputs: Vec<Vec<f64>> =
            self.shapes.iter().map(|[rows, columns]| source.exact(rows * columns)).collect();
        let tracked: Vec<Tensor<2>> = inputs
            .iter()
            .zip(&self.shapes)
            .map(|(values, shape)| put(values, *shape, &device.clone().autodiff()).require_grad())
            .collect();
        let y = (self.operation)(device, &tracked);
        let expected = (self.truth)(&inputs);
        let found = host(y.clone().inner());
        assert_eq!(expected.len(), found.len(), "{name}: sizes");
        let allow = tolerance::of(self.kernel);
        let most = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let near = (expected - found).abs() <= allow.absolute + allow.relative * most;
            assert!(near, "{name}: element {i} is {found}, expected {expected}: {}", allow.why);
        }

        let g = source.exact(expected.len());
        // From ones in every element, as if of a sum: burn's own sums take float atomics or 64-bit
        // integers, which not all devices have.
        let grads = (y.clone() * put(&g, y.dims(), &device.clone().autodiff())).backward();
        for (i, input) in tracked.iter().enumerate() {
            let grad = host(input.grad(&grads).expect("a tracked input"));
            assert!(grad.iter().any(|value| *value != 0.0), "{name}: gradient {i} is all zero");
            for _ in 0..DIRECTIONS {
                let direction = source.exact(grad.len());
                let moved = |by: f64| {
                    let mut inputs = inputs.clone();
                    for (value, direction) in inputs[i].iter_mut().zip(&direction) {
                        *value += by * direction;
                    }
                    dot(&(self.truth)(&inputs), &g)
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let found = dot(&grad, &direction);
                let length = (dot(&grad, &grad) * dot(&direction, &direction)).sqrt();
                assert!(
                    (found - expected).abs() <= DIRECTION.absolute + DIRECTION.relative * length,
                    "{name}: gradient {i}, of length {length} with its direction, gives {found} \
                     along it, differences {expected}: {}",
                    DIRECTION.why
                );
            }
        }
    }
}

fn put(values: &[f64], shape: [usize; 2], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn host(tensor: Tensor<2>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_into_vec().expect("f32");
    values.into_iter().map(f64::from).collect()
}

fn vector(values: &[f64], device: &Device) -> Tensor<1> {
    put(values, [1, values.len()], device).flatten(0, 1)
}

/// A frozen weight, and the numbers that it stands for.
struct Frozen {
    values: Vec<f32>,
    shape: [usize; 2],
    precision: Precision,
    bias: Vec<f64>,
}

impl Frozen {
    fn new(shape: [usize; 2], precision: Precision) -> Self {
        let mut source = Source::new(92);
        let values = source.exact(shape[0] * shape[1]).iter().map(|value| *value as f32).collect();
        Self { values, shape, precision, bias: source.exact(shape[0]) }
    }

    fn on(&self, device: &Device) -> (Weights, Tensor<1>) {
        let weights = Weights::new(&self.values, self.shape, self.precision, device);
        (weights, vector(&self.bias, device))
    }

    /// The CPU keeps the rounded numbers in full.
    fn numbers(&self) -> Vec<f64> {
        let words = self.on(&Device::flex()).0.words;
        host(words.reshape([1, self.values.len()]))
    }
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];
const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Gelu];

fn apply(activation: Activation, before: Vec<f64>) -> Vec<f64> {
    if activation == Activation::Gelu { activated(&before) } else { before }
}

#[test]
fn linear() {
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
                        apply(activation, linear_truth(&i[0], &w, &frozen.bias, size))
                    }),
                    operation: Box::new(|device, i| {
                        let (w, bias) = frozen.on(device);
                        ops::linear(i[0].clone(), &w, &bias, activation).into_values()
                    }),
                }
                .check();
            }
        }
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
fn low_rank_terms() {
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
                    ops::lora_linear(i[0].clone(), &w, &bias, &factors, &plan, activation)
                        .into_values()
                }),
            }
            .check();
        }
    }
}

/// As with dropout: the low-rank path has another input than the base, with zeros in it.
#[test]
fn low_rank_terms_of_other_inputs() {
    for (i, (size @ [t, k, o], plan)) in adapted().into_iter().enumerate() {
        let truth = Adapted { plan: &plan, sizes: size };
        let mask: Vec<f64> = (0..t * k).map(|i| f64::from(i % 3 != 0) * 1.5).collect();
        let masked = |x: &[f64]| x.iter().zip(&mask).map(|(x, m)| x * m).collect::<Vec<_>>();
        let frozen = Frozen::new([o, k], PRECISIONS[i % 3]);
        let (w, activation) = (frozen.numbers(), ACTIVATIONS[i % 2]);
        Case {
            name: format!("lora_linear_apart {size:?} {activation:?} {plan:?}"),
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
                ops::lora_linear_apart(i[0].clone(), low, &w, &bias, &factors, &plan, activation)
                    .into_values()
            }),
        }
        .check();
    }
}

/// Layers that keep what their input was computed from, in place of it.
#[test]
fn inputs_that_are_computed_again() {
    for size @ [t, k, o] in [[33, 31, 17], [1, 3, 2], [65, 36, 20], [129, 12, 64]] {
        let plan = LoraPlan { adapted: vec![0], width: o, rank: 3, scale: 0.5 };
        let truth = Adapted { plan: &plan, sizes: size };
        let (first, second) =
            (Frozen::new([k, k], Precision::F32), Frozen::new([o, k], Precision::F32));
        let (first_w, w) = (first.numbers(), second.numbers());
        let mut source = Source::new(94);
        let (gamma, beta) = (source.exact(k), source.exact(k));
        let factors = [1, plan.stacked_rank() * k + plan.up_len()];
        let adapt = |device: &Device, x: ops::Rows, factors: &Tensor<2>| {
            let ((w, bias), factors) = (second.on(device), factors.clone().flatten(0, 1));
            ops::lora_linear(x, &w, &bias, &factors, &plan, Activation::Identity).into_values()
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
                adapt(device, ops::linear(i[0].clone(), &w, &bias, Activation::Gelu), &i[1])
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
                let x = ops::add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, 1e-12);
                adapt(device, x, &i[1])
            }),
        }
        .check();
    }
}

#[test]
fn attention() {
    for (i, segments) in segmentations().into_iter().enumerate() {
        let (heads, head) = [(1, 32), (2, 3), (3, 16), (2, 33), (1, 127)][i % 5];
        let (t, s, h) = (segments.rows(), segments.len(), heads * head);
        let truth = Attention { segments: &segments, heads, head };
        Case {
            name: format!("attention, {s} segments of {t} rows, {heads} heads of {head}"),
            kernel: "attention",
            shapes: vec![[t, 3 * h]],
            truth: Box::new(|i| truth.whole(&i[0]).0),
            operation: Box::new(|_, i| ops::attention(i[0].clone(), &segments, heads)),
        }
        .check();
        // A single key leaves a query nothing to choose.
        if segments.longest() > 1 {
            Case {
                name: format!("attention of [CLS], {s} segments of {t} rows, {heads} of {head}"),
                kernel: "attention_cls",
                shapes: vec![[s, h], [t, 2 * h]],
                truth: Box::new(|i| truth.cls(&i[0], &i[1]).0),
                operation: Box::new(|_, i| {
                    ops::attention_cls(i[0].clone(), i[1].clone(), &segments, heads)
                }),
            }
            .check();
        }
    }
}

#[test]
fn normalised_rows() {
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
                ops::add_layer_norm(i[0].clone(), i[1].clone(), &gamma, &beta, 1e-12).into_values()
            }),
        }
        .check();
    }
}

#[test]
fn gelu_of_elements() {
    for [t, h] in [[1, 1], [17, 31], [33, 129]] {
        Case {
            name: format!("gelu {t} {h}"),
            kernel: "gelu_forward",
            shapes: vec![[t, h]],
            truth: Box::new(|i| i[0].iter().map(|x| gelu(4.0 * x)).collect()),
            operation: Box::new(|_, i| ops::gelu(i[0].clone() * 4.0)),
        }
        .check();
    }
}

#[test]
fn rows_of_cls_and_their_scores() {
    for segments in segmentations() {
        let (t, s) = (segments.rows(), segments.len());
        Case {
            name: format!("gather_cls {s} of {t}"),
            kernel: "gather_cls",
            shapes: vec![[t, 17]],
            truth: Box::new(|i| gather(&i[0], &segments, 17)),
            operation: Box::new(|_, i| ops::gather_cls(i[0].clone(), &segments)),
        }
        .check();
    }
    for [s, h] in [[1, 1], [2, 3], [31, 17], [200, 129], [129, 33]] {
        Case {
            name: format!("score_head {s} {h}"),
            kernel: "score_head",
            shapes: vec![[s, h], [1, h + 1]],
            truth: Box::new(|i| head_truth(&i[0], &i[1])),
            operation: Box::new(|_, i| {
                ops::score_head(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([s, 1])
            }),
        }
        .check();
    }
}

#[test]
fn losses_of_lists() {
    for objective in Objective::ALL {
        for (lengths, texts) in [(vec![1, 2, 3, 17, 31], 33), (vec![200], 127), (vec![2; 33], 129)]
        {
            let lists = lists(objective, &lengths, texts);
            Case {
                name: format!("{objective:?} of {} lists", lists.len()),
                kernel: "list_loss",
                shapes: vec![[texts, 1]],
                truth: Box::new(|i| vec![training::list_losses(&i[0], &lists).0.iter().sum()]),
                operation: Box::new(|_, i| {
                    ops::list_loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
                }),
            }
            .check();
        }
    }
}

#[test]
fn correlation() {
    for size @ [n, d] in [[3, 2], [17, 31], [33, 129], [200, 65]] {
        Case {
            name: format!("correlation {size:?}"),
            kernel: "correlation_finish",
            shapes: vec![size],
            truth: Box::new(|i| {
                let off = training::off(&training::standardise(&i[0], size).0, size);
                vec![training::correlation(&off, d)]
            }),
            operation: Box::new(|_, i| ops::correlation(i[0].clone()).reshape([1, 1])),
        }
        .check();
        assert!(n > 2, "two rows have no gradient");
    }
}
