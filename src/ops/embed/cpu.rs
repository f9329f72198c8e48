//! Embeddings on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{Embed, EmbedInputs};
use crate::ops::cpu::buffer::{dims, indices, matrix, values};
use crate::ops::cpu::parallel;
use crate::ops::layer_norm::{add, normalise, scale_and_shift};

impl Embed for Flex {
    fn embed_layer_norm(inputs: EmbedInputs<Self>) -> FloatTensor<Self> {
        let EmbedInputs { words, positions, types, gamma, beta, ids, epsilon } = inputs;
        let ids = indices(ids);
        let (tokens, places) = ids.split_at(ids.len() / 2);
        let width = dims(&words).1;
        let (words, positions, types) = (values(&words), values(&positions), values(&types));
        let (gamma, beta) = (values(&gamma), values(&beta));
        let mut out = vec![0.0; tokens.len() * width];
        parallel::over_rows(&mut out, width, |first, chunk| {
            Arch::new().dispatch(|| {
                for (i, row) in chunk.chunks_exact_mut(width).enumerate() {
                    row.copy_from_slice(&words[tokens[first + i] * width..][..width]);
                    add(row, &positions[places[first + i] * width..][..width]);
                    add(row, &types[..width]);
                    normalise(row, epsilon);
                    scale_and_shift(row, &gamma, &beta);
                }
            });
        });
        matrix(out, tokens.len(), width)
    }
}
