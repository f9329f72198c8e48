//! Launches `attention*.wgsl`.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{
    Attention, AttentionForward, AttentionKernels, AttentionSaved, ClsAttentionGrads,
    ClsAttentionSaved, composed,
};
use crate::ops::Segments;
use crate::ops::places::Window;
use crate::ops::wgsl::kernel::{
    Groups, Head, attention, attention_backward, attention_cls, attention_cls_backward,
};
use crate::ops::wgsl::launch::{aligned, dims, empty, launch};
use crate::ops::wgsl::product::in_quads;
use crate::ops::wgsl::segments::SegmentBuffers;
use crate::ops::wgsl::tuning::{Processor, tuning};
use crate::ops::wgsl::{WEB, kernel_or_composed_if};

impl Attention for CubeBackend {
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

impl AttentionKernels for CubeBackend {
    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> AttentionForward<Self> {
        kernel_or_composed_if(
            fits(qkv.shape()[1] / 3, heads),
            qkv,
            |qkv| forward(&qkv, &segments, heads, window.as_ref()),
            |qkv| composed::attention::<Self>(qkv, &segments, heads, window.as_ref()),
        )
    }

    fn packed_attention_backward(
        g: FloatTensor<Self>,
        saved: AttentionSaved<Self>,
    ) -> FloatTensor<Self> {
        kernel_or_composed_if(
            fits(g.shape()[1], saved.heads),
            (g, saved),
            |(g, saved)| backward(&g, &saved),
            |(g, saved)| composed::attention_backward(g, saved),
        )
    }

    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> AttentionForward<Self> {
        kernel_or_composed_if(
            fits(q.shape()[1], heads),
            (q, kv),
            |(q, kv)| forward_cls(&q, &kv, &segments, heads),
            |(q, kv)| composed::attention_cls::<Self>(q, kv, &segments, heads),
        )
    }

    fn attention_cls_backward(
        g: FloatTensor<Self>,
        saved: ClsAttentionSaved<Self>,
    ) -> ClsAttentionGrads<Self> {
        kernel_or_composed_if(
            fits(g.shape()[1], saved.heads),
            (g, saved),
            |(g, saved)| backward_cls(&g, &saved),
            |(g, saved)| composed::attention_cls_backward(g, saved),
        )
    }
}

/// Whether a head of this width fits the kernels.
fn fits(width: usize, heads: usize) -> bool {
    WEB || width / heads <= WIDEST_HEAD
}

/// Maximum head width of the shaders for `[CLS]`.
pub const WIDEST_HEAD: usize = 128;

/// The axes of the variant for `[CLS]` and a head: the smallest size that fits, and whether the head has exactly this size and all
/// tensors start at quads.
fn choose(head: u32, tensors: &[&CubeTensor]) -> (Head, bool) {
    let fit = Head::ALL.into_iter().find(|fit| head <= fit.size()).expect("checked by the caller");
    (fit, head == fit.size() && tensors.iter().all(|tensor| aligned(tensor)))
}

/// Head width, and the factor on its scores.
fn head_and_scale(width: u32, heads: u32) -> (u32, f32) {
    let head = width / heads;
    (head, 1.0 / (head as f32).sqrt())
}

/// How many of the `heads` a workgroup computes on the device of `like`. A GPU needs many workgroups; on a software
/// adapter, starting one takes as long as computing it.
fn heads_each(like: &CubeTensor, heads: u32) -> u32 {
    match tuning(like).processor {
        Processor::Gpu => 1,
        Processor::Software => heads,
    }
}

/// Whether rows attend only to near ones, their positions on the device of `like`, and how far. Without a window, kernels
/// read neither, and `blocks` are bound in place of the positions.
fn limits(
    window: Option<&Window>,
    blocks: &CubeTensor,
    like: &CubeTensor,
) -> (bool, CubeTensor, u32) {
    match window {
        None => (false, blocks.clone(), 0),
        Some(window) => (true, window.places.on(like), window.reach as u32),
    }
}

fn forward(
    qkv: &CubeTensor,
    segments: &Segments,
    heads: usize,
    window: Option<&Window>,
) -> AttentionForward<CubeBackend> {
    use attention as shader;
    let ((rows, columns), count) = (dims(qkv), heads as u32);
    let (head, scale) = head_and_scale(columns / 3, count);
    let out = empty([rows as usize, columns as usize / 3], qkv);
    let log_sums = empty([rows as usize, heads], qkv);
    let SegmentBuffers { blocks, block_count, .. } = SegmentBuffers::of(segments, qkv);
    let each = heads_each(qkv, count);
    let (windowed, places, reach) = limits(window, &blocks, qkv);
    let kernel = shader::variant(in_quads(&[head], &[qkv]), windowed);
    let call = shader::Arguments {
        qkv,
        blocks: &blocks,
        places: &places,
        out: &out,
        log_sums: &log_sums,
        block_count,
        heads: count,
        head,
        each,
        reach,
        scale,
    };
    launch(kernel, &call, Groups::linear(block_count * count.div_ceil(each)));
    AttentionForward { out, log_sums }
}

fn backward(g: &CubeTensor, saved: &AttentionSaved<CubeBackend>) -> CubeTensor {
    use attention_backward as shader;
    let AttentionSaved { qkv, out, log_sums, segments, heads, window } = saved;
    let ((rows, columns), count) = (dims(qkv), *heads as u32);
    let (head, scale) = head_and_scale(columns / 3, count);
    let dqkv = empty([rows as usize, columns as usize], qkv);
    let SegmentBuffers { blocks, block_count, .. } = SegmentBuffers::of(segments, qkv);
    let each = heads_each(qkv, count);
    let (windowed, places, reach) = limits(window.as_ref(), &blocks, qkv);
    let kernel = shader::variant(in_quads(&[head], &[g, qkv, out]), windowed);
    let call = shader::Arguments {
        g,
        qkv,
        out,
        log_sums,
        blocks: &blocks,
        places: &places,
        dqkv: &dqkv,
        block_count,
        heads: count,
        head,
        each,
        reach,
        scale,
    };
    launch(kernel, &call, Groups::linear(block_count * count.div_ceil(each)));
    dqkv
}

fn forward_cls(
    q: &CubeTensor,
    kv: &CubeTensor,
    segments: &Segments,
    heads: usize,
) -> AttentionForward<CubeBackend> {
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
    AttentionForward { out, log_sums }
}

fn backward_cls(
    g: &CubeTensor,
    saved: &ClsAttentionSaved<CubeBackend>,
) -> ClsAttentionGrads<CubeBackend> {
    use attention_cls_backward as shader;
    let ClsAttentionSaved { q, kv, log_sums, segments, heads, .. } = saved;
    let ((sequences, width), (rows, columns)) = (dims(q), dims(kv));
    let count = *heads as u32;
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
    ClsAttentionGrads { q: dq, kv: dkv }
}
