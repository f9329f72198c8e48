//! The CPU path against the reference, both on Flex, at odd sizes.

use burn::backend::TensorMetadata;
use burn::backend::{Flex, ops::FloatTensorOps, ops::IntTensorOps};
use burn::tensor::{Shape, TensorData};

use super::support::{Float, Source, assert_close, plans, read, segmentations};
use super::tolerance::F32;
use crate::ops::{
    Activation, AdamW, AdamWStep, Kept, LoraPlan, LorbOps, Precision, Storage, reference,
};

const SIZES: [usize; 8] = [1, 2, 3, 17, 31, 33, 127, 129];

/// A weight as the operations take it.
fn words(w: &Float) -> (Float, Storage) {
    let [outputs, inputs] = w.shape().dims();
    let words = Flex::float_reshape(w.clone(), Shape::new([outputs * inputs]));
    (words, Storage { outputs, inputs, precision: Precision::F32 })
}

fn same(what: &str, expected: Float, found: Float) {
    assert_close::<Flex, Flex>(what, expected, found, &F32);
}

#[test]
fn linear() {
    let mut source = Source::new(11);
    for (i, t) in SIZES.into_iter().chain([1030]).enumerate() {
        let (k, o) = (SIZES[(i + 3) % 8], SIZES[(i + 5) % 8]);
        let (x, w, bias) = (source.f32([t, k]), source.f32([o, k]), source.f32([o]));
        let (g, (stored, storage)) = (source.f32([t, o]), words(&w));
        same(
            &format!("linear {t} {k} {o}"),
            reference::linear::<Flex>(x.clone(), w.clone(), bias.clone()),
            Flex::base_linear(
                x.clone(),
                Kept::Rows(x.clone()),
                stored.clone(),
                bias.clone(),
                storage,
                Activation::Identity,
            )
            .0,
        );
        let (y, before) = Flex::base_linear_forward(
            x.clone(),
            stored.clone(),
            bias.clone(),
            storage,
            Activation::Gelu,
        );
        let expected = reference::linear::<Flex>(x.clone(), w.clone(), bias);
        same(&format!("before gelu {t} {k} {o}"), expected.clone(), before);
        same(&format!("linear and gelu {t} {k} {o}"), reference::gelu::<Flex>(expected), y);
        same(
            &format!("linear backward {t} {k} {o}"),
            reference::linear_backward::<Flex>(g.clone(), w.clone()),
            Flex::base_linear_backward(g.clone(), stored, storage),
        );
        same(
            &format!("gradient by the weight {t} {k} {o}"),
            reference::weight_grad::<Flex>(g.clone(), x.clone()),
            Flex::weight_grad(g.clone(), x.clone()),
        );
        same(
            &format!("gradient by the bias {t} {k} {o}"),
            reference::column_sums::<Flex>(g.clone()),
            Flex::column_sums(g),
        );
    }
}

#[test]
fn low_rank_terms() {
    let mut source = Source::new(12);
    for (i, t) in SIZES.into_iter().chain([1030]).enumerate() {
        let (k, width) = (SIZES[(i + 3) % 8], SIZES[(i + 5) % 8]);
        for (blocks, plan) in plans(width) {
            let what = |part| format!("{part} {t} {k} {width} {plan:?}");
            let (n, r, o) = (plan.adapted.len(), plan.rank, blocks * width);
            let (x, w, bias) = (source.f32([t, k]), source.f32([o, k]), source.f32([o]));
            let (a, b) = (source.f32([n * r, k]), source.f32([n * width, r]));
            let (g, low) = (source.f32([t, o]), source.f32([t, k]));

            let factors = reference::join_factors::<Flex>(a.clone(), b.clone());
            let (stored, storage) = words(&w);

            let plain = reference::linear::<Flex>(x.clone(), w.clone(), bias.clone());
            let add = |x| {
                let (plain, a, b) = (plain.clone(), a.clone(), b.clone());
                reference::lora_add::<Flex>(plain, x, a, b, &plan)
            };
            let (y, u) = add(x.clone());
            let (cpu_y, cpu_before, cpu_u) = Flex::lora_linear_forward(
                x.clone(),
                stored.clone(),
                bias.clone(),
                factors.clone(),
                plan.clone(),
                storage,
                Activation::Gelu,
            );
            same(&what("lora_linear"), y.clone(), cpu_before);
            same(&what("lora_linear and gelu"), reference::gelu::<Flex>(y), cpu_y);
            same(&what("x A^T"), u.clone(), cpu_u);

            let expected = add(low.clone());
            let found = Flex::lora_linear_apart_forward(
                x.clone(),
                low,
                stored.clone(),
                bias,
                factors.clone(),
                plan.clone(),
                storage,
                Activation::Identity,
            );
            same(&what("lora_linear_apart"), expected.0, found.0);
            same(&what("low A^T"), expected.1, found.2);

            let (v, da, db) =
                reference::lora_grads::<Flex>(g.clone(), x.clone(), u.clone(), b, &plan);
            let (cpu_v, cpu_dfactors) =
                Flex::lora_grads(g.clone(), Kept::Rows(x), u, factors.clone(), plan.clone());
            let (cpu_da, cpu_db) = reference::split_factors::<Flex>(cpu_dfactors, &plan);
            same(&what("dU"), v.clone(), cpu_v);
            same(&what("dA"), da, cpu_da);
            same(&what("dB"), db, cpu_db);
            same(
                &what("dX of the low-rank term"),
                reference::linear_backward::<Flex>(v.clone(), a.clone()),
                Flex::lora_down_backward(v.clone(), factors.clone(), plan.clone()),
            );
            same(
                &what("dX"),
                reference::lora_linear_backward::<Flex>(g.clone(), w.clone(), v.clone(), a),
                Flex::lora_linear_backward(g, stored, v, factors, plan, storage),
            );
        }
    }
}

