//! Compares the backward functions of compositions with central differences of the forward ones, in f64.

use burn::backend::{Flex, TensorMetadata, ops::FloatTensorOps};
use burn::tensor::TensorData;

use super::support::{Float, Source, read};
use super::tolerance::DIFFERENCES;

const STEP: f64 = 1e-5;

/// Differentiates `sum(g * forward(inputs))` with respect to every element of every input, and compares.
pub(in crate::ops) fn check(
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
