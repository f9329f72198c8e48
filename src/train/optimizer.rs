//! AdamW on one flat tensor.

use burn::tensor::{Device, Tensor};

use crate::ops::{self, AdamW, AdamWState, AdamWStep};

/// Moving averages of the gradient and of its square, `[P]` each.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Average of the gradient.
    pub first: Tensor<1>,
    /// Average of its square.
    pub second: Tensor<1>,
    /// Steps taken so far.
    pub steps: usize,
}

impl Moments {
    /// The initial moments of a run.
    #[must_use]
    pub fn zeros(parameters: usize, device: &Device) -> Self {
        let zeros = Tensor::zeros([parameters], device);
        Self { first: zeros.clone(), second: zeros, steps: 0 }
    }

    /// The step that follows, at learning rate `lr`.
    #[must_use]
    pub fn next(&self, settings: AdamW, lr: f64) -> AdamWStep {
        AdamWStep::new(settings, lr, self.steps + 1)
    }
}

/// The result of a step.
#[derive(Clone, Debug)]
pub struct Updated {
    /// New parameters, `[P]`.
    pub parameters: Tensor<1>,
    /// New moments.
    pub moments: Moments,
    /// Norm of the gradient before clipping, `[1]`.
    pub norm: Tensor<1>,
}

/// One step from `p` with the gradient `g`. `step` is [`Moments::next`].
#[must_use]
pub fn step(step: AdamWStep, p: Tensor<1>, g: Tensor<1>, moments: Moments) -> Updated {
    let (steps, Moments { first, second, .. }) = (step.step, moments);
    let state = AdamWState { parameters: p, first, second };
    let (AdamWState { parameters, first, second }, norm) = ops::adamw(state, g, step);
    Updated { parameters, moments: Moments { first, second, steps }, norm }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(values: &[f32], device: &Device) -> Tensor<1> {
        Tensor::from_floats(values, device)
    }

    fn host(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// The formula in f64, element by element.
    fn expected(
        adam: AdamW,
        p: &mut [f64],
        m: &mut [f64],
        v: &mut [f64],
        g: &[f64],
        lr: f64,
        t: i32,
    ) -> f64 {
        let norm = g.iter().map(|x| x * x).sum::<f64>().sqrt();
        let factor =
            if adam.clip_norm > 0.0 { (adam.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        for i in 0..p.len() {
            let g = g[i] * factor;
            m[i] = adam.beta1 * m[i] + (1.0 - adam.beta1) * g;
            v[i] = adam.beta2 * v[i] + (1.0 - adam.beta2) * g * g;
            let (mh, vh) = (m[i] / (1.0 - adam.beta1.powi(t)), v[i] / (1.0 - adam.beta2.powi(t)));
            p[i] -= lr * adam.weight_decay * p[i];
            p[i] -= lr * mh / (vh.sqrt() + adam.epsilon);
        }
        norm
    }

    #[test]
    fn steps_follow_the_formula() {
        let device = Device::flex();
        for (weight_decay, clip_norm) in [(0.0, 0.0), (0.1, 0.0), (0.01, 0.5), (0.0, 100.0)] {
            let adam = AdamW::new(weight_decay, clip_norm);
            let start = [1.0f32, -2.0, 0.0, 0.5];
            let (mut p, mut m, mut v) = (start.map(f64::from), [0.0; 4], [0.0; 4]);
            let mut parameters = flat(&start, &device);
            let mut moments = Moments::zeros(4, &device);
            for t in 1..=5 {
                let g = [0.3f32 * t as f32, -1.0, 1e-4, 0.0];
                let lr = 0.1 / f64::from(t);
                let norm = expected(adam, &mut p, &mut m, &mut v, &g.map(f64::from), lr, t);
                let next = moments.next(adam, lr);
                let updated = step(next, parameters, flat(&g, &device), moments);
                (parameters, moments) = (updated.parameters, updated.moments);
                assert!((f64::from(host(updated.norm)[0]) - norm).abs() < 1e-6 * norm);
                assert_eq!(moments.steps, t as usize);
            }
            for (found, wanted) in host(parameters).into_iter().zip(p) {
                assert!((f64::from(found) - wanted).abs() < 1e-6, "{found} {wanted} {adam:?}");
            }
        }
    }

    #[test]
    fn a_non_finite_gradient_gives_a_non_finite_norm() {
        let device = Device::flex();
        for bad in [f32::NAN, f32::INFINITY] {
            let gradient = flat(&[1.0, bad], &device);
            let moments = Moments::zeros(2, &device);
            let next = moments.next(AdamW::new(0.0, 1.0), 0.1);
            let out = step(next, flat(&[0.0, 0.0], &device), gradient, moments);
            assert!(!host(out.norm)[0].is_finite());
        }
    }
}
