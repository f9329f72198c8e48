//! The sum of three embeddings, normalised: `LN(words[token] + positions[position] + types[0])`.

mod composed;
mod cost;
mod cpu;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_cubecl::CubeBackend;

use super::record;
use super::wgsl::launch::count_upload;
pub(in crate::ops) use wgsl::{cases, subgroup_cases};

/// Inputs of the operation.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct EmbedInputs<B: Backend> {
    /// Embeddings of the vocabulary, `[V, H]`.
    pub words: FloatTensor<B>,
    /// Embeddings of the positions, `[P, H]`.
    pub positions: FloatTensor<B>,
    /// Embeddings of the token types, of which only the first is used, `[N, H]`.
    pub types: FloatTensor<B>,
    /// Scale, `[H]`.
    pub gamma: FloatTensor<B>,
    /// Shift, `[H]`.
    pub beta: FloatTensor<B>,
    /// The tokens, then their positions, `[2T]`.
    pub ids: IntTensor<B>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The embedding. Its gradient uses that of a layer normalisation, and row sums by burn's operations.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Embed: Backend {
    /// The normalised sums, `[T, H]`.
    fn embed_layer_norm(#[extension_type] inputs: EmbedInputs<Self>) -> FloatTensor<Self>;
}

/// Tables of words, positions and token types.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// Embeddings of the vocabulary, `[V, H]`.
    pub words: &'a Tensor<2>,
    /// Embeddings of the positions, `[P, H]`.
    pub positions: &'a Tensor<2>,
    /// Embeddings of the token types, of which only the first is used, `[N, H]`.
    pub types: &'a Tensor<2>,
}

/// Ids on a device, for [`embed_layer_norm`].
#[must_use]
pub fn embed_ids(ids: &[i32], device: &Device) -> Tensor<1, Int> {
    count_upload();
    Tensor::from_ints(ids, device)
}

/// A table `[len / width, width]` of few rows, and ids, on the device of `like`, for [`embed_layer_norm`]. A GPU gets both
/// in one copy.
///
/// # Panics
/// If a row is incomplete, which is a bug of the caller.
#[must_use]
pub fn embed_rows(
    rows: Vec<f32>,
    width: usize,
    ids: &[i32],
    like: &Tensor<2>,
) -> (Tensor<2>, Tensor<1, Int>) {
    assert!(rows.len().is_multiple_of(width), "rows are whole");
    match like.clone().try_into_primitive::<CubeBackend>() {
        Ok(like) => {
            let (rows, ids) = wgsl::upload(rows, width, ids, &like);
            (
                Tensor::from_primitive::<CubeBackend>(rows),
                Tensor::from_primitive::<CubeBackend>(ids),
            )
        }
        Err(_) => {
            let shape = [rows.len() / width, width];
            let rows = Tensor::from_data(TensorData::new(rows, shape), &like.device());
            (rows, embed_ids(ids, &like.device()))
        }
    }
}

/// `LN(words[token] + positions[position] + types[0])` with `gamma` and `beta` `[H]`; `ids [2T]` contains the tokens,
/// then their positions. Returns `[T, H]`.
pub fn embed_layer_norm(
    tables: Tables<'_>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    ids: Tensor<1, Int>,
    epsilon: f32,
) -> Tensor<2> {
    let inputs = EmbedInputs {
        words: tables.words.clone().into_dispatch(),
        positions: tables.positions.clone().into_dispatch(),
        types: tables.types.clone().into_dispatch(),
        gamma: gamma.clone().into_dispatch(),
        beta: beta.clone().into_dispatch(),
        ids: ids.into_dispatch(),
        epsilon,
    };
    record::run(inputs, EmbedInputs::operation, |inputs| -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::embed_layer_norm(inputs))
    })
}
