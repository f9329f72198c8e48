//! Settings of the optimiser and of one of its steps.

use crate::ops::upload::{HostData, OnDevice};
use crate::ops::wgsl::packing::Packing;

/// Settings of AdamW (Loshchilov and Hutter, arXiv 1711.05101) and of gradient clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decay of the parameters per unit of learning rate.
    pub weight_decay: f64,
    /// Max gradient norm: larger gradients are scaled down to it; 0 disables clipping.
    pub clip_norm: f64,
}

impl AdamW {
    /// The usual betas 0.9 and 0.999 with epsilon 1e-8.
    #[must_use]
    pub const fn new(weight_decay: f64, clip_norm: f64) -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay, clip_norm }
    }
}

/// One step of AdamW after clipping:
///
/// ```text
/// g' = g min(1, clip_norm / (||g|| + 1e-6))       clip_norm 0: g' = g
/// m  = beta1 m + (1 - beta1) g'                v = beta2 v + (1 - beta2) g'^2
/// p  = p (1 - lr weight_decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// ```
#[derive(Clone, Debug)]
pub struct AdamWStep {
    /// The constant settings.
    pub settings: AdamW,
    /// Learning rate of this step.
    pub lr: f64,
    /// Number t of this step, from 1.
    pub step: usize,
    on_device: OnDevice,
}

impl AdamWStep {
    /// Step number `step`, from 1, at learning rate `lr`.
    #[must_use]
    pub fn new(settings: AdamW, lr: f64, step: usize) -> Self {
        Self { settings, lr, step, on_device: OnDevice::default() }
    }

    /// `1 - beta^t` for both moments.
    pub fn corrections(&self) -> [f64; 2] {
        [self.settings.beta1, self.settings.beta2]
            .map(|beta| 1.0 - libm::pow(beta, self.step as f64))
    }
}

/// What changes from step to step. As a uniform parameter it would take a new buffer at each step.
impl HostData for AdamWStep {
    fn pack(&self, packing: &mut Packing) {
        let [correction1, correction2] = self.corrections();
        packing.floats(&[self.lr, correction1, correction2].map(|value| value as f32));
    }

    fn on_device(&self) -> &OnDevice {
        &self.on_device
    }
}