/// The same numbers, so that what a layer keeps changes no bit of its gradients.
#[test]
fn rows_computed_again_are_those_that_were_not_kept() {
    let mut source = Source::new(19);
    for [t, k, o] in [[1, 3, 2], [17, 31, 33], [1030, 129, 17]] {
        let (x, residual) = (source.f32([t, k]), source.f32([t, k]));
        let (gamma, beta) = (source.f32([k]), source.f32([k]));
        let (normed, n, _) =
            Flex::add_layer_norm_forward(x.clone(), residual, gamma.clone(), beta.clone(), 1e-12);
        let activated = Flex::gelu_exact(x.clone());
        let plan = LoraPlan { adapted: vec![0], width: o, rank: 3, scale: 0.5 };
        let (g, u) = (source.f32([t, o]), source.f32([t, 3]));
        let factors = source.f32([3 * (k + o)]);
        for (rows, kept) in [(activated, Kept::Gelu(x)), (normed, Kept::Scaled(n, gamma, beta))] {
            let grads = |kept| {
                let (g, u, factors) = (g.clone(), u.clone(), factors.clone());
                read::<Flex>(Flex::lora_grads(g, kept, u, factors, plan.clone()).1)
            };
            let expected = grads(Kept::Rows(rows.clone()));
            assert!(expected.iter().any(|value| *value != 0.0));
            assert_eq!(read::<Flex>(rows), read::<Flex>(kept.clone().rows()), "{t} {k}");
            assert_eq!(expected, grads(kept), "{t} {k} {o}");
        }
    }
}

#[test]
fn attention() {
    let mut source = Source::new(13);
    for segments in segmentations() {
        for (heads, d) in [(1, 1), (2, 3), (3, 16), (2, 33)] {
            let (t, s, h) = (segments.rows(), segments.len(), heads * d);
            let what = |part| format!("{part}, {s} segments of {t} rows, {heads} heads of {d}");
            let (qkv, g) = (source.f32([t, 3 * h]), source.f32([t, h]));
            let (out, sums) = reference::attention::<Flex>(qkv.clone(), &segments, heads);
            let (cpu_out, cpu_sums) =
                Flex::packed_attention_forward(qkv.clone(), segments.clone(), heads);
            same(&what("attention"), out.clone(), cpu_out);
            same(&what("log-sums"), sums.clone(), cpu_sums);
            same(
                &what("attention backward"),
                reference::attention_backward::<Flex>(
                    g.clone(),
                    qkv.clone(),
                    out.clone(),
                    sums.clone(),
                    &segments,
                    heads,
                ),
                Flex::packed_attention_backward(g, qkv, out, sums, segments.clone(), heads),
            );

            let (q, kv, g) = (source.f32([s, h]), source.f32([t, 2 * h]), source.f32([s, h]));
            let (out, sums) =
                reference::attention_cls::<Flex>(q.clone(), kv.clone(), &segments, heads);
            let (cpu_out, cpu_sums) =
                Flex::attention_cls_forward(q.clone(), kv.clone(), segments.clone(), heads);
            same(&what("attention of [CLS]"), out.clone(), cpu_out);
            same(&what("log-sums of [CLS]"), sums.clone(), cpu_sums);
            let (dq, dkv) = reference::attention_cls_backward::<Flex>(
                g.clone(),
                q.clone(),
                kv.clone(),
                out.clone(),
                sums.clone(),
                &segments,
                heads,
            );
            let found = Flex::attention_cls_backward(g, q, kv, out, sums, segments.clone(), heads);
            // A single key leaves a query nothing to choose: its gradient is zero then.
            if segments.longest() > 1 {
                same(&what("dQ of [CLS]"), dq, found.0);
            }
            same(&what("dKV of [CLS]"), dkv, found.1);
        }
    }
}

