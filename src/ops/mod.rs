//! The operations the model is written in, and who computes them.
//!
//! [`LorbOps`] extends burn's backends. Three parties implement it:
//!
//! - `cpu`: fused loops and matrix products on Flex, burn's CPU backend;
//! - `wgsl`: the kernels of `shaders/` on burn's GPU backend;
//! - `autodiff`: one backward step per operation, over either of them.
//!
//! `reference` composes every operation from burn's own tensor operations. It is what the other
//! two are tested against.
//!
//! The functions at the end of this file are the same operations on [`Tensor`]; the model calls
//! only those. Shapes: T rows (tokens of all sequences, end to end), S sequences, H hidden
//! width, K inputs and O outputs of a linear layer.

mod activation;
mod adamw;
mod autodiff;
mod cpu;
mod kept;
mod lists;
mod lora_plan;
mod objective;
pub mod probe;
mod reference;
mod segments;
mod weights;
pub mod wgsl;

#[cfg(test)]
mod tests;

use burn::backend::{
    Backend, Dispatch, backend_extension,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{Int, Tensor};

pub use activation::Activation;
pub use adamw::{AdamW, AdamWStep};
pub use kept::{Kept, Rows};
pub use lists::Lists;
pub use lora_plan::LoraPlan;
pub use objective::{Objective, ObjectiveInfo};
pub use segments::Segments;
pub use weights::{Precision, Storage, Weights};

/// What LoRB asks of a backend beyond burn's tensor operations.
///
/// Methods ending in `_forward` also return what their backward step wants; those ending in
/// `_backward` or `_grads` are that step. Neither is differentiable itself.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait LorbOps: Backend {
    /// Sum of three embeddings, normalised: `LN(words[token] + positions[position] + types[0])`.
    ///
    /// Tables `[rows, H]`, `gamma`, `beta` `[H]`, `ids [2T]`: the tokens, then their positions;
    /// returns `[T, H]`.
    fn embed_layer_norm(
        words: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        types: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        ids: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// `activation(x w^T + bias)`: `x [T, K]`, which a backward step has `kept`, `w [O, K]` as `storage` says,
    /// `bias [O]`; returns `[T, O]`, and how the next layer is to keep that.
    fn base_linear(
        x: FloatTensor<Self>,
        #[extension_type] kept: Kept<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        drop(kept);
        Kept::as_it_is(Self::base_linear_forward(x, w, bias, storage, activation).0)
    }

    /// [`base_linear`](Self::base_linear), and what the activation was applied to, `[T, O]`.
    fn base_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `g w`: gradient of `x w^T + bias` by `x`; `g [T, O]`, returns `[T, K]`.
    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
    ) -> FloatTensor<Self>;

    /// `g^T x`, row-major: gradient of `x w^T + bias` by a `w` that is trained; `g [T, O]`, `x [T, K]`,
    /// returns `[O * K]`.
    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Sum over the rows of `x [T, O]`, `[O]`: from `g`, the gradient by a bias that is trained.
    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// [`base_linear`](Self::base_linear) plus, before the activation, the low-rank term of
    /// `plan`. `factors` holds the stacked A and then the stacked B, end to end.
    #[allow(clippy::too_many_arguments)]
    fn lora_linear(
        x: FloatTensor<Self>,
        #[extension_type] kept: Kept<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        drop(kept);
        Kept::as_it_is(Self::lora_linear_forward(x, w, bias, factors, plan, storage, activation).0)
    }

    /// [`lora_linear`](Self::lora_linear), what the activation was applied to, and `x A^T`
    /// `[T, n * rank]`.
    fn lora_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// [`lora_linear`](Self::lora_linear) whose low-rank term is that of `low [T, K]` in place of `x`, as with
    /// dropout on the low-rank path.
    #[allow(clippy::too_many_arguments)]
    fn lora_linear_apart(
        x: FloatTensor<Self>,
        low: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        let all =
            Self::lora_linear_apart_forward(x, low, w, bias, factors, plan, storage, activation);
        Kept::as_it_is(all.0)
    }

    /// [`lora_linear_apart`](Self::lora_linear_apart), what the activation was applied to, and
    /// `low A^T` `[T, n * rank]`.
    #[allow(clippy::too_many_arguments)]
    fn lora_linear_apart_forward(
        x: FloatTensor<Self>,
        low: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// From the gradient `g [T, O]` of what the activation is applied to, `x [T, K]` and
    /// `u = x A^T`: the gradient of `u` `[T, n * rank]`, and that of the factors.
    fn lora_grads(
        g: FloatTensor<Self>,
        #[extension_type] x: Kept<Self>,
        u: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `g w + v A`: gradient of `x w^T + bias` with its low-rank term by `x`, where `v` is the
    /// gradient of `x A^T`.
    fn lora_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
    ) -> FloatTensor<Self>;

    /// `v A`: gradient of `x A^T` by `x`, `[T, K]`.
    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self>;

    /// Multi-head self-attention within each segment; `qkv [T, 3H]` holds query, key and value
    /// side by side, each of `heads` heads. `softmax(q k^T / sqrt(H / heads)) v`, `[T, H]`.
    fn packed_attention(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        Self::packed_attention_forward(qkv, segments, heads).0
    }

    /// [`packed_attention`](Self::packed_attention), and the log of each softmax's denominator `[T, heads]`.
    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of [`packed_attention`](Self::packed_attention) by `qkv`; `out` is its output.
    fn packed_attention_backward(
        g: FloatTensor<Self>,
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// Attention of one query per segment, for a last layer of which only `[CLS]` is wanted:
    /// `q [S, H]`, `kv [T, 2H]`; returns `[S, H]`.
    fn attention_cls(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        Self::attention_cls_forward(q, kv, segments, heads).0
    }

    /// [`attention_cls`](Self::attention_cls), and the log-sums `[S, heads]`.
    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of [`attention_cls`](Self::attention_cls) by `q` and by `kv`.
    fn attention_cls_backward(
        g: FloatTensor<Self>,
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `LN(x + residual)`: `x`, `residual` `[T, H]`, `gamma`, `beta` `[H]`; returns `[T, H]`, and how a
    /// linear layer is to keep that. The variance is the biased one.
    fn add_layer_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        Kept::as_it_is(Self::add_layer_norm_forward(x, residual, gamma, beta, epsilon).0)
    }

    /// [`add_layer_norm`](Self::add_layer_norm), the normalised rows before gamma `[T, H]`, and
    /// one over each row's deviation `[T, 1]`.
    fn add_layer_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `n gamma + beta`: the output of [`add_layer_norm`](Self::add_layer_norm) from its normalised rows
    /// `n [T, H]`.
    fn scale_rows(
        n: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::scale_rows::<Self>(n, gamma, beta)
    }

    /// Gradient of [`add_layer_norm`](Self::add_layer_norm) by `x`, and equally by `residual`.
    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        normalised: FloatTensor<Self>,
        inverse_deviation: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`, of `[T, O]`.
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `g` times the derivative of [`gelu_exact`](Self::gelu_exact) at `x`.
    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// First row of each segment: `x [T, H]` to `[S, H]`.
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self>;

    /// Gradient of [`gather_cls`](Self::gather_cls): the rows of `g [S, H]` among zeros, `[T, H]`.
    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self>;

    /// `cls w + b`: `cls [S, H]`, `head [H + 1]` the weight and then the bias; returns `[S]`.
    fn score_head(cls: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients of [`score_head`](Self::score_head) by `cls` and by `head`, from `g [S]`.
    fn score_head_backward(
        g: FloatTensor<Self>,
        cls: FloatTensor<Self>,
        head: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Elements `offset..offset + len` of `flat [P]`, without a copy where the device can do that.
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self>;

    /// Writes six vectors to their places in `flat [P]`: all of `parts[k]` from `offsets[k]` on. An
    /// offset of `usize::MAX` leaves a part out.
    #[allow(clippy::too_many_arguments)]
    fn pack(
        flat: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        offsets: [usize; 6],
    ) -> FloatTensor<Self>;

    /// The sum over lists of what they are trained for, `[1]`, from the scores of their distinct
    /// texts, `[S]`; see [`Objective`].
    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self> {
        Self::list_loss_forward(scores, lists).0
    }

    /// [`list_loss`](Self::list_loss), and its derivative by each hypothesis's score, `[L]`.
    fn list_loss_forward(
        scores: FloatTensor<Self>,
        lists: Lists,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of [`list_loss`](Self::list_loss) by the scores of `texts` distinct texts.
    fn list_loss_backward(
        g: FloatTensor<Self>,
        slopes: FloatTensor<Self>,
        lists: Lists,
        texts: usize,
    ) -> FloatTensor<Self>;

    /// Root mean square correlation between the columns of `cls [n, d]`, n and d of 2 or more;
    /// returns `[1]`:
    ///
    /// ```text
    /// z   = (cls - mean) / max(std, 1e-5)     by column, std with n - 1
    /// R   = z^T z / (n - 1)
    /// cor = || R - I ||_F / sqrt(d (d - 1))
    /// ```
    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::correlation_forward(cls).0
    }

    /// [`correlation`](Self::correlation), z `[n, d]`, for each column one over its divisor and
    /// whether that moves with the column (1 or 0) `[d, 2]`, and `R - I` `[d, d]`.
    fn correlation_forward(
        cls: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of [`correlation`](Self::correlation) by `cls`.
    fn correlation_backward(
        g: FloatTensor<Self>,
        value: FloatTensor<Self>,
        z: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        off: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// One step of the optimiser on all parameters `[P]`: the new parameters, first and second
    /// moments, and the norm of the gradient before clipping, `[1]`. A gradient whose norm is not
    /// finite may leave anything in the others.
    fn adamw(
        parameters: FloatTensor<Self>,
        g: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// See [`LorbOps::embed_layer_norm`].
pub fn embed_layer_norm(
    tables: [&Tensor<2>; 3],
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    ids: Tensor<1, Int>,
    epsilon: f32,
) -> Tensor<2> {
    let [words, positions, types] = tables.map(|table| table.clone().into_dispatch());
    Tensor::from_dispatch(Dispatch::embed_layer_norm(
        words,
        positions,
        types,
        gamma.clone().into_dispatch(),
        beta.clone().into_dispatch(),
        ids.into_dispatch(),
        epsilon,
    ))
}

/// See [`LorbOps::base_linear`].
pub fn linear(x: impl Into<Rows>, w: &Weights, bias: &Tensor<1>, activation: Activation) -> Rows {
    let (x, kept) = x.into().into_parts();
    Rows::new(Dispatch::base_linear(
        x,
        kept,
        w.words.clone().into_dispatch(),
        bias.clone().into_dispatch(),
        w.storage,
        activation,
    ))
}

/// `x y^T` in full precision: `[n, k]` and `[m, k]` to `[n, m]`.
pub fn product(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let [outputs, inputs] = y.dims();
    let storage = Storage { outputs, inputs, precision: Precision::F32 };
    let none = Tensor::zeros([outputs], &x.device().inner());
    let y = Weights { words: y.flatten(0, 1), storage };
    linear(x, &y, &none, Activation::Identity).into_values()
}

/// `x y` in full precision, without tracking: `[n, k]` and the flat `[k, m]` to `[n, m]`.
pub fn product_of(x: Tensor<2>, y: Tensor<1>) -> Tensor<2> {
    let ([_, outputs], [len]) = (x.dims(), y.dims());
    let storage = Storage { outputs, inputs: len / outputs, precision: Precision::F32 };
    let product = Dispatch::base_linear_backward(x.into_dispatch(), y.into_dispatch(), storage);
    Tensor::from_dispatch(product)
}

/// See [`LorbOps::lora_linear`].
pub fn lora_linear(
    x: impl Into<Rows>,
    w: &Weights,
    bias: &Tensor<1>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
    activation: Activation,
) -> Rows {
    let (x, kept) = x.into().into_parts();
    Rows::new(Dispatch::lora_linear(
        x,
        kept,
        w.words.clone().into_dispatch(),
        bias.clone().into_dispatch(),
        factors.clone().into_dispatch(),
        plan.clone(),
        w.storage,
        activation,
    ))
}

/// See [`LorbOps::lora_linear_apart`].
pub fn lora_linear_apart(
    x: Tensor<2>,
    low: Tensor<2>,
    w: &Weights,
    bias: &Tensor<1>,
    factors: &Tensor<1>,
    plan: &LoraPlan,
    activation: Activation,
) -> Rows {
    Rows::new(Dispatch::lora_linear_apart(
        x.into_dispatch(),
        low.into_dispatch(),
        w.words.clone().into_dispatch(),
        bias.clone().into_dispatch(),
        factors.clone().into_dispatch(),
        plan.clone(),
        w.storage,
        activation,
    ))
}

/// See [`LorbOps::packed_attention`].
pub fn attention(qkv: Tensor<2>, segments: &Segments, heads: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::packed_attention(qkv.into_dispatch(), segments.clone(), heads))
}

/// See [`LorbOps::attention_cls`].
pub fn attention_cls(q: Tensor<2>, kv: Tensor<2>, segments: &Segments, heads: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attention_cls(
        q.into_dispatch(),
        kv.into_dispatch(),
        segments.clone(),
        heads,
    ))
}

/// See [`LorbOps::add_layer_norm`].
pub fn add_layer_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    epsilon: f32,
) -> Rows {
    Rows::new(Dispatch::add_layer_norm(
        x.into_dispatch(),
        residual.into_dispatch(),
        gamma.clone().into_dispatch(),
        beta.clone().into_dispatch(),
        epsilon,
    ))
}

/// See [`LorbOps::gelu_exact`].
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gelu_exact(x.into_dispatch()))
}

