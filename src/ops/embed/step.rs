//! Embeddings, differentiated.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

use super::{Embed, EmbedInputs, composed};
use crate::ops::Kernels;
use crate::ops::differentiate::backward_step;
use crate::ops::layer_norm::{AddLayerNormForward, LayerNormSaved, backward, norm_grads};

/// Inputs of the backward pass.
#[derive(Clone, Debug)]
struct EmbedSaved<B: Kernels> {
    norm: LayerNormSaved<B>,
    /// See [`EmbedInputs::ids`].
    ids: IntTensor<B>,
    /// Rows of the tables of words, positions and types.
    counts: [usize; 3],
}

backward_step!(EmbedStep<5>, EmbedSaved<B>, |g,
                                             saved,
                                             [words, positions, types, to_gamma, to_beta],
                                             grads| {
    let EmbedSaved { norm, ids, counts } = saved;
    let scales = [to_gamma, to_beta].map(|to| to.map(|to| to.id));
    norm_grads::<B>(&g, &norm.normalised, scales, grads);
    let dx = backward::<B>(g, norm);
    let tokens = ids.shape().num_elements() / 2;
    let [word, position] =
        [0..tokens, tokens..2 * tokens].map(|part| B::int_slice(ids.clone(), &[Slice::from(part)]));
    // Every token is of type 0.
    let kind = B::int_zeros(Shape::new([tokens]), &dx.device(), ids.dtype().into());
    let tables = [(words, word), (positions, position), (types, kind)];
    for ((table, rows), count) in tables.into_iter().zip(counts) {
        if let Some(table) = table {
            let shape = Shape::new([count, dx.shape()[1]]);
            let zeros = B::float_zeros(shape, &dx.device(), dx.dtype().into());
            let sums = B::float_select_assign(zeros, 0, rows, dx.clone(), IndexingUpdateOp::Add);
            grads.register::<B>(table.id, sums);
        }
    }
});

impl<B: Kernels, C: CheckpointStrategy> Embed for Autodiff<B, C> {
    fn embed_layer_norm(inputs: EmbedInputs<Self>) -> FloatTensor<Self> {
        let EmbedInputs { words, positions, types, gamma, beta, ids, epsilon } = inputs;
        let nodes = [words.node(), positions.node(), types.node(), gamma.node(), beta.node()];
        let [words, positions, types, gamma, beta] =
            [words, positions, types, gamma, beta].map(|tensor| tensor.into_primitive());
        let inputs: EmbedInputs<B> =
            EmbedInputs { words, positions, types, gamma, beta, ids, epsilon };
        match EmbedStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let counts =
                    [&inputs.words, &inputs.positions, &inputs.types].map(|table| table.shape()[0]);
                let (gamma, ids) = (inputs.gamma.clone(), inputs.ids.clone());
                let AddLayerNormForward { y, normalised, inverse_deviation } =
                    B::add_layer_norm_forward(composed::sum(inputs));
                let norm = LayerNormSaved { normalised, inverse_deviation, gamma };
                step.finish(EmbedSaved { norm, ids, counts }, y)
            }
            OpsKind::UnTracked(step) => step.finish(B::embed_layer_norm(inputs)),
        }
    }
}