#[test]
fn row_wise_operations() {
    let mut source = Source::new(14);
    for (t, h) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let what = |part| format!("{part} {t} {h}");
        let (x, residual, g) = (source.f32([t, h]), source.f32([t, h]), source.f32([t, h]));
        let (gamma, beta) = (source.f32([h]), source.f32([h]));
        let (y, normalised, inverse) = reference::add_layer_norm::<Flex>(
            x.clone(),
            residual.clone(),
            gamma.clone(),
            beta.clone(),
            1e-12,
        );
        let found = Flex::add_layer_norm_forward(
            x.clone(),
            residual.clone(),
            gamma.clone(),
            beta.clone(),
            1e-12,
        );
        same(&what("add_layer_norm"), y.clone(), found.0);
        same(&what("normalised"), normalised.clone(), found.1);
        same(&what("inverse deviation"), inverse.clone(), found.2);
        let fused = Flex::add_layer_norm(x.clone(), residual, gamma.clone(), beta.clone(), 1e-12);
        same(&what("add_layer_norm without state"), y, fused.0);
        // Two columns normalise to -1 and 1 whatever they were: nothing flows back.
        if h > 2 {
            same(
                &what("add_layer_norm backward"),
                reference::add_layer_norm_backward::<Flex>(
                    g.clone(),
                    normalised.clone(),
                    inverse.clone(),
                    gamma.clone(),
                ),
                Flex::add_layer_norm_backward(g.clone(), normalised, inverse, gamma.clone()),
            );
        }
        same(&what("gelu"), reference::gelu::<Flex>(x.clone()), Flex::gelu_exact(x.clone()));
        same(
            &what("gelu backward"),
            reference::gelu_backward::<Flex>(g.clone(), x.clone()),
            Flex::gelu_exact_backward(g, x),
        );

        let tables = [[19, h], [7, h], [2, h]].map(|shape| source.f32(shape));
        let ids: Vec<i32> =
            [19, 7].iter().flat_map(|m| (0..t).map(move |i| (i * 5 % m) as i32)).collect();
        let ids = Flex::int_from_data(TensorData::new(ids, [2 * t]), &Default::default());
        let [words, positions, types] = tables;
        same(
            &what("embed_layer_norm"),
            reference::embed_layer_norm::<Flex>(
                words.clone(),
                positions.clone(),
                types.clone(),
                gamma.clone(),
                beta.clone(),
                ids.clone(),
                1e-12,
            ),
            Flex::embed_layer_norm(words, positions, types, gamma, beta, ids, 1e-12),
        );
    }
}

#[test]
fn cls_rows() {
    let mut source = Source::new(15);
    for segments in segmentations() {
        let (x, g) = (source.f32([segments.rows(), 5]), source.f32([segments.len(), 5]));
        same(
            "gather_cls",
            reference::gather_cls::<Flex>(x.clone(), &segments),
            Flex::gather_cls(x, segments.clone()),
        );
        same(
            "scatter_cls",
            reference::scatter_cls::<Flex>(g.clone(), &segments),
            Flex::scatter_cls(g, segments),
        );
    }
}

#[test]
fn score_head_and_cuts() {
    let mut source = Source::new(16);
    let (cls, head, g) = (source.f32([31, 17]), source.f32([18]), source.f32([31]));
    let scores = Flex::score_head(cls.clone(), head.clone());
    same("score_head", reference::score_head::<Flex>(cls.clone(), head.clone()), scores);
    let expected = reference::score_head_backward::<Flex>(g.clone(), cls.clone(), head.clone());
    let found = Flex::score_head_backward(g, cls, head.clone());
    same("score_head, dCLS", expected.0, found.0);
    same("score_head, dhead", expected.1, found.1);
    same("cut", reference::cut::<Flex>(head.clone(), 3, 7), Flex::cut(head, 3, 7));
}

#[test]
fn adamw() {
    let mut source = Source::new(17);
    // Up to more than two blocks; clipped, not clipped for being short, and never clipped.
    for len in SIZES.into_iter().chain([40_001]) {
        for clip_norm in [0.5, 1e6, 0.0] {
            let tensors: [Float; 3] = std::array::from_fn(|_| source.f32([len]));
            let [p, g, first] = tensors;
            let second = Flex::float_mul(first.clone(), first.clone());
            let step = AdamWStep { settings: AdamW::new(0.01, clip_norm), lr: 0.1, step: 3 };
            let expected = reference::adamw::<Flex>(
                p.clone(),
                g.clone(),
                first.clone(),
                second.clone(),
                &step,
            );
            let found = Flex::adamw(p, g, first, second, step);
            let what = |part: &str| format!("adamw {part}, {len}, clipped to {clip_norm}");
            same(&what("parameters"), expected.0, found.0);
            same(&what("first moment"), expected.1, found.1);
            same(&what("second moment"), expected.2, found.2);
            same(&what("norm"), expected.3, found.3);
        }
    }
}
