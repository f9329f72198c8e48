//! Compares all implementations of attention.

mod kernels;
mod truth;

use burn::backend::Flex;

use super::{
    Attention, AttentionForward, AttentionKernels, AttentionSaved, ClsAttentionSaved, attention,
    attention_cls, composed, windowed_attention,
};
use crate::ops::tests::cpu_path::same;
use crate::ops::tests::directions::Case;
use crate::ops::tests::support::{Source, of_lengths, segmentations};
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::{Places, Segments, Window};
pub(in crate::ops) use kernels::KERNELS;

/// How far rows attend in tests with a window.
pub(super) const REACH: usize = 5;

/// A window over positions that ascend in every segment, but for one row that leads it, as for masked tokens.
fn window(segments: &Segments) -> Window {
    let of_segment = |range: std::ops::Range<usize>| {
        let (length, lead) = (range.len() as u32, range.len() as u32 / 2);
        std::iter::once(lead).chain((0..length).filter(move |place| *place != lead))
    };
    let places = Places::new(segments.ranges().flat_map(of_segment));
    Window { places, reach: REACH }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(13);
    for (segments, near) in
        segmentations().into_iter().flat_map(|s| [(s.clone(), false), (s, true)])
    {
        let window = near.then(|| window(&segments));
        for (heads, d) in [(1, 1), (2, 3), (3, 16), (2, 33)] {
            let (t, s, h) = (segments.rows(), segments.len(), heads * d);
            let what = |part| format!("{part}, {s} segments of {t} rows, {heads} heads of {d}");
            let (qkv, g) = (source.f32([t, 3 * h]), source.f32([t, h]));
            let expected =
                composed::attention::<Flex>(qkv.clone(), &segments, heads, window.as_ref());
            let found = Flex::packed_attention_forward(
                qkv.clone(),
                segments.clone(),
                heads,
                window.clone(),
            );
            same(&what("attention"), expected.out.clone(), found.out);
            same(&what("log-sums"), expected.log_sums.clone(), found.log_sums);
            let out = Flex::packed_attention(qkv.clone(), segments.clone(), heads, window.clone());
            same(&what("attention without state"), expected.out.clone(), out);
            let AttentionForward { out, log_sums } = expected;
            let (packed, window) = (segments.clone(), window.clone());
            let saved = AttentionSaved { qkv, out, log_sums, segments: packed, heads, window };
            same(
                &what("attention backward"),
                composed::attention_backward(g.clone(), saved.clone()),
                Flex::packed_attention_backward(g, saved),
            );

            let (q, kv, g) = (source.f32([s, h]), source.f32([t, 2 * h]), source.f32([s, h]));
            let expected = composed::attention_cls::<Flex>(q.clone(), kv.clone(), &segments, heads);
            let found = Flex::attention_cls_forward(q.clone(), kv.clone(), segments.clone(), heads);
            same(&what("attention of [CLS]"), expected.out.clone(), found.out);
            same(&what("log-sums of [CLS]"), expected.log_sums.clone(), found.log_sums);
            let AttentionForward { out, log_sums } = expected;
            let saved =
                ClsAttentionSaved { q, kv, out, log_sums, segments: segments.clone(), heads };
            let expected = composed::attention_cls_backward(g.clone(), saved.clone());
            let found = Flex::attention_cls_backward(g, saved);
            // With a single key, the gradient of the query is zero.
            if segments.longest() > 1 {
                same(&what("dQ of [CLS]"), expected.q, found.q);
            }
            same(&what("dKV of [CLS]"), expected.kv, found.kv);
        }
    }
}

