//! Multi-head attention within the segments of a packed batch, for all rows or only for the first of each segment.

mod composed;
mod cost;
mod cpu;
mod probe;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::operands::operands;
use super::places::Window;
use super::{Segments, record};
pub(in crate::ops) use probe::cases;
pub use wgsl::WIDEST_HEAD;

/// The result of a forward pass for training; N is the number of queries.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct AttentionForward<B: Backend> {
    /// The output, `[N, H]`.
    pub out: FloatTensor<B>,
    /// The log of each softmax's denominator, `[N, heads]`.
    pub log_sums: FloatTensor<B>,
}

/// Inputs of the backward pass of [`Attention::packed_attention`].
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct AttentionSaved<B: Backend> {
    /// Queries, keys and values, `[T, 3H]`.
    pub qkv: FloatTensor<B>,
    /// See [`AttentionForward::out`].
    pub out: FloatTensor<B>,
    /// See [`AttentionForward::log_sums`].
    pub log_sums: FloatTensor<B>,
    /// The sequences.
    pub segments: Segments,
    /// Number of heads.
    pub heads: usize,
    /// What a row attends to; its whole sequence if absent.
    pub window: Option<Window>,
}

operands!(AttentionSaved { qkv, out, log_sums; with segments, heads, window });

/// Inputs of the backward pass of [`Attention::attention_cls`].
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ClsAttentionSaved<B: Backend> {
    /// One query for each segment, `[S, H]`.
    pub q: FloatTensor<B>,
    /// Keys and values, `[T, 2H]`.
    pub kv: FloatTensor<B>,
    /// See [`AttentionForward::out`].
    pub out: FloatTensor<B>,
    /// See [`AttentionForward::log_sums`].
    pub log_sums: FloatTensor<B>,
    /// The sequences.
    pub segments: Segments,
    /// Number of heads.
    pub heads: usize,
}

operands!(ClsAttentionSaved { q, kv, out, log_sums; with segments, heads });

/// Gradients of [`Attention::attention_cls`].
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ClsAttentionGrads<B: Backend> {
    /// With respect to the queries, `[S, H]`.
    pub q: FloatTensor<B>,
    /// With respect to keys and values, `[T, 2H]`.
    pub kv: FloatTensor<B>,
}

/// `softmax(q k^T / sqrt(H / heads)) v`.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Attention: Backend {
    /// For all rows: `qkv [T, 3H]` is query, key and value concatenated; returns `[T, H]`. With a window, a row attends
    /// only to near rows of its sequence.
    fn packed_attention(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> FloatTensor<Self>;

    /// For one query per segment, in a last layer of which only `[CLS]` is needed: `q [S, H]`, `kv [T, 2H]`; returns
    /// `[S, H]`.
    fn attention_cls(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self>;
}

/// Forward passes for training, and gradients.
#[backend_extension(Cube, Flex)]
pub(crate) trait AttentionKernels: Backend {
    /// [`Attention::packed_attention`] with the inputs of its gradient.
    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> AttentionForward<Self>;

    /// Its gradient with respect to `qkv`, from that of the output, `g [T, H]`.
    fn packed_attention_backward(
        g: FloatTensor<Self>,
        #[extension_type] saved: AttentionSaved<Self>,
    ) -> FloatTensor<Self>;

    /// [`Attention::attention_cls`] with the inputs of its gradient.
    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> AttentionForward<Self>;

    /// Its gradients, from that of the output, `g [S, H]`.
    fn attention_cls_backward(
        g: FloatTensor<Self>,
        #[extension_type] saved: ClsAttentionSaved<Self>,
    ) -> ClsAttentionGrads<Self>;
}

/// Attention of all rows: `qkv [T, 3H]` is query, key and value concatenated; returns `[T, H]`.
pub fn attention(qkv: Tensor<2>, segments: &Segments, heads: usize) -> Tensor<2> {
    packed(qkv, segments, heads, None)
}

/// [`attention`] of every row to the rows of its sequence that `window` allows.
pub fn windowed_attention(
    qkv: Tensor<2>,
    segments: &Segments,
    heads: usize,
    window: Window,
) -> Tensor<2> {
    // All tokens of shorter sequences are near.
    let limits = segments.longest() > window.reach + 1;
    packed(qkv, segments, heads, limits.then_some(window))
}

fn packed(qkv: Tensor<2>, segments: &Segments, heads: usize, window: Option<Window>) -> Tensor<2> {
    record::run(
        (qkv.into_dispatch(), segments.clone()),
        |(qkv, segments)| cost::forward::<Dispatch>(qkv, segments, heads, false),
        move |(qkv, segments)| -> Tensor<2> {
            Tensor::from_dispatch(Dispatch::packed_attention(qkv, segments, heads, window.clone()))
        },
    )
}

/// Attention of one query per segment, `q [S, H]`, to keys and values `kv [T, 2H]`; returns `[S, H]`.
pub fn attention_cls(q: Tensor<2>, kv: Tensor<2>, segments: &Segments, heads: usize) -> Tensor<2> {
    record::run(
        (q.into_dispatch(), kv.into_dispatch(), segments.clone()),
        |(q, kv, _)| cost::cls_forward::<Dispatch>(q, kv, heads, false),
        move |(q, kv, segments)| -> Tensor<2> {
            Tensor::from_dispatch(Dispatch::attention_cls(q, kv, segments, heads))
        },
    )
}
