//! Attention within the segments of a packed batch: one task per segment, one head at a time, with all operands of a
//! head in a scratch buffer that fits the cache.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{
    Attention, AttentionForward, AttentionKernels, AttentionSaved, ClsAttentionGrads,
    ClsAttentionSaved,
};
use crate::ops::Segments;
use crate::ops::cpu::buffer::{dims, matrix, values};
use crate::ops::cpu::math::exp;
use crate::ops::cpu::parallel;
use crate::ops::places::Window;

/// Widths are padded to this many floats, so that inner loops have no remainder.
const LANES: usize = 16;
/// Rows computed together, to reuse each loaded operand.
const ROWS: usize = 4;

/// One head's rows of an operand, copied out of the packed tensor.
struct Head {
    /// `[rows, padded width]`, row-major, zeros beyond the width.
    data: Vec<f32>,
    rows: usize,
    stride: usize,
}

impl Head {
    #[inline(always)]
    fn zeros(rows: usize, width: usize) -> Self {
        let stride = width.next_multiple_of(LANES);
        Self { data: vec![0.0; rows * stride], rows, stride }
    }

    /// Columns `column..column + width` of rows of `source_stride` floats.
    #[inline(always)]
    fn copy(source: &[f32], source_stride: usize, column: usize, width: usize) -> Self {
        let mut head = Self::zeros(source.len() / source_stride, width);
        for (to, from) in
            head.data.chunks_exact_mut(head.stride).zip(source.chunks_exact(source_stride))
        {
            to[..width].copy_from_slice(&from[column..column + width]);
        }
        head
    }

    /// `[width, rows]` of `[rows, width]`.
    #[inline(always)]
    fn transposed(&self, width: usize) -> Self {
        let mut head = Self::zeros(width, self.rows);
        for row in 0..self.rows {
            for column in 0..width {
                head.data[column * head.stride + row] = self.data[row * self.stride + column];
            }
        }
        head
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.stride..][..self.stride]
    }

    #[inline(always)]
    fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.stride..][..self.stride]
    }

    /// Writes the first `width` columns of each row into a packed tensor's rows.
    #[inline(always)]
    fn store(&self, target: &mut [f32], target_stride: usize, column: usize, width: usize) {
        for (row, to) in target.chunks_exact_mut(target_stride).enumerate() {
            to[column..column + width].copy_from_slice(&self.row(row)[..width]);
        }
    }
}

/// `out = scale * left right`, where `left(i, k)` is an element of the left operand.
#[inline(always)]
fn multiply(
    out: &mut Head,
    inner: usize,
    left: impl Fn(usize, usize) -> f32,
    right: &Head,
    scale: f32,
) {
    let whole = out.rows - out.rows % ROWS;
    for first in (0..whole).step_by(ROWS) {
        multiply_rows::<ROWS>(out, first, inner, &left, right, scale);
    }
    for row in whole..out.rows {
        multiply_rows::<1>(out, row, inner, &left, right, scale);
    }
}

#[inline(always)]
fn multiply_rows<const N: usize>(
    out: &mut Head,
    first: usize,
    inner: usize,
    left: &impl Fn(usize, usize) -> f32,
    right: &Head,
    scale: f32,
) {
    for column in (0..right.stride).step_by(LANES) {
        let mut sums = [[0.0f32; LANES]; N];
        for k in 0..inner {
            let right = &right.data[k * right.stride + column..][..LANES];
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = left(first + i, k);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum += left * right;
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let to = &mut out.row_mut(first + i)[column..column + LANES];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum * scale);
        }
    }
}

/// Converts scores to weights that sum to 1; returns the log of the denominator.
#[inline(always)]
fn softmax(scores: &mut [f32], keys: usize) -> f32 {
    let largest = scores[..keys].iter().copied().fold(f32::MIN, f32::max);
    scores[..keys].iter_mut().for_each(|score| *score = exp(*score - largest));
    scores[keys..].fill(0.0);
    let sum: f32 = scores[..keys].iter().sum();
    scores[..keys].iter_mut().for_each(|score| *score /= sum);
    largest + sum.ln()
}

/// The operands of one segment, and the columns of each head.
struct Segment<'a> {
    /// Query rows, `q_stride` floats each; head `h` at `h * width`.
    q: &'a [f32],
    q_stride: usize,
    /// Key and value rows, `kv_stride` floats each.
    kv: &'a [f32],
    kv_stride: usize,
    /// First column of the keys, and of the values.
    k_column: usize,
    v_column: usize,
    heads: usize,
    /// Columns of a head, d.
    width: usize,
    /// What its rows attend to, and the number of its first row.
    window: Option<(&'a Window, usize)>,
}

