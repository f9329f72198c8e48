//! AdamW composed of burn's operations, as a reference for the tests of the CPU path.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

use super::{AdamWStep, OptimizerState, OptimizerUpdate};

pub(super) fn adamw<B: Backend>(
    state: OptimizerState<B>,
    g: FloatTensor<B>,
    step: AdamWStep,
) -> OptimizerUpdate<B> {
    let OptimizerState { parameters, first, second } = state;
    let adam = &step.settings;
    let scaled = |x: FloatTensor<B>, by: f64| B::float_mul_scalar(x, by.into());
    let square = |x: FloatTensor<B>| B::float_mul(x.clone(), x);
    let norm = B::float_sqrt(B::float_sum(square(g.clone())));
    let g = if adam.clip_norm > 0.0 {
        let longest = B::float_add_scalar(norm.clone(), 1e-6f64.into());
        let factor = scaled(B::float_recip(longest), adam.clip_norm);
        B::float_mul(g, B::float_clamp_max(factor, 1f64.into()))
    } else {
        g
    };
    let [correction1, correction2] = step.corrections();
    let first = B::float_add(scaled(first, adam.beta1), scaled(g.clone(), 1.0 - adam.beta1));
    let second = B::float_add(scaled(second, adam.beta2), scaled(square(g), 1.0 - adam.beta2));
    let root = B::float_sqrt(scaled(second.clone(), 1.0 / correction2));
    let root = B::float_add_scalar(root, adam.epsilon.into());
    let way = B::float_div(scaled(first.clone(), step.lr / correction1), root);
    let decayed = scaled(parameters, 1.0 - step.lr * adam.weight_decay);
    let parameters = B::float_sub(decayed, way);
    OptimizerUpdate { state: OptimizerState { parameters, first, second }, norm }
}
