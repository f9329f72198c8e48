//! The score head: one score for each sequence, from its `[CLS]` row.

mod cpu;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice, Tensor};

use super::composed::matmul_tn;
use super::differentiate::backward_step;
use super::operands::{Tensors, operands};
use super::record::{Cost, Operation, Sample};
use super::{Kernels, record};
pub(in crate::ops) use wgsl::cases;

/// Inputs of the score head.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ScoreHeadInputs<B: Backend> {
    /// Rows of `[CLS]`, `[S, H]`.
    pub cls: FloatTensor<B>,
    /// The weight followed by the bias, `[H + 1]`.
    pub head: FloatTensor<B>,
}

operands!(ScoreHeadInputs { cls, head });

/// Gradients of the scores, with the shapes of [`ScoreHeadInputs`].
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ScoreHeadGrads<B: Backend> {
    pub cls: FloatTensor<B>,
    pub head: FloatTensor<B>,
}

/// `cls w + b`.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait ScoreHead: Backend {
    /// The scores, `[S]`.
    fn score_head(#[extension_type] inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self>;
}

/// Its gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait ScoreHeadKernels: Backend {
    /// From the gradient `g [S]` of the scores.
    fn score_head_backward(
        g: FloatTensor<Self>,
        #[extension_type] inputs: ScoreHeadInputs<Self>,
    ) -> ScoreHeadGrads<Self>;
}

impl<B: Backend> ScoreHeadInputs<B> {
    fn operation(&self) -> Operation {
        let [rows, width] = self.cls.shape().dims();
        let cost = Cost::new(2 * rows * width, rows * width + width + 1 + rows);
        Operation::new("score head", String::new(), cost)
    }

    fn backward(&self) -> Operation {
        let [rows, width] = self.cls.shape().dims();
        let cost = Cost::new(4 * rows * width, 2 * rows * width + 2 * (width + 1) + rows);
        Operation::new("score head, backward", String::new(), cost)
    }
}

impl<B: Kernels> Sample for ScoreHeadGrads<B> {
    fn sample(self) -> Tensor<2> {
        self.cls.sample()
    }
}

backward_step!(ScoreHeadStep<2>, ScoreHeadInputs<B>, |g, inputs, [to_cls, to_head], grads| {
    let operation = |(_, inputs): &(_, ScoreHeadInputs<B>)| inputs.backward();
    let by = record::run((g, inputs), operation, |(g, inputs)| B::score_head_backward(g, inputs));
    if let Some(cls) = to_cls {
        grads.register::<B>(cls.id, by.cls);
    }
    if let Some(head) = to_head {
        grads.register::<B>(head.id, by.head);
    }
});

impl<B: Kernels, C: CheckpointStrategy> ScoreHead for Autodiff<B, C> {
    fn score_head(inputs: ScoreHeadInputs<Self>) -> FloatTensor<Self> {
        let nodes = [inputs.cls.node(), inputs.head.node()];
        let inputs: ScoreHeadInputs<B> = inputs.map(&|tensor| tensor.into_primitive());
        match ScoreHeadStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(inputs.clone(), B::score_head(inputs)),
            OpsKind::UnTracked(step) => step.finish(B::score_head(inputs)),
        }
    }
}

fn composed_score_head<B: Backend>(inputs: ScoreHeadInputs<B>) -> FloatTensor<B> {
    let ScoreHeadInputs { cls, head } = inputs;
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, bias) = split::<B>(head, width);
    let scores = B::float_add(B::float_matmul(cls, weight), bias);
    B::float_reshape(scores, Shape::new([sequences]))
}

fn composed_score_head_backward<B: Backend>(
    g: FloatTensor<B>,
    inputs: ScoreHeadInputs<B>,
) -> ScoreHeadGrads<B> {
    let ScoreHeadInputs { cls, head } = inputs;
    let (sequences, width) = (cls.shape()[0], cls.shape()[1]);
    let (weight, _) = split::<B>(head, width);
    let g = B::float_reshape(g, Shape::new([sequences, 1]));
    let dcls = B::float_matmul(g.clone(), B::float_transpose(weight));
    let dweight = B::float_reshape(matmul_tn::<B>(cls, g.clone()), Shape::new([width]));
    ScoreHeadGrads { cls: dcls, head: B::float_cat(vec![dweight, B::float_sum(g)], 0) }
}

/// Weight `[H, 1]` and bias `[1, 1]` of a score head.
fn split<B: Backend>(head: FloatTensor<B>, width: usize) -> (FloatTensor<B>, FloatTensor<B>) {
    let weight = B::float_slice(head.clone(), &[Slice::from(0..width)]);
    let bias = B::float_slice(head, &[Slice::from(width..width + 1)]);
    (B::float_reshape(weight, Shape::new([width, 1])), B::float_reshape(bias, Shape::new([1, 1])))
}

/// The score of each row: `cls [S, H]`, `head [H + 1]` the weight followed by the bias; returns `[S]`.
pub fn score_head(cls: Tensor<2>, head: &Tensor<1>) -> Tensor<1> {
    let inputs = ScoreHeadInputs { cls: cls.into_dispatch(), head: head.clone().into_dispatch() };
    record::run(inputs, ScoreHeadInputs::operation, |inputs| -> Tensor<1> {
        Tensor::from_dispatch(Dispatch::score_head(inputs))
    })
}
