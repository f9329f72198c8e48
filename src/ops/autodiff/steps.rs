//! The backward steps: what each keeps, and the gradients that it gives.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

use crate::ops::{Activation, Kept, Lists, LoraPlan, LorbOps, Segments, Storage};

/// Declares a backward step: its name, its number of parents, what it keeps, and the body, which
/// receives the backend, the output's gradient, the kept state and the parents.
macro_rules! backward_step {
    ($name:ident<$n:literal>, $state:ty, |$grad:ident, $kept:pat_param, $parents:pat_param, $grads:ident| $body:block) => {
        #[derive(Debug)]
        pub(super) struct $name;
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
pub(super) fn keep<B: LorbOps>(before: F<B>, activation: Activation) -> Option<F<B>> {
    match activation {
        Activation::Identity => None,
        Activation::Gelu => Some(before),
    }
}

backward_step!(
    LinearStep<3>,
    (Option<Kept<B>>, F<B>, Storage, Option<F<B>>),
    |g, (x, w, storage, before), [to_x, to_w, to_bias], grads| {
        let g = through::<B>(g, before);
        if let (Some(w), Some(x)) = (to_w, x) {
            grads.register::<B>(w.id, B::weight_grad(g.clone(), x.rows()));
        }
        if let Some(bias) = to_bias {
            grads.register::<B>(bias.id, B::column_sums(g.clone()));
        }
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::base_linear_backward(g, w, storage));
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
    (Kept<B>, F<B>, F<B>, F<B>, Option<F<B>>, LoraPlan, Storage),
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
    LoraApartStep<3>,
    (F<B>, F<B>, F<B>, F<B>, Option<F<B>>, LoraPlan, Storage),
    |g, (low, u, w, factors, before, plan, storage), [to_x, to_low, to_factors], grads| {
        let g = through::<B>(g, before);
        let low = Kept::Rows(low);
        let (v, dfactors) = B::lora_grads(g.clone(), low, u, factors.clone(), plan.clone());
        if let Some(x) = to_x {
            grads.register::<B>(x.id, B::base_linear_backward(g, w, storage));
        }
        if let Some(low) = to_low {
            grads.register::<B>(low.id, B::lora_down_backward(v, factors, plan));
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