impl Segment<'_> {
    #[inline(always)]
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    #[inline(always)]
    fn head(&self, h: usize) -> [Head; 3] {
        let at = h * self.width;
        [
            Head::copy(self.q, self.q_stride, at, self.width),
            Head::copy(self.kv, self.kv_stride, self.k_column + at, self.width),
            Head::copy(self.kv, self.kv_stride, self.v_column + at, self.width),
        ]
    }

    /// Sets the scores of keys that row `i` does not attend to so low that their weights are 0.
    #[inline(always)]
    fn hide_far(&self, i: usize, scores: &mut [f32]) {
        if let Some((window, first)) = self.window {
            for (j, score) in scores.iter_mut().enumerate() {
                if !window.sees(first + i, first + j) {
                    *score = f32::MIN;
                }
            }
        }
    }

    #[inline(always)]
    fn forward(&self, out: &mut [f32], log_sums: &mut [f32]) {
        for h in 0..self.heads {
            let [q, k, v] = self.head(h);
            let mut weights = Head::zeros(q.rows, k.rows);
            let left = |i: usize, c: usize| q.data[i * q.stride + c];
            multiply(&mut weights, self.width, left, &k.transposed(self.width), self.scale());
            for i in 0..q.rows {
                self.hide_far(i, &mut weights.row_mut(i)[..k.rows]);
                log_sums[i * self.heads + h] = softmax(weights.row_mut(i), k.rows);
            }
            let mut product = Head::zeros(q.rows, self.width);
            let left = |i: usize, j: usize| weights.data[i * weights.stride + j];
            multiply(&mut product, k.rows, left, &v, 1.0);
            product.store(out, self.heads * self.width, h * self.width, self.width);
        }
    }

    /// Writes the gradients of queries, keys and values at the positions of the operands.
    #[inline(always)]
    fn backward(&self, g: &[f32], out: &[f32], log_sums: &[f32], grads: &mut SegmentGrads) {
        let whole = self.heads * self.width;
        for h in 0..self.heads {
            let [q, k, v] = self.head(h);
            let at = h * self.width;
            let g = Head::copy(g, whole, at, self.width);
            let out = Head::copy(out, whole, at, self.width);

            let mut weights = Head::zeros(q.rows, k.rows);
            let left = |i: usize, c: usize| q.data[i * q.stride + c];
            multiply(&mut weights, self.width, left, &k.transposed(self.width), self.scale());
            let mut dscores = Head::zeros(q.rows, k.rows);
            let left = |i: usize, c: usize| g.data[i * g.stride + c];
            multiply(&mut dscores, self.width, left, &v.transposed(self.width), 1.0);
            for i in 0..q.rows {
                let log_sum = log_sums[i * self.heads + h];
                let common: f32 = g.row(i).iter().zip(out.row(i)).map(|(g, o)| g * o).sum();
                let weights = weights.row_mut(i);
                self.hide_far(i, &mut weights[..k.rows]);
                weights[..k.rows].iter_mut().for_each(|w| *w = exp(*w - log_sum));
                weights[k.rows..].fill(0.0);
                for (d, w) in dscores.row_mut(i).iter_mut().zip(weights) {
                    *d = *w * (*d - common);
                }
            }

            let mut dq = Head::zeros(q.rows, self.width);
            let left = |i: usize, j: usize| dscores.data[i * dscores.stride + j];
            multiply(&mut dq, k.rows, left, &k, self.scale());
            dq.store(grads.q, grads.q_stride, at, self.width);
            let mut dk = Head::zeros(k.rows, self.width);
            let left = |j: usize, i: usize| dscores.data[i * dscores.stride + j];
            multiply(&mut dk, q.rows, left, &q, self.scale());
            let mut dv = Head::zeros(k.rows, self.width);
            let left = |j: usize, i: usize| weights.data[i * weights.stride + j];
            multiply(&mut dv, q.rows, left, &g, 1.0);
            grads.store_kv(self, h, &dk, &dv);
        }
    }
}

/// Destinations of the gradients of one segment.
struct SegmentGrads<'a> {
    q: &'a mut [f32],
    q_stride: usize,
    /// Absent if queries, keys and values are one tensor: all gradients then go to `q`.
    kv: Option<&'a mut [f32]>,
}

impl SegmentGrads<'_> {
    #[inline(always)]
    fn store_kv(&mut self, segment: &Segment, h: usize, dk: &Head, dv: &Head) {
        let kv: &mut [f32] = match &mut self.kv {
            Some(kv) => kv,
            None => self.q,
        };
        let at = h * segment.width;
        dk.store(kv, segment.kv_stride, segment.k_column + at, segment.width);
        dv.store(kv, segment.kv_stride, segment.v_column + at, segment.width);
    }
}

/// The operands of segment `range` if `qkv` is one tensor of `3H` columns.
fn fused<'a>(
    qkv: &'a [f32],
    range: std::ops::Range<usize>,
    heads: usize,
    h: usize,
    window: Option<&'a Window>,
) -> Segment<'a> {
    let rows = &qkv[range.start * 3 * h..range.end * 3 * h];
    Segment {
        q: rows,
        q_stride: 3 * h,
        kv: rows,
        kv_stride: 3 * h,
        k_column: h,
        v_column: 2 * h,
        heads,
        width: h / heads,
        window: window.map(|window| (window, range.start)),
    }
}

