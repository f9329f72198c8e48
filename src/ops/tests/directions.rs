//! Compares an operation with burn's autodiff on the GPU path with the truth in f64: outputs element by
//! element, gradients by central differences of the truth along random directions.

use burn::tensor::{Device, Tensor, TensorData};

use super::device::{gpu, least_gpu};
use super::support::Source;
use super::tolerance::{self, DIRECTION};
use super::truth::dot;

/// Step along a direction of elements in [-1, 1).
const STEP: f64 = 1e-4;
const DIRECTIONS: usize = 3;

pub(in crate::ops) type Truth<'a> = dyn Fn(&[Vec<f64>]) -> Vec<f64> + 'a;
pub(in crate::ops) type Operation<'a> = dyn Fn(&Device, &[Tensor<2>]) -> Tensor<2> + 'a;

/// An operation at one size, in f64 and on a device.
pub(in crate::ops) struct Case<'a> {
    pub name: String,
    /// The kernel that determines the tolerance of the output.
    pub kernel: &'static str,
    /// Shapes of the inputs; all are differentiated.
    pub shapes: Vec<[usize; 2]>,
    pub truth: Box<Truth<'a>>,
    pub operation: Box<Operation<'a>>,
}

impl Case<'_> {
    /// On a software adapter, and on one with WebGPU's guaranteed minimum limits.
    pub fn check(&self) {
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
        // Start from ones in every element, as for a sum: burn's own sums use float atomics or 64-bit
        // integers, which not all devices support.
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

pub(in crate::ops) fn put(values: &[f64], shape: [usize; 2], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(in crate::ops) fn host(tensor: Tensor<2>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_into_vec().expect("f32");
    values.into_iter().map(f64::from).collect()
}

pub(in crate::ops) fn vector(values: &[f64], device: &Device) -> Tensor<1> {
    put(values, [1, values.len()], device).flatten(0, 1)
}
