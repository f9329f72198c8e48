//! The score head on the CPU. Its gradients are composed, because they are small.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{
    ScoreHead, ScoreHeadGrads, ScoreHeadInputs, ScoreHeadKernels, composed_score_head_backward,
};
use crate::ops::cpu::buffer::{dims, values, vector};
use crate::ops::cpu::math::sum;

impl ScoreHead for Flex {
    fn score_head(inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self> {
        let ScoreHeadInputs { cls, head } = inputs;
        let (_, width) = dims(&cls);
        let (cls, head) = (values(&cls), values(&head));
        let (weight, bias) = head.split_at(width);
        // Row by row, so that a score does not depend on the other rows.
        let score = |row: &[f32]| sum(|i| row[i] * weight[i], width) + bias[0];
        vector(Arch::new().dispatch(|| cls.chunks_exact(width).map(score).collect()))
    }
}

impl ScoreHeadKernels for Flex {
    fn score_head_backward(
        g: FloatTensor<Self>,
        inputs: ScoreHeadInputs<Self>,
    ) -> ScoreHeadGrads<Self> {
        composed_score_head_backward(g, inputs)
    }
}