/// The operands of segment `s` of rows `range` with one query row.
fn single<'a>(
    q: &'a [f32],
    kv: &'a [f32],
    s: usize,
    range: std::ops::Range<usize>,
    heads: usize,
    h: usize,
) -> Segment<'a> {
    Segment {
        q: &q[s * h..][..h],
        q_stride: h,
        kv: &kv[range.start * 2 * h..range.end * 2 * h],
        kv_stride: 2 * h,
        k_column: 0,
        v_column: h,
        heads,
        width: h / heads,
        window: None,
    }
}

impl Attention for Flex {
    fn packed_attention(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> FloatTensor<Self> {
        Self::packed_attention_forward(qkv, segments, heads, window).out
    }

    fn attention_cls(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        Self::attention_cls_forward(q, kv, segments, heads).out
    }
}

impl AttentionKernels for Flex {
    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> AttentionForward<Self> {
        let (t, columns) = dims(&qkv);
        let h = columns / 3;
        let qkv = values(&qkv);
        let (mut out, mut log_sums) = (vec![0.0; t * h], vec![0.0; t * heads]);
        let outs = parallel::split_rows(&mut out, h, segments.ranges());
        let sums = parallel::split_rows(&mut log_sums, heads, segments.ranges());
        parallel::each(outs.into_iter().zip(sums).collect(), |s, (out, log_sums)| {
            let segment = fused(&qkv, segments.range(s), heads, h, window.as_ref());
            Arch::new().dispatch(|| segment.forward(out, log_sums));
        });
        AttentionForward { out: matrix(out, t, h), log_sums: matrix(log_sums, t, heads) }
    }

    fn packed_attention_backward(
        g: FloatTensor<Self>,
        saved: AttentionSaved<Self>,
    ) -> FloatTensor<Self> {
        let AttentionSaved { qkv, out, log_sums, segments, heads, window } = saved;
        let (t, h) = dims(&g);
        let (g, qkv, out, log_sums) = (values(&g), values(&qkv), values(&out), values(&log_sums));
        let mut grads = vec![0.0; t * 3 * h];
        parallel::each(parallel::split_rows(&mut grads, 3 * h, segments.ranges()), |s, grads| {
            let range = segments.range(s);
            let (rows, sums) =
                (range.start * h..range.end * h, range.start * heads..range.end * heads);
            let mut grads = SegmentGrads { q: grads, q_stride: 3 * h, kv: None };
            let segment = fused(&qkv, range, heads, h, window.as_ref());
            Arch::new().dispatch(|| {
                segment.backward(
                    &g[rows.clone()],
                    &out[rows.clone()],
                    &log_sums[sums.clone()],
                    &mut grads,
                );
            });
        });
        matrix(grads, t, 3 * h)
    }

    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> AttentionForward<Self> {
        let (s, h) = dims(&q);
        let (q, kv) = (values(&q), values(&kv));
        let (mut out, mut log_sums) = (vec![0.0; s * h], vec![0.0; s * heads]);
        let rows = out.chunks_mut(h).zip(log_sums.chunks_mut(heads));
        parallel::each(rows.collect(), |s, (out, log_sums)| {
            let segment = single(&q, &kv, s, segments.range(s), heads, h);
            Arch::new().dispatch(|| segment.forward(out, log_sums));
        });
        AttentionForward { out: matrix(out, s, h), log_sums: matrix(log_sums, s, heads) }
    }

    fn attention_cls_backward(
        g: FloatTensor<Self>,
        saved: ClsAttentionSaved<Self>,
    ) -> ClsAttentionGrads<Self> {
        let ClsAttentionSaved { q, kv, out, log_sums, segments, heads } = saved;
        let ((s, h), (t, _)) = (dims(&q), dims(&kv));
        let (g, out, log_sums) = (values(&g), values(&out), values(&log_sums));
        let (q, kv) = (values(&q), values(&kv));
        let (mut dq, mut dkv) = (vec![0.0; s * h], vec![0.0; t * 2 * h]);
        let rows = dq.chunks_mut(h).zip(parallel::split_rows(&mut dkv, 2 * h, segments.ranges()));
        parallel::each(rows.collect(), |s, (dq, dkv)| {
            let segment = single(&q, &kv, s, segments.range(s), heads, h);
            let mut grads = SegmentGrads { q: dq, q_stride: h, kv: Some(dkv) };
            let (row, sums) = (s * h..(s + 1) * h, s * heads..(s + 1) * heads);
            Arch::new().dispatch(|| {
                segment.backward(
                    &g[row.clone()],
                    &out[row.clone()],
                    &log_sums[sums.clone()],
                    &mut grads,
                );
            });
        });
        ClsAttentionGrads { q: matrix(dq, s, h), kv: matrix(dkv, t, 2 * h) }
    }
}
