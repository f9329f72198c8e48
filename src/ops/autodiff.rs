//! One backward step per operation, over whichever backend computes it.
//!
//! A step computes gradients only for the inputs that are tracked: activations and low-rank
//! factors. Base weights are frozen; an operation whose base weight is tracked none the less
//! refuses, because its gradient would silently be missing.

use burn::backend::Backend;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::{LoraPlan, LorbOps, Segments};

type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

/// Takes frozen tensors out of the graph.
fn frozen<B: Backend, C: CheckpointStrategy, const N: usize>(
    tensors: [Tracked<B, C>; N],
) -> [FloatTensor<B>; N] {
    tensors.map(|tensor| {
        assert!(
            !tensor.is_tracked(),
            "base weights are frozen: this operation has no gradient by them"
        );
        tensor.into_primitive()
    })
}

/// What a `_forward`, `_backward` or `_grads` method says on the differentiable backend.
fn first_order_only() -> ! {
    unreachable!("steps of a backward pass are not differentiable: call them on the inner backend")
}

/// Declares a backward step: its name, its number of parents, what it keeps, and the body, which
/// receives the backend, the output's gradient, the kept state and the parents.
macro_rules! backward_step {
    ($name:ident<$n:literal>, $state:ty, |$grad:ident, $kept:pat_param, $parents:pat_param, $grads:ident| $body:block) => {
        #[derive(Debug)]
        struct $name;
        impl<B: LorbOps> Backward<B, $n> for $name {
            type State = $state;
            fn backward(
                self,
                ops: Ops<Self::State, $n>,
                $grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let $grad = $grads.consume::<B>(&ops.node);
                let ($kept, $parents) = (ops.state, ops.parents);
                $body
            }
        }
    };
}

type F<B> = FloatTensor<B>;

backward_step!(LinearStep<1>, F<B>, |g, w, [x], grads| {
    if let Some(x) = x {
        grads.register::<B>(x.id, B::frozen_linear_backward(g, w));
    }
});

backward_step!(
    LoraLinearStep<3>,
    (F<B>, F<B>, F<B>, F<B>, F<B>, LoraPlan),
    |g, (x, u, w, a, b, plan), [to_x, to_a, to_b], grads| {
        let (v, da, db) = B::lora_grads(g.clone(), x, u, b, plan);
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::lora_linear_backward(g, w, v, a));
        }
        if let Some(a) = to_a {
            grads.register::<B>(a.id, da);
        }
        if let Some(b) = to_b {
            grads.register::<B>(b.id, db);
        }
    }
);

backward_step!(
    LoraAddStep<4>,
    (F<B>, F<B>, F<B>, F<B>, LoraPlan),
    |g, (x, u, a, b, plan), [to_base, to_x, to_a, to_b], grads| {
        let (v, da, db) = B::lora_grads(g.clone(), x, u, b, plan);
        if let Some(base) = to_base {
            grads.register::<B>(base.id, g);
        }
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::frozen_linear_backward(v, a));
        }
        if let Some(a) = to_a {
            grads.register::<B>(a.id, da);
        }
        if let Some(b) = to_b {
            grads.register::<B>(b.id, db);
        }
    }
);

backward_step!(
    AttentionStep<1>,
    (F<B>, F<B>, F<B>, Segments, usize),
    |g, (qkv, out, log_sums, segments, heads), [to], grads| {
        if let Some(to) = to {
            let grad = B::packed_attention_backward(g, qkv, out, log_sums, segments, heads);
            grads.register::<B>(to.id, grad);
        }
    }
);

backward_step!(
    AttentionClsStep<2>,
    (F<B>, F<B>, F<B>, F<B>, Segments, usize),
    |g, (q, kv, out, log_sums, segments, heads), [to_q, to_kv], grads| {
        let (dq, dkv) = B::attention_cls_backward(g, q, kv, out, log_sums, segments, heads);
        if let Some(q) = to_q {
            grads.register::<B>(q.id, dq);
        }
        if let Some(kv) = to_kv {
            grads.register::<B>(kv.id, dkv);
        }
    }
);

backward_step!(
    AddLayerNormStep<2>,
    (F<B>, F<B>, F<B>),
    |g, (normalised, inverse_deviation, gamma), [to_x, to_residual], grads| {
        let grad = B::add_layer_norm_backward(g, normalised, inverse_deviation, gamma);
        for parent in [to_x, to_residual].into_iter().flatten() {
            grads.register::<B>(parent.id, grad.clone());
        }
    }
);

