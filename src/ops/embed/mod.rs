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
use burn::tensor::{Int, Tensor, TensorData};
use burn_cubecl::CubeBackend;

use super::record;
use super::upload::{HostData, OnDevice};
use super::wgsl::packing::Packing;
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

/// The tokens of a batch, and the embeddings of the distinct ones, on the host.
#[derive(Clone, Debug)]
pub struct TokenRows {
    /// The embeddings and their width, unless the device has the table.
    rows: Option<(Vec<f32>, usize)>,
    ids: Vec<i32>,
    on_device: OnDevice,
}

impl TokenRows {
    /// A table `[len / width, width]`, and the tokens as its rows, followed by their positions.
    ///
    /// # Panics
    /// If a row is incomplete, which is a bug of the caller.
    #[must_use]
    pub fn new(rows: Vec<f32>, width: usize, ids: Vec<i32>) -> Self {
        assert!(rows.len().is_multiple_of(width), "rows are whole");
        Self { rows: Some((rows, width)), ids, on_device: OnDevice::default() }
    }

    /// The tokens as rows of a table on the device, followed by their positions.
    #[must_use]
    pub fn of_table(ids: Vec<i32>) -> Self {
        Self { rows: None, ids, on_device: OnDevice::default() }
    }

    /// The table and the ids for [`embed_layer_norm`], on the device of `like`.
    #[must_use]
    pub fn on(&self, like: &Tensor<2>) -> (Option<Tensor<2>>, Tensor<1, Int>) {
        match like.clone().try_into_primitive::<CubeBackend>() {
            Ok(like) => {
                let (table, ids) = wgsl::tokens(self, &like);
                (
                    table.map(Tensor::from_primitive::<CubeBackend>),
                    Tensor::from_primitive::<CubeBackend>(ids),
                )
            }
            Err(_) => {
                let device = like.device();
                let table = self.rows.as_ref().zip(self.shape()).map(|((rows, _), shape)| {
                    Tensor::from_data(TensorData::new(rows.clone(), shape), &device)
                });
                (table, Tensor::from_ints(self.ids.as_slice(), &device))
            }
        }
    }

    /// The shape of the table, if there is one.
    fn shape(&self) -> Option<[usize; 2]> {
        self.rows.as_ref().map(|(rows, width)| [rows.len() / width, *width])
    }
}

impl HostData for TokenRows {
    fn pack(&self, packing: &mut Packing) {
        packing.integers(self.ids.iter().map(|id| *id as u32));
        if let Some((rows, _)) = &self.rows {
            packing.floats(rows);
        }
    }

    fn on_device(&self) -> &OnDevice {
        &self.on_device
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
