//! One backward step per operation, over whichever backend computes it.
//!
//! A step computes gradients only for the inputs that are tracked: activations, low-rank factors, and
//! those tensors of the base that are trained. Where an operation has no gradient by a tensor, as the
//! adapted linear layers by their base weight, it refuses one that is tracked: its gradient would
//! silently be missing.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

use super::{
    Activation, AdamWStep, Lists, LoraPlan, LorbOps, Precision, Segments, Storage, reference,
};

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

/// What a `_forward`, `_backward` or `_grads` method, or one of the optimiser, says on the
/// differentiable backend.
fn first_order_only() -> ! {
    unreachable!("this operation is not differentiable: call it on the inner backend")
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

/// Gradient of what an activation was applied to, from that of its result; `before` is kept only
/// where there is an activation.
fn through<B: LorbOps>(g: F<B>, before: Option<F<B>>) -> F<B> {
    match before {
        Some(before) => B::gelu_exact_backward(g, before),
        None => g,
    }
}

/// Gradients of a layer normalisation by its gamma and its beta, where they are trained.
fn norm_grads<B: LorbOps>(
    g: &F<B>,
    normalised: &F<B>,
    [gamma, beta]: [Option<NodeId>; 2],
    grads: &mut Gradients,
) {
    if let Some(gamma) = gamma {
        let by_row = B::float_mul(g.clone(), normalised.clone());
        grads.register::<B>(gamma, B::column_sums(by_row));
    }
    if let Some(beta) = beta {
        grads.register::<B>(beta, B::column_sums(g.clone()));
    }
}

/// What the backward step of an activation needs.
fn keep<B: LorbOps>(before: F<B>, activation: Activation) -> Option<F<B>> {
    match activation {
        Activation::Identity => None,
        Activation::Gelu => Some(before),
    }
}

backward_step!(
    LinearStep<3>,
    (Option<F<B>>, F<B>, Storage, Option<F<B>>),
    |g, (x, w, storage, before), [to_x, to_w, to_bias], grads| {
        let g = through::<B>(g, before);
        if let (Some(w), Some(x)) = (to_w, x) {
            grads.register::<B>(w.id, B::weight_grad(g.clone(), x));
        }
        if let Some(bias) = to_bias {
            grads.register::<B>(bias.id, B::column_sums(g.clone()));
        }
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::frozen_linear_backward(g, w, storage));
        }
    }
);

backward_step!(
    EmbedStep<5>,
    (F<B>, F<B>, F<B>, IntTensor<B>, [usize; 3]),
    |g,
     (normalised, inverse, gamma, ids, counts),
     [words, positions, types, to_gamma, to_beta],
     grads| {
        norm_grads::<B>(&g, &normalised, [to_gamma, to_beta].map(|to| to.map(|to| to.id)), grads);
        let dx = B::add_layer_norm_backward(g, normalised, inverse, gamma);
        let tokens = ids.shape().num_elements() / 2;
        let [word, position] = [0..tokens, tokens..2 * tokens]
            .map(|part| B::int_slice(ids.clone(), &[Slice::from(part)]));
        // Every token is of type 0.
        let kind = B::int_zeros(Shape::new([tokens]), &dx.device(), ids.dtype().into());
        let tables = [(words, word), (positions, position), (types, kind)];
        for ((table, rows), count) in tables.into_iter().zip(counts) {
            if let Some(table) = table {
                let shape = Shape::new([count, dx.shape()[1]]);
                let zeros = B::float_zeros(shape, &dx.device(), dx.dtype().into());
                let sums =
                    B::float_select_assign(zeros, 0, rows, dx.clone(), IndexingUpdateOp::Add);
                grads.register::<B>(table.id, sums);
            }
        }
    }
);

