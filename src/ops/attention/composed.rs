//! Attention over packed segments, composed of burn's operations: pad, attend, remove the padding.

use burn::backend::Backend;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

use super::{AttentionForward, AttentionSaved, ClsAttentionGrads, ClsAttentionSaved};
use crate::ops::Segments;
use crate::ops::composed::{columns, indices, rows};
use crate::ops::places::Window;

/// Added to masked scores; its exp is 0 in f32.
const MASKED: f32 = -1e30;

/// Maximum elements of a padded `[S, heads, L, L]`: 32 MiB in f32, well below the 128 MiB that every WebGPU device
/// can bind.
const MOST_SCORES: usize = 8 << 20;

/// Splits a batch into runs of sequences whose padded scores stay within bounds.
fn runs(segments: &Segments, heads: usize) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut longest = 0;
    for (s, range) in segments.ranges().enumerate() {
        let with = longest.max(range.len());
        match runs.last_mut() {
            Some(run) if (run.len() + 1) * heads * with * with <= MOST_SCORES => {
                run.end = s + 1;
                longest = with;
            }
            _ => {
                runs.push(s..s + 1);
                longest = range.len();
            }
        }
    }
    runs
}

/// One run of sequences, with the indices of its rows in the batch's tensors.
struct Run {
    segments: Segments,
    sequences: std::ops::Range<usize>,
    first_row: usize,
}

impl Run {
    /// The rows of this run's tokens, from a tensor with one row per token.
    fn tokens<B: Backend>(&self, x: &FloatTensor<B>) -> FloatTensor<B> {
        rows::<B>(x.clone(), self.first_row, self.segments.rows())
    }

    /// The rows of this run's sequences, from a tensor with one row per sequence.
    fn sequences<B: Backend>(&self, x: &FloatTensor<B>) -> FloatTensor<B> {
        rows::<B>(x.clone(), self.sequences.start, self.sequences.len())
    }
}

/// Applies `attend` to each run and concatenates the `N` results.
fn by_runs<B: Backend, const N: usize>(
    segments: &Segments,
    heads: usize,
    attend: impl Fn(&Run) -> [FloatTensor<B>; N],
) -> [FloatTensor<B>; N] {
    let mut results: [Vec<FloatTensor<B>>; N] = std::array::from_fn(|_| Vec::new());
    for sequences in runs(segments, heads) {
        let first_row = segments.range(sequences.start).start;
        let run = Run { segments: segments.slice(sequences.clone()), sequences, first_row };
        for (results, result) in results.iter_mut().zip(attend(&run)) {
            results.push(result);
        }
    }
    results.map(|mut results| match results.len() {
        1 => results.remove(0),
        _ => B::float_cat(results, 0),
    })
}

/// Maps packed rows `[T, width]` to a padded `[S, heads, L, d]`, and back.
struct Padding<'a> {
    segments: &'a Segments,
    longest: usize,
    heads: usize,
    /// What rows attend to, and the number of the first row of the segments.
    window: Option<(&'a Window, usize)>,
}

impl<'a> Padding<'a> {
    fn new(segments: &'a Segments, heads: usize) -> Self {
        Self { segments, longest: segments.longest(), heads, window: None }
    }

