//! The reference's backward methods against central differences of its forward ones, in f64.

use burn::backend::{Flex, TensorMetadata, ops::FloatTensorOps};
use burn::tensor::TensorData;

use super::support::{Float, Source, of_lengths, plans, read};
use super::tolerance::DIFFERENCES;
use crate::ops::reference;

const STEP: f64 = 1e-5;

/// Differentiates `sum(g * forward(inputs))` by every element of every input, and compares.
fn check(
    what: &str,
    inputs: &[Float],
    forward: impl Fn(&[Float]) -> Float,
    backward: impl FnOnce(Float, &[Float]) -> Vec<Float>,
) {
    let y = forward(inputs);
    let shape: Vec<usize> = y.shape().to_vec();
    let n = shape.iter().product();
    let g = Float::from_data(TensorData::new(Source::new(99).values(n), shape));
    let objective = |inputs: &[Float]| -> f64 {
        read::<Flex>(Flex::float_mul(forward(inputs), g.clone())).iter().sum()
    };
    let grads = backward(g.clone(), inputs);
    for (i, grad) in grads.into_iter().enumerate() {
        assert_eq!(grad.shape(), inputs[i].shape(), "{what}: shape of gradient {i}");
        let grad = read::<Flex>(grad);
        assert!(grad.iter().any(|value| *value != 0.0), "{what}: gradient {i} is all zero");
        let values = read::<Flex>(inputs[i].clone());
        for element in 0..values.len() {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[element] += by;
                let mut inputs = inputs.to_vec();
                let shape: Vec<usize> = inputs[i].shape().to_vec();
                inputs[i] = Float::from_data(TensorData::new(values, shape));
                objective(&inputs)
            };
            let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let allowed = DIFFERENCES.absolute + DIFFERENCES.relative * expected.abs();
            assert!(
                (grad[element] - expected).abs() <= allowed,
                "{what}: gradient {i}, element {element}: {} instead of {expected}",
                grad[element]
            );
        }
    }
}

#[test]
fn linear() {
    let mut source = Source::new(1);
    let inputs = [source.f64([5, 7]), source.f64([3, 7]), source.f64([3])];
    check(
        "linear",
        &inputs,
        |i| reference::linear::<Flex>(i[0].clone(), i[1].clone(), i[2].clone()),
        |g, i| {
            let dw = reference::weight_grad::<Flex>(g.clone(), i[0].clone());
            let dw = Flex::float_reshape(dw, i[1].shape());
            let dbias = reference::column_sums::<Flex>(g.clone());
            vec![reference::linear_backward::<Flex>(g, i[1].clone()), dw, dbias]
        },
    );
}

#[test]
fn low_rank_terms() {
    let mut source = Source::new(2);
    for (blocks, plan) in plans(3) {
        let (n, r) = (plan.adapted.len(), plan.rank);
        let w = source.f64([blocks * 3, 7]);
        let bias = source.f64([blocks * 3]);
        // Inputs in the order of the gradients: x, A, B.
        let inputs = [source.f64([5, 7]), source.f64([n * r, 7]), source.f64([n * 3, r])];
        let forward = |i: &[Float]| {
            let base = reference::linear::<Flex>(i[0].clone(), w.clone(), bias.clone());
            reference::lora_add::<Flex>(base, i[0].clone(), i[1].clone(), i[2].clone(), &plan)
        };
        check(
            &format!("low rank, {plan:?}"),
            &inputs,
            |i| forward(i).0,
            |g, i| {
                let u = forward(i).1;
                let (v, da, db) =
                    reference::lora_grads::<Flex>(g.clone(), i[0].clone(), u, i[2].clone(), &plan);
                let dx = reference::lora_linear_backward::<Flex>(g, w.clone(), v, i[1].clone());
                vec![dx, da, db]
            },
        );
    }
}

#[test]
fn attention() {
    let (mut source, heads) = (Source::new(3), 2);
    for lengths in [vec![1], vec![3, 1, 4]] {
        let segments = of_lengths(&lengths);
        check(
            &format!("attention over {lengths:?}"),
            &[source.f64([segments.rows(), 18])],
            |i| reference::attention::<Flex>(i[0].clone(), &segments, heads).0,
            |g, i| {
                let (out, sums) = reference::attention::<Flex>(i[0].clone(), &segments, heads);
                let qkv = i[0].clone();
                vec![reference::attention_backward::<Flex>(g, qkv, out, sums, &segments, heads)]
            },
        );
    }
}

#[test]
fn attention_of_cls() {
    let (mut source, heads) = (Source::new(4), 3);
    let segments = of_lengths(&[2, 1, 5]);
    check(
        "attention of [CLS]",
        &[source.f64([3, 6]), source.f64([8, 12])],
        |i| reference::attention_cls::<Flex>(i[0].clone(), i[1].clone(), &segments, heads).0,
        |g, i| {
            let (q, kv) = (i[0].clone(), i[1].clone());
            let (out, sums) =
                reference::attention_cls::<Flex>(q.clone(), kv.clone(), &segments, heads);
            let (dq, dkv) =
                reference::attention_cls_backward::<Flex>(g, q, kv, out, sums, &segments, heads);
            vec![dq, dkv]
        },
    );
}

#[test]
fn add_layer_norm() {
    let mut source = Source::new(5);
    let (gamma, beta) = (source.f64([7]), source.f64([7]));
    let forward = |i: &[Float]| {
        let (x, residual) = (i[0].clone(), i[1].clone());
        reference::add_layer_norm::<Flex>(x, residual, gamma.clone(), beta.clone(), 1e-12)
    };
    check(
        "add and normalise",
        &[source.f64([4, 7]), source.f64([4, 7])],
        |i| forward(i).0,
        |g, i| {
            let (_, normalised, inverse) = forward(i);
            let grad =
                reference::add_layer_norm_backward::<Flex>(g, normalised, inverse, gamma.clone());
            vec![grad.clone(), grad]
        },
    );
}

#[test]
fn gelu() {
    let x = Flex::float_mul_scalar(Source::new(6).f64([6, 7]), 4f32.into());
    check(
        "gelu",
        &[x],
        |i| reference::gelu::<Flex>(i[0].clone()),
        |g, i| vec![reference::gelu_backward::<Flex>(g, i[0].clone())],
    );
}

#[test]
fn cls_rows() {
    let segments = of_lengths(&[2, 1, 3]);
    check(
        "rows of [CLS]",
        &[Source::new(7).f64([6, 5])],
        |i| reference::gather_cls::<Flex>(i[0].clone(), &segments),
        |g, _| vec![reference::scatter_cls::<Flex>(g, &segments)],
    );
}

#[test]
fn score_head() {
    let mut source = Source::new(8);
    check(
        "score head",
        &[source.f64([4, 5]), source.f64([6])],
        |i| reference::score_head::<Flex>(i[0].clone(), i[1].clone()),
        |g, i| {
            let (dcls, dhead) =
                reference::score_head_backward::<Flex>(g, i[0].clone(), i[1].clone());
            vec![dcls, dhead]
        },
    );
}

#[test]
fn correlation() {
    let cls = Source::new(9).f64([5, 4]);
    check(
        "correlation",
        &[cls],
        |i| reference::correlation::<Flex>(i[0].clone()).0,
        |g, i| {
            let (value, z, scales, off) = reference::correlation::<Flex>(i[0].clone());
            vec![reference::correlation_backward::<Flex>(g, value, z, scales, off)]
        },
    );
}
