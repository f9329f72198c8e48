//! Launches `score_head*.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{
    ScoreHead, ScoreHeadGrads, ScoreHeadInputs, ScoreHeadKernels, composed_score_head,
    composed_score_head_backward,
};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::{Groups, score_head, score_head_backward};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_rows, dims, empty, launch, same_shape};

impl ScoreHead for CubeBackend {
    fn score_head(inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self> {
        kernel_or_composed(inputs, forward, composed_score_head)
    }
}

impl ScoreHeadKernels for CubeBackend {
    fn score_head_backward(
        g: FloatTensor<Self>,
        inputs: ScoreHeadInputs<Self>,
    ) -> ScoreHeadGrads<Self> {
        kernel_or_composed(
            (g, inputs),
            |(g, inputs)| backward(&g, &inputs),
            |(g, inputs)| composed_score_head_backward(g, inputs),
        )
    }
}

fn forward(inputs: ScoreHeadInputs<CubeBackend>) -> CubeTensor {
    let ScoreHeadInputs { cls, head } = &inputs;
    let (rows, width) = dims(cls);
    let scores = empty([rows as usize], cls);
    let call = score_head::Arguments { cls, head, scores: &scores, rows, width };
    let kernel = score_head::variant();
    launch(kernel, &call, by_rows(kernel, rows));
    scores
}

fn backward(g: &CubeTensor, inputs: &ScoreHeadInputs<CubeBackend>) -> ScoreHeadGrads<CubeBackend> {
    let ScoreHeadInputs { cls, head } = inputs;
    let (rows, width) = dims(cls);
    let (dcls, dhead) = (same_shape(cls), empty([width as usize + 1], cls));
    let call =
        score_head_backward::Arguments { g, cls, head, dcls: &dcls, dhead: &dhead, rows, width };
    let kernel = score_head_backward::variant();
    let of_cls = (rows * width).div_ceil(kernel.constant("BLOCK"));
    let of_head = (width + 1).div_ceil(kernel.constant("COLUMNS"));
    launch(kernel, &call, Groups::linear(of_cls + of_head));
    ScoreHeadGrads { cls: dcls, head: dhead }
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "score_head, 31 rows of 17".to_owned(),
            &["score_head"],
            &[
                ("[CLS]", [31, 17], &["score_head_backward"]),
                ("the head", [1, 18], &["score_head_backward"]),
            ],
            |_, i| super::score_head(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([31, 1]),
        )
        .quick(),
    ]
}