    /// Packed `[T, H]` to padded `[S, heads, L, d]`; padding repeats a segment's first row.
    fn pad<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let width = x.shape()[1];
        let sources = self.segments.ranges().flat_map(|range| {
            let (start, len) = (range.start, range.len());
            (0..self.longest).map(move |i| start + if i < len { i } else { 0 })
        });
        let sources = indices::<B>(sources, &x);
        self.split_heads::<B>(B::float_select(x, 0, sources), self.longest, width)
    }

    /// As [`pad`](Self::pad), with zeros for padding.
    fn pad_with_zeros<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let kept = self.per_place::<B>(&x, [1.0, 0.0], |s, l| [s, 1, l, 1]);
        B::float_mul(self.pad::<B>(x), kept)
    }

    /// The `N` tensors of equal width that are concatenated in `x`, each padded.
    fn pad_parts<B: Backend, const N: usize>(&self, x: FloatTensor<B>) -> [FloatTensor<B>; N] {
        let width = x.shape()[1] / N;
        std::array::from_fn(|i| self.pad::<B>(columns::<B>(x.clone(), i * width, width)))
    }

    /// One row per segment, `[S, H]`, as `[S, heads, 1, d]`.
    fn single<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let width = x.shape()[1];
        self.split_heads::<B>(x, 1, width)
    }

    /// Rows `[S * length, width]` as `[S, heads, length, d]`.
    fn split_heads<B: Backend>(
        &self,
        x: FloatTensor<B>,
        length: usize,
        width: usize,
    ) -> FloatTensor<B> {
        let shape = [self.segments.len(), length, self.heads, width / self.heads];
        B::float_swap_dims(B::float_reshape(x, Shape::new(shape)), 1, 2)
    }

    /// `[S, heads, length, d]` as rows `[S * length, H]`.
    fn merge_heads<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let [s, heads, length, d] = x.shape().dims();
        B::float_reshape(B::float_swap_dims(x, 1, 2), Shape::new([s * length, heads * d]))
    }

    /// Padded `[S, heads, L, d]` to packed `[T, H]`.
    fn unpad<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let flat = self.merge_heads::<B>(x);
        let sources = self
            .segments
            .ranges()
            .enumerate()
            .flat_map(|(s, range)| (0..range.len()).map(move |i| s * self.longest + i));
        let sources = indices::<B>(sources, &flat);
        B::float_select(flat, 0, sources)
    }

    /// One of two values for each position of the padded batch: for tokens, or for padding.
    fn per_place<B: Backend>(
        &self,
        like: &FloatTensor<B>,
        [token, padding]: [f32; 2],
        shape: impl Fn(usize, usize) -> [usize; 4],
    ) -> FloatTensor<B> {
        let values: Vec<f32> = self
            .segments
            .ranges()
            .flat_map(|range| {
                (0..self.longest).map(move |i| if i < range.len() { token } else { padding })
            })
            .collect();
        let data = TensorData::new(values, shape(self.segments.len(), self.longest));
        B::float_from_data(data.convert_dtype(like.dtype()), &like.device())
    }

    /// The mask of keys that are not near a query: `[S, 1, L, L]`. The padding's rows attend to all keys.
    fn near<B: Backend>(
        &self,
        like: &FloatTensor<B>,
        window: &Window,
        first: usize,
    ) -> FloatTensor<B> {
        let (count, longest) = (self.segments.len(), self.longest);
        let mut values = Vec::with_capacity(count * longest * longest);
        for range in self.segments.ranges() {
            let (start, len) = (first + range.start, range.len());
            for i in 0..longest {
                let seen = |j| j < len && (i >= len || window.sees(start + i, start + j));
                values.extend((0..longest).map(|j| if seen(j) { 0.0 } else { MASKED }));
            }
        }
        let data = TensorData::new(values, [count, 1, longest, longest]);
        B::float_from_data(data.convert_dtype(like.dtype()), &like.device())
    }

    /// `q k^T / sqrt d`, with keys of the padding masked: `[S, heads, Lq, L]`.
    fn scores<B: Backend>(&self, q: FloatTensor<B>, k: FloatTensor<B>) -> FloatTensor<B> {
        let mask = match self.window {
            None => self.per_place::<B>(&k, [0.0, MASKED], |s, l| [s, 1, 1, l]),
            Some((window, first)) => self.near::<B>(&k, window, first),
        };
        let scale = scale(q.shape()[3]);
        let products = B::float_matmul(q, B::float_transpose(k));
        B::float_add(B::float_mul_scalar(products, scale.into()), mask)
    }
}

fn scale(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}

/// Softmax along the last dimension applied to `v`, and the log of its denominator.
fn attend<B: Backend>(
    scores: FloatTensor<B>,
    v: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    // The maximum is a constant for the gradient, because softmax is invariant under shifts.
    let largest = B::float_detach(B::float_max_dim(scores.clone(), 3));
    let exps = B::float_exp(B::float_sub(scores, largest.clone()));
    let sums = B::float_sum_dim(exps.clone(), 3);
    let out = B::float_matmul(B::float_div(exps, sums.clone()), v);
    (out, B::float_add(B::float_log(sums), largest))
}