/// See [`LorbOps::gather_cls`].
pub fn gather_cls(x: Tensor<2>, segments: &Segments) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gather_cls(x.into_dispatch(), segments.clone()))
}

/// See [`LorbOps::score_head`].
pub fn score_head(cls: Tensor<2>, head: &Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::score_head(cls.into_dispatch(), head.clone().into_dispatch()))
}

/// See [`LorbOps::cut`].
pub fn cut(flat: &Tensor<1>, offset: usize, len: usize) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::cut(flat.clone().into_dispatch(), offset, len))
}

/// One vector of `len` elements from pieces and where they begin; they cover it without overlap.
///
/// # Panics
/// When there is no piece.
pub fn join(pieces: &[(usize, Tensor<1>)], len: usize) -> Tensor<1> {
    let mut flat = Tensor::<1>::empty([len], &pieces[0].1.device());
    for six in pieces.chunks(6) {
        let part = |k: usize| six.get(k).unwrap_or(&six[0]).1.clone().into_dispatch();
        let offsets = std::array::from_fn(|k| six.get(k).map_or(usize::MAX, |piece| piece.0));
        let [a, b, c, d, e, f] = std::array::from_fn(part);
        flat =
            Tensor::from_dispatch(Dispatch::pack(flat.into_dispatch(), a, b, c, d, e, f, offsets));
    }
    flat
}

/// Vectors end to end, to be read at once.
///
/// # Panics
/// When there is none.
pub fn end_to_end(pieces: Vec<Tensor<1>>) -> Tensor<1> {
    let mut len = 0;
    let mut place = |piece: Tensor<1>| {
        let at = len;
        len += piece.dims()[0];
        (at, piece)
    };
    let pieces: Vec<_> = pieces.into_iter().map(&mut place).collect();
    join(&pieces, len)
}

/// See [`LorbOps::list_loss`].
pub fn list_loss(scores: Tensor<1>, lists: &Lists) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::list_loss(scores.into_dispatch(), lists.clone()))
}

/// See [`LorbOps::correlation`].
pub fn correlation(cls: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::correlation(cls.into_dispatch()))
}

/// Parameters, first moments, second moments and the gradient's norm: see [`LorbOps::adamw`].
pub fn adamw(
    parameters: Tensor<1>,
    g: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamWStep,
) -> [Tensor<1>; 4] {
    let (parameters, first, second, norm) = Dispatch::adamw(
        parameters.into_dispatch(),
        g.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    [parameters, first, second, norm].map(Tensor::from_dispatch)
}
