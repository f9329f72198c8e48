//! Attention within segments, and attention of `[CLS]` only.

use burn_cubecl::tensor::CubeTensor;

use super::kernel::{
    Groups, Head, attention, attention_backward, attention_cls, attention_cls_backward,
};
use super::launch::{aligned, dims, empty, launch, upload};
use crate::ops::Segments;

/// Segments in the form that the shaders read.
#[derive(Clone)]
pub(super) struct SegmentBuffers {
    /// First row of each segment, and the end of the last.
    pub offsets: CubeTensor,
    /// For each row the first row and the end of its segment.
    pub bounds: CubeTensor,
}

impl SegmentBuffers {
    /// Those of `segments` on the device of `like`, uploaded once per batch.
    pub fn of(segments: &Segments, like: &CubeTensor) -> Self {
        let make = || Self::upload(segments, like);
        match segments.on_device(make) {
            Some(buffers) if buffers.offsets.device == like.device => buffers.clone(),
            _ => make(),
        }
    }

    fn upload(segments: &Segments, like: &CubeTensor) -> Self {
        let bounds: Vec<u32> = segments
            .ranges()
            .flat_map(|range| {
                let pair = [range.start as u32, range.end as u32];
                std::iter::repeat_n(pair, range.len()).flatten()
            })
            .collect();
        Self { offsets: upload(segments.offsets(), like), bounds: upload(&bounds, like) }
    }
}

/// Widest head that the shaders hold in registers.
pub const WIDEST_HEAD: usize = 128;

/// The axes of the variant for a head: the smallest that it fits, and whether the head has just its size and
/// all tensors begin at quads.
fn choose(head: u32, tensors: &[&CubeTensor]) -> (Head, bool) {
    let fit = Head::ALL.into_iter().find(|fit| head <= fit.size()).expect("checked by the caller");
    (fit, head == fit.size() && tensors.iter().all(|tensor| aligned(tensor)))
}

/// Head width, and the factor on its scores.
fn head_and_scale(width: u32, heads: u32) -> (u32, f32) {
    let head = width / heads;
    (head, 1.0 / (head as f32).sqrt())
}

/// The output, and the log-sums.
pub(super) fn attention(
    qkv: &CubeTensor,
    segments: &Segments,
    heads: usize,
) -> (CubeTensor, CubeTensor) {
    use attention as shader;
    let ((rows, columns), count) = (dims(qkv), heads as u32);
    let (head, scale) = head_and_scale(columns / 3, count);
    let out = empty([rows as usize, columns as usize / 3], qkv);
    let log_sums = empty([rows as usize, heads], qkv);
    let bounds = SegmentBuffers::of(segments, qkv).bounds;
    let (fit, exact) = choose(head, &[qkv]);
    let kernel = shader::variant(fit, exact);
    let call = shader::Arguments {
        qkv,
        bounds: &bounds,
        out: &out,
        log_sums: &log_sums,
        rows,
        heads: count,
        head,
        scale,
    };
    launch(kernel, &call, Groups::linear(rows.div_ceil(kernel.constant("ROWS")) * count));
    (out, log_sums)
}

/// Gradient by `qkv`.
pub(super) fn attention_backward(
    g: &CubeTensor,
    qkv: &CubeTensor,
    out: &CubeTensor,
    log_sums: &CubeTensor,
    segments: &Segments,
    heads: usize,
) -> CubeTensor {
    use attention_backward as shader;
    let ((rows, columns), count) = (dims(qkv), heads as u32);
    let (head, scale) = head_and_scale(columns / 3, count);
    let dqkv = empty([rows as usize, columns as usize], qkv);
    let bounds = SegmentBuffers::of(segments, qkv).bounds;
    let (fit, exact) = choose(head, &[g, qkv, out]);
    let kernel = shader::variant(fit, exact);
    let call = shader::Arguments {
        g,
        qkv,
        out,
        log_sums,
        bounds: &bounds,
        dqkv: &dqkv,
        rows,
        heads: count,
        head,
        scale,
    };
    // Three parts: the gradients of queries, keys and values.
    launch(kernel, &call, Groups::linear(rows.div_ceil(kernel.constant("ROWS")) * count * 3));
    dqkv
}

/// The output for each segment's first row, and the log-sums.
pub(super) fn attention_cls(
    q: &CubeTensor,
    kv: &CubeTensor,
    segments: &Segments,
    heads: usize,
) -> (CubeTensor, CubeTensor) {
    use attention_cls as shader;
    let ((sequences, width), count) = (dims(q), heads as u32);
    let (head, scale) = head_and_scale(width, count);
    let out = empty([sequences as usize, width as usize], q);
    let log_sums = empty([sequences as usize, heads], q);
    let offsets = SegmentBuffers::of(segments, q).offsets;
    let (fit, exact) = choose(head, &[q, kv]);
    let kernel = shader::variant(fit, exact);
    let call = shader::Arguments {
        q,
        kv,
        offsets: &offsets,
        out: &out,
        log_sums: &log_sums,
        segments: sequences,
        heads: count,
        head,
        scale,
    };
    launch(kernel, &call, Groups::linear(sequences * count));
    (out, log_sums)
}

/// Gradients by `q` and by `kv`.
pub(super) fn attention_cls_backward(
    g: &CubeTensor,
    q: &CubeTensor,
    kv: &CubeTensor,
    log_sums: &CubeTensor,
    segments: &Segments,
    heads: usize,
) -> (CubeTensor, CubeTensor) {
    use attention_cls_backward as shader;
    let ((sequences, width), (rows, columns)) = (dims(q), dims(kv));
    let count = heads as u32;
    let (head, scale) = head_and_scale(width, count);
    let dq = empty([sequences as usize, width as usize], q);
    let dkv = empty([rows as usize, columns as usize], q);
    let offsets = SegmentBuffers::of(segments, q).offsets;
    let (fit, exact) = choose(head, &[g, q, kv]);
    let kernel = shader::variant(fit, exact);
    let call = shader::Arguments {
        g,
        q,
        kv,
        log_sums,
        offsets: &offsets,
        dq: &dq,
        dkv: &dkv,
        segments: sequences,
        heads: count,
        head,
        scale,
    };
    launch(kernel, &call, Groups::linear(sequences * count));
    (dq, dkv)
}