/// Gradients with respect to padded `q`, `k` and `v` (all `[S, heads, length, d]`).
fn attend_backward<B: Backend>(
    padding: &Padding,
    g: FloatTensor<B>,
    [q, k, v]: [FloatTensor<B>; 3],
    out: FloatTensor<B>,
    log_sums: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let scale = scale(q.shape()[3]);
    let scores = padding.scores::<B>(q.clone(), k.clone());
    let weights = B::float_exp(B::float_sub(scores, log_sums));
    let dv = B::float_matmul(B::float_transpose(weights.clone()), g.clone());
    let dweights = B::float_matmul(g.clone(), B::float_transpose(v));
    let common = B::float_sum_dim(B::float_mul(g, out), 3);
    let dscores = B::float_mul(weights, B::float_sub(dweights, common));
    let dscores = B::float_mul_scalar(dscores, scale.into());
    let dk = B::float_matmul(B::float_transpose(dscores.clone()), q);
    [B::float_matmul(dscores, k), dk, dv]
}

pub(super) fn attention<B: Backend>(
    qkv: FloatTensor<B>,
    segments: &Segments,
    heads: usize,
    window: Option<&Window>,
) -> AttentionForward<B> {
    let [out, log_sums] = by_runs::<B, 2>(segments, heads, |run| {
        let window = window.map(|window| (window, run.first_row));
        let padding = Padding { window, ..Padding::new(&run.segments, heads) };
        let [q, k, v] = padding.pad_parts::<B, 3>(run.tokens::<B>(&qkv));
        let (out, log_sums) = attend::<B>(padding.scores::<B>(q, k), v);
        [padding.unpad::<B>(out), padding.unpad::<B>(log_sums)]
    });
    AttentionForward { out, log_sums }
}

pub(super) fn attention_backward<B: Backend>(
    g: FloatTensor<B>,
    saved: AttentionSaved<B>,
) -> FloatTensor<B> {
    let AttentionSaved { qkv, out, log_sums, segments, heads, window } = saved;
    let [grad] = by_runs::<B, 1>(&segments, heads, |run| {
        let window = window.as_ref().map(|window| (window, run.first_row));
        let padding = Padding { window, ..Padding::new(&run.segments, heads) };
        let grads = attend_backward::<B>(
            &padding,
            padding.pad_with_zeros::<B>(run.tokens::<B>(&g)),
            padding.pad_parts::<B, 3>(run.tokens::<B>(&qkv)),
            padding.pad::<B>(run.tokens::<B>(&out)),
            padding.pad::<B>(run.tokens::<B>(&log_sums)),
        );
        [B::float_cat(grads.map(|grad| padding.unpad::<B>(grad)).into(), 1)]
    });
    grad
}

pub(super) fn attention_cls<B: Backend>(
    q: FloatTensor<B>,
    kv: FloatTensor<B>,
    segments: &Segments,
    heads: usize,
) -> AttentionForward<B> {
    let [out, log_sums] = by_runs::<B, 2>(segments, heads, |run| {
        let padding = Padding::new(&run.segments, heads);
        let [k, v] = padding.pad_parts::<B, 2>(run.tokens::<B>(&kv));
        let q = padding.single::<B>(run.sequences::<B>(&q));
        let (out, log_sums) = attend::<B>(padding.scores::<B>(q, k), v);
        [padding.merge_heads::<B>(out), padding.merge_heads::<B>(log_sums)]
    });
    AttentionForward { out, log_sums }
}

pub(super) fn attention_cls_backward<B: Backend>(
    g: FloatTensor<B>,
    saved: ClsAttentionSaved<B>,
) -> ClsAttentionGrads<B> {
    let ClsAttentionSaved { q, kv, out, log_sums, segments, heads } = saved;
    let [dq, dkv] = by_runs::<B, 2>(&segments, heads, |run| {
        let padding = Padding::new(&run.segments, heads);
        let [k, v] = padding.pad_parts::<B, 2>(run.tokens::<B>(&kv));
        let [g, q, out, log_sums] =
            [&g, &q, &out, &log_sums].map(|x| padding.single::<B>(run.sequences::<B>(x)));
        let [dq, dk, dv] = attend_backward::<B>(&padding, g, [q, k, v], out, log_sums);
        let dkv = [dk, dv].map(|grad| padding.unpad::<B>(grad));
        [padding.merge_heads::<B>(dq), B::float_cat(dkv.into(), 1)]
    });
    ClsAttentionGrads { q: dq, kv: dkv }
}