#[test]
fn composed_gradient() {
    let (mut source, heads) = (Source::new(3), 2);
    for (lengths, near) in [(vec![1], false), (vec![3, 1, 4], false), (vec![9, 1, 12], true)] {
        let segments = of_lengths(&lengths);
        let window = near.then(|| window(&segments));
        let forward = |qkv| composed::attention::<Flex>(qkv, &segments, heads, window.as_ref());
        finite_differences::check(
            &format!("attention over {lengths:?}"),
            &[source.f64([segments.rows(), 18])],
            |i| forward(i[0].clone()).out,
            |g, i| {
                let qkv = i[0].clone();
                let AttentionForward { out, log_sums } = forward(qkv.clone());
                let (segments, window) = (segments.clone(), window.clone());
                let saved = AttentionSaved::<Flex> { qkv, out, log_sums, segments, heads, window };
                vec![composed::attention_backward(g, saved)]
            },
        );
    }
}

#[test]
fn composed_gradient_of_cls() {
    let (mut source, heads) = (Source::new(4), 3);
    let segments = of_lengths(&[2, 1, 5]);
    finite_differences::check(
        "attention of [CLS]",
        &[source.f64([3, 6]), source.f64([8, 12])],
        |i| composed::attention_cls::<Flex>(i[0].clone(), i[1].clone(), &segments, heads).out,
        |g, i| {
            let (q, kv) = (i[0].clone(), i[1].clone());
            let AttentionForward { out, log_sums } =
                composed::attention_cls::<Flex>(q.clone(), kv.clone(), &segments, heads);
            let segments = segments.clone();
            let saved = ClsAttentionSaved::<Flex> { q, kv, out, log_sums, segments, heads };
            let by = composed::attention_cls_backward(g, saved);
            vec![by.q, by.kv]
        },
    );
}

#[test]
fn gpu_path() {
    for lengths in [vec![3, 1, 17], vec![33, 31], vec![127]] {
        let segments = of_lengths(&lengths);
        let (t, s) = (segments.rows(), segments.len());
        gpu::compare(&format!("attention {lengths:?}"), &[[t, 3 * 18]], |_, i| {
            attention(i[0].clone(), &segments, 3)
        });
        let what = format!("windowed attention {lengths:?}");
        gpu::compare(&what, &[[t, 3 * 18]], |_, i| {
            windowed_attention(i[0].clone(), &segments, 3, window(&segments))
        });
        gpu::compare(&format!("attention of [CLS] {lengths:?}"), &[[s, 18], [t, 36]], |_, i| {
            attention_cls(i[0].clone(), i[1].clone(), &segments, 3)
        });
    }
}

#[test]
fn gpu_gradient() {
    for (i, segments) in segmentations().into_iter().enumerate() {
        let (heads, head) = [(1, 32), (2, 3), (3, 16), (2, 33), (1, 127)][i % 5];
        let (t, s, h) = (segments.rows(), segments.len(), heads * head);
        let truth = truth::Attention { segments: &segments, heads, head, window: None };
        let window = window(&segments);
        let near = truth::Attention { window: Some(&window), ..truth };
        Case {
            name: format!("windowed attention, {s} segments of {t} rows, {heads} heads of {head}"),
            kernel: "attention",
            shapes: vec![[t, 3 * h]],
            truth: Box::new(|i| near.whole(&i[0]).0),
            operation: Box::new(|_, i| {
                windowed_attention(i[0].clone(), &segments, heads, window.clone())
            }),
        }
        .check();
        Case {
            name: format!("attention, {s} segments of {t} rows, {heads} heads of {head}"),
            kernel: "attention",
            shapes: vec![[t, 3 * h]],
            truth: Box::new(|i| truth.whole(&i[0]).0),
            operation: Box::new(|_, i| attention(i[0].clone(), &segments, heads)),
        }
        .check();
        // With a single key, the gradient of the query is zero.
        if segments.longest() > 1 {
            Case {
                name: format!("attention of [CLS], {s} segments of {t} rows, {heads} of {head}"),
                kernel: "attention_cls",
                shapes: vec![[s, h], [t, 2 * h]],
                truth: Box::new(|i| truth.cls(&i[0], &i[1]).0),
                operation: Box::new(|_, i| {
                    attention_cls(i[0].clone(), i[1].clone(), &segments, heads)
                }),
            }
            .check();
        }
    }
}