backward_step!(GeluStep<1>, F<B>, |g, x, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::gelu_erf_backward(g, x));
    }
});

backward_step!(GatherClsStep<1>, Segments, |g, segments, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::scatter_cls(g, segments));
    }
});

impl<B: LorbOps, C: CheckpointStrategy> LorbOps for Autodiff<B, C> {
    fn embed_layer_norm(
        words: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        types: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        tokens: IntTensor<Self>,
        places: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [words, positions, types, gamma, beta] =
            frozen::<B, C, _>([words, positions, types, gamma, beta]);
        let out =
            B::embed_layer_norm(words, positions, types, gamma, beta, tokens, places, epsilon);
        <Self as burn::backend::AutodiffBackend>::from_inner(out)
    }

    fn frozen_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [w, bias] = frozen::<B, C, _>([w, bias]);
        match LinearStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                step.finish(w.clone(), B::frozen_linear(x.into_primitive(), w, bias))
            }
            OpsKind::UnTracked(step) => step.finish(B::frozen_linear(x.into_primitive(), w, bias)),
        }
    }

    fn lora_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        let [w, bias] = frozen::<B, C, _>([w, bias]);
        let nodes = [x.node(), a.node(), b.node()];
        let (x, a, b) = (x.into_primitive(), a.into_primitive(), b.into_primitive());
        match LoraLinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (y, u) = B::lora_linear_forward(
                    x.clone(),
                    w.clone(),
                    bias,
                    a.clone(),
                    b.clone(),
                    plan.clone(),
                );
                step.finish((x, u, w, a, b, plan), y)
            }
            OpsKind::UnTracked(step) => step.finish(B::lora_linear(x, w, bias, a, b, plan)),
        }
    }

    fn lora_add(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        let nodes = [base.node(), x.node(), a.node(), b.node()];
        let [base, x, a, b] = [base, x, a, b].map(|tensor| tensor.into_primitive());
        match LoraAddStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (y, u) =
                    B::lora_add_forward(base, x.clone(), a.clone(), b.clone(), plan.clone());
                step.finish((x, u, a, b, plan), y)
            }
            OpsKind::UnTracked(step) => step.finish(B::lora_add(base, x, a, b, plan)),
        }
    }

    fn packed_attention(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let qkv = qkv.into_primitive();
        match AttentionStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (out, log_sums) =
                    B::packed_attention_forward(qkv.clone(), segments.clone(), heads);
                step.finish((qkv, out.clone(), log_sums, segments, heads), out)
            }
            OpsKind::UnTracked(step) => step.finish(B::packed_attention(qkv, segments, heads)),
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
                let (out, log_sums) =
                    B::attention_cls_forward(q.clone(), kv.clone(), segments.clone(), heads);
                step.finish((q, kv, out.clone(), log_sums, segments, heads), out)
            }
            OpsKind::UnTracked(step) => step.finish(B::attention_cls(q, kv, segments, heads)),
        }
    }

    fn add_layer_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let [gamma, beta] = frozen::<B, C, _>([gamma, beta]);
        let nodes = [x.node(), residual.node()];
        let (x, residual) = (x.into_primitive(), residual.into_primitive());
        match AddLayerNormStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (y, normalised, inverse) =
                    B::add_layer_norm_forward(x, residual, gamma.clone(), beta, epsilon);
                step.finish((normalised, inverse, gamma), y)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::add_layer_norm(x, residual, gamma, beta, epsilon))
            }
        }
    }

    fn gelu_erf(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GeluStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(x.clone(), B::gelu_erf(x)),
            OpsKind::UnTracked(step) => step.finish(B::gelu_erf(x)),
        }
    }

    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GatherClsStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(segments.clone(), B::gather_cls(x, segments)),
            OpsKind::UnTracked(step) => step.finish(B::gather_cls(x, segments)),
        }
    }

    fn frozen_linear_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        first_order_only()
    }

    fn lora_linear_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn lora_add_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn lora_grads(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn lora_linear_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn packed_attention_forward(
        _: FloatTensor<Self>,
        _: Segments,
        _: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn packed_attention_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Segments,
        _: usize,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn attention_cls_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Segments,
        _: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn attention_cls_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Segments,
        _: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn add_layer_norm_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn add_layer_norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn gelu_erf_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        first_order_only()
    }

    fn scatter_cls(_: FloatTensor<Self>, _: Segments) -> FloatTensor<Self> {
        first_order_only()
    }
}
