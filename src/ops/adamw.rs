//! What one step of the optimiser is given.

/// Settings of one step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) after clipping:
///
/// ```text
/// g' = g min(1, clip_norm / (||g|| + 1e-6))       clip_norm 0: g' = g
/// m  = beta1 m + (1 - beta1) g'                v = beta2 v + (1 - beta2) g'^2
/// p  = p (1 - lr weight_decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the parameters per unit of learning rate.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Longest gradient that is not shortened; 0 never shortens.
    pub clip_norm: f64,
    /// Number t of this step, from 1.
    pub step: usize,
}

impl AdamWStep {
    /// `1 - beta^t` for either moment.
    pub fn corrections(&self) -> [f64; 2] {
        [self.beta1, self.beta2].map(|beta| 1.0 - libm::pow(beta, self.step as f64))
    }
}
