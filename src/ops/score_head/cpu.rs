//! The score head on the CPU, composed because it is small.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{
    ScoreHead, ScoreHeadGrads, ScoreHeadInputs, ScoreHeadKernels, composed_score_head,
    composed_score_head_backward,
};

impl ScoreHead for Flex {
    fn score_head(inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self> {
        composed_score_head(inputs)
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