backward_step!(
    LoraLinearStep<2>,
    (F<B>, F<B>, F<B>, F<B>, Option<F<B>>, LoraPlan, Storage),
    |g, (x, u, w, factors, before, plan, storage), [to_x, to_factors], grads| {
        let g = through::<B>(g, before);
        let (v, dfactors) = B::lora_grads(g.clone(), x, u, factors.clone(), plan.clone());
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::lora_linear_backward(g, w, v, factors, plan, storage));
        }
        if let Some(factors) = to_factors {
            grads.register::<B>(factors.id, dfactors);
        }
    }
);

backward_step!(
    LoraAddStep<3>,
    (F<B>, F<B>, F<B>, LoraPlan),
    |g, (x, u, factors, plan), [to_base, to_x, to_factors], grads| {
        let (v, dfactors) = B::lora_grads(g.clone(), x, u, factors.clone(), plan.clone());
        if let Some(base) = to_base {
            grads.register::<B>(base.id, g);
        }
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::lora_down_backward(v, factors, plan));
        }
        if let Some(factors) = to_factors {
            grads.register::<B>(factors.id, dfactors);
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
    AddLayerNormStep<4>,
    (F<B>, F<B>, F<B>),
    |g, (normalised, inverse_deviation, gamma), [to_x, to_residual, to_gamma, to_beta], grads| {
        norm_grads::<B>(&g, &normalised, [to_gamma, to_beta].map(|to| to.map(|to| to.id)), grads);
        if to_x.is_none() && to_residual.is_none() {
            return;
        }
        let grad = B::add_layer_norm_backward(g, normalised, inverse_deviation, gamma);
        for parent in [to_x, to_residual].into_iter().flatten() {
            grads.register::<B>(parent.id, grad.clone());
        }
    }
);

backward_step!(GeluStep<1>, F<B>, |g, x, [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::gelu_exact_backward(g, x));
    }
});

backward_step!(ScoreHeadStep<2>, (F<B>, F<B>), |g, (cls, head), [to_cls, to_head], grads| {
    let (dcls, dhead) = B::score_head_backward(g, cls, head);
    if let Some(cls) = to_cls {
        grads.register::<B>(cls.id, dcls);
    }
    if let Some(head) = to_head {
        grads.register::<B>(head.id, dhead);
    }
});

backward_step!(ListLossStep<1>, (F<B>, Lists, usize), |g, (slopes, lists, texts), [to], grads| {
    if let Some(to) = to {
        grads.register::<B>(to.id, B::list_loss_backward(g, slopes, lists, texts));
    }
});

