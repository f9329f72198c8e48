//! Attention, differentiated.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use super::{Attention, AttentionForward, AttentionSaved, ClsAttentionSaved, cost};
use crate::ops::differentiate::backward_step;
use crate::ops::places::Window;
use crate::ops::{Kernels, Segments, record};

backward_step!(AttentionStep<1>, AttentionSaved<B>, |g, saved, [to], grads| {
    if let Some(to) = to {
        let operation = |(_, saved): &(_, AttentionSaved<B>)| saved.operation();
        let grad =
            record::run((g, saved), operation, |(g, saved)| B::packed_attention_backward(g, saved));
        grads.register::<B>(to.id, grad);
    }
});

backward_step!(AttentionClsStep<2>, ClsAttentionSaved<B>, |g, saved, [to_q, to_kv], grads| {
    let operation = |(_, saved): &(_, ClsAttentionSaved<B>)| saved.operation();
    let by = record::run((g, saved), operation, |(g, saved)| B::attention_cls_backward(g, saved));
    if let Some(q) = to_q {
        grads.register::<B>(q.id, by.q);
    }
    if let Some(kv) = to_kv {
        grads.register::<B>(kv.id, by.kv);
    }
});

impl<B: Kernels, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn packed_attention(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
        window: Option<Window>,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let qkv = qkv.into_primitive();
        match AttentionStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let near = window.clone();
                let AttentionForward { out, log_sums } = record::run(
                    (qkv.clone(), segments.clone()),
                    |(qkv, segments)| cost::forward::<B>(qkv, segments, heads, true),
                    move |(qkv, segments)| {
                        B::packed_attention_forward(qkv, segments, heads, near.clone())
                    },
                );
                let y = out.clone();
                step.finish(AttentionSaved { qkv, out, log_sums, segments, heads, window }, y)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::packed_attention(qkv, segments, heads, window))
            }
        }
    }

    fn attention_cls(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), kv.node()];
        let (q, kv) = (q.into_primitive(), kv.into_primitive());
        match AttentionClsStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let AttentionForward { out, log_sums } = record::run(
                    (q.clone(), kv.clone(), segments.clone()),
                    |(q, kv, _)| cost::cls_forward::<B>(q, kv, heads, true),
                    move |(q, kv, segments)| B::attention_cls_forward(q, kv, segments, heads),
                );
                let y = out.clone();
                step.finish(ClsAttentionSaved { q, kv, out, log_sums, segments, heads }, y)
            }
            OpsKind::UnTracked(step) => step.finish(B::attention_cls(q, kv, segments, heads)),
        }
    }
}
