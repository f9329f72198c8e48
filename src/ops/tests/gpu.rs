//! Compares an operation with burn's autodiff on the GPU path and on the CPU path: outputs and gradients.
//!
//! Any adapter works, including a software adapter. Without one these tests fail, unless `LORB_ALLOW_NO_GPU` is set.

use burn::tensor::{DType, Device, Tensor};

use super::device::gpu;
use super::support::Source;
use super::tolerance::PATHS;

/// Fails if the two differ by more than the tolerance of two paths.
pub(in crate::ops) fn assert_near(what: &str, expected: Tensor<2>, found: Tensor<2>) {
    let expected: Vec<f32> = expected.into_data().try_into_vec().expect("f32");
    let found: Vec<f32> = found.into_data().try_into_vec().expect("f32");
    assert_eq!(expected.len(), found.len(), "{what}: sizes");
    assert!(expected.iter().any(|value| *value != 0.0), "{what}: all values are zero");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let allowed = PATHS.absolute + PATHS.relative * f64::from(largest);
        let error = f64::from((expected - found).abs());
        assert!(error <= allowed, "{what}: element {i} is {found}, expected {expected}");
    }
}

/// Runs `operation` on both devices with tracked inputs of the given shapes, and compares its
/// output and the gradients of all inputs.
pub(in crate::ops) fn compare(
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
pub(in crate::ops) fn frozen<const D: usize>(
    seed: u64,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(Source::new(seed).data(shape, DType::F32), device)
}