backward_step!(
    CorrelationStep<1>,
    (F<B>, F<B>, F<B>, F<B>),
    |g, (value, z, scales, off), [to], grads| {
        if let Some(to) = to {
            grads.register::<B>(to.id, B::correlation_backward(g, value, z, scales, off));
        }
    }
);

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
        ids: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [words.node(), positions.node(), types.node(), gamma.node(), beta.node()];
        let [words, positions, types, gamma, beta] =
            [words, positions, types, gamma, beta].map(|tensor| tensor.into_primitive());
        match EmbedStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let counts = [&words, &positions, &types].map(|table| table.shape()[0]);
                let sum = reference::embed::<B>(words, positions, types, ids.clone());
                let nothing = B::float_zeros(sum.shape(), &sum.device(), sum.dtype().into());
                let (y, normalised, inverse) =
                    B::add_layer_norm_forward(sum, nothing, gamma.clone(), beta, epsilon);
                step.finish((normalised, inverse, gamma, ids, counts), y)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::embed_layer_norm(words, positions, types, gamma, beta, ids, epsilon))
            }
        }
    }

    fn frozen_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let trained = w.is_tracked();
        assert!(
            !trained || storage.precision == Precision::F32,
            "a weight that is trained is kept in full precision"
        );
        let nodes = [x.node(), w.node(), bias.node()];
        let [x, w, bias] = [x, w, bias].map(|tensor| tensor.into_primitive());
        match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let kept = trained.then(|| x.clone());
                let (y, before) = B::frozen_linear_forward(x, w.clone(), bias, storage, activation);
                step.finish((kept, w, storage, keep::<B>(before, activation)), y)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::frozen_linear(x, w, bias, storage, activation))
            }
        }
    }

    fn lora_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let [w, bias] = frozen::<B, C, _>([w, bias]);
        let nodes = [x.node(), factors.node()];
        let (x, factors) = (x.into_primitive(), factors.into_primitive());
        match LoraLinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (y, before, u) = B::lora_linear_forward(
                    x.clone(),
                    w.clone(),
                    bias,
                    factors.clone(),
                    plan.clone(),
                    storage,
                    activation,
                );
                let before = keep::<B>(before, activation);
                step.finish((x, u, w, factors, before, plan, storage), y)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::lora_linear(x, w, bias, factors, plan, storage, activation))
            }
        }
    }

    fn lora_add(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        let nodes = [base.node(), x.node(), factors.node()];
        let [base, x, factors] = [base, x, factors].map(|tensor| tensor.into_primitive());
        match LoraAddStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (y, u) = B::lora_add_forward(base, x.clone(), factors.clone(), plan.clone());
                step.finish((x, u, factors, plan), y)
            }
            OpsKind::UnTracked(step) => step.finish(B::lora_add(base, x, factors, plan)),
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
        let nodes = [x.node(), residual.node(), gamma.node(), beta.node()];
        let [x, residual, gamma, beta] =
            [x, residual, gamma, beta].map(|tensor| tensor.into_primitive());
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

    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        match GeluStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(x.clone(), B::gelu_exact(x)),
            OpsKind::UnTracked(step) => step.finish(B::gelu_exact(x)),
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

    fn score_head(cls: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [cls.node(), head.node()];
        let (cls, head) = (cls.into_primitive(), head.into_primitive());
        match ScoreHeadStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                step.finish((cls.clone(), head.clone()), B::score_head(cls, head))
            }
            OpsKind::UnTracked(step) => step.finish(B::score_head(cls, head)),
        }
    }

    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self> {
        let nodes = [scores.node()];
        let scores = scores.into_primitive();
        let texts = scores.shape().num_elements();
        match ListLossStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (loss, slopes) = B::list_loss_forward(scores, lists.clone());
                step.finish((slopes, lists, texts), loss)
            }
            OpsKind::UnTracked(step) => step.finish(B::list_loss(scores, lists)),
        }
    }

    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [cls.node()];
        let cls = cls.into_primitive();
        match CorrelationStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (value, z, scales, off) = B::correlation_forward(cls);
                step.finish((value.clone(), z, scales, off), value)
            }
            OpsKind::UnTracked(step) => step.finish(B::correlation(cls)),
        }
    }

    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        // Each cut is a leaf of its own: the gradient by the whole would be one of mostly zeros
        // for every part.
        let [flat] = frozen::<B, C, _>([flat]);
        <Self as burn::backend::AutodiffBackend>::from_inner(B::cut(flat, offset, len))
    }

    fn frozen_linear_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Storage,
        _: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn frozen_linear_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Storage,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn weight_grad(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        first_order_only()
    }

    fn column_sums(_: FloatTensor<Self>) -> FloatTensor<Self> {
        first_order_only()
    }

    fn lora_linear_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
        _: Storage,
        _: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn lora_add_forward(
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn lora_linear_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
        _: Storage,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn lora_down_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LoraPlan,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn score_head_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn pack(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: [usize; 6],
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn list_loss_forward(_: FloatTensor<Self>, _: Lists) -> (FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn list_loss_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Lists,
        _: usize,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn correlation_forward(
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        first_order_only()
    }

    fn correlation_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        first_order_only()
    }

    fn adamw(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
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

    fn gelu_exact_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        first_order_only()
    }

    fn scatter_cls(_: FloatTensor<Self>, _: Segments) -> FloatTensor<Self> {
        first_order_only()
    }
}
