//! Cases of the probe.

use crate::ops::probe::{Case, Names, segments};
use crate::ops::{Places, Segments, Window};

/// Attention of all rows with this number and width of heads; the kernels are those for heads that are divisible by four,
/// or for others.
fn whole(heads: usize, head: usize, segments: &Segments) -> Case {
    let [forward, backward] = match head.is_multiple_of(4) {
        true => ["attention_vec4", "attention_backward_vec4"],
        false => ["attention", "attention_backward"],
    };
    let (segments, rows) = (segments.clone(), segments.rows());
    let name = format!("attention, {heads} heads of {head} over {rows} tokens");
    let qkv = ("queries, keys and values", [rows, 3 * heads * head], &[backward] as Names<'_>);
    Case::new(name, &[forward], &[qkv], move |_, i| {
        super::attention(i[0].clone(), &segments, heads)
    })
}

/// Attention of all rows to near ones.
fn near(heads: usize, head: usize, segments: &Segments) -> Case {
    let [forward, backward] = match head.is_multiple_of(4) {
        true => ["attention_vec4_windowed", "attention_backward_vec4_windowed"],
        false => ["attention_windowed", "attention_backward_windowed"],
    };
    let (segments, rows) = (segments.clone(), segments.rows());
    let places = Places::new(segments.ranges().flat_map(|range| 0..range.len() as u32));
    let name = format!("windowed attention, {heads} heads of {head} over {rows} tokens");
    let qkv = ("queries, keys and values", [rows, 3 * heads * head], &[backward] as Names<'_>);
    Case::new(name, &[forward], &[qkv], move |_, i| {
        let window = Window { places: places.clone(), reach: 9 };
        super::windowed_attention(i[0].clone(), &segments, heads, window)
    })
}

/// Attention of `[CLS]` only.
fn cls(heads: usize, head: usize, kernels: [&'static str; 2], segments: &Segments) -> Case {
    let [forward, backward] = kernels;
    let (segments, rows, width) = (segments.clone(), segments.rows(), heads * head);
    let name = format!("attention_cls, {heads} heads of {head} over {rows} tokens");
    let backward: Names<'_> = &[backward];
    let inputs = [
        ("queries", [segments.len(), width], backward),
        ("keys and values", [rows, 2 * width], backward),
    ];
    Case::new(name, &[forward], &inputs, move |_, i| {
        super::attention_cls(i[0].clone(), i[1].clone(), &segments, heads)
    })
}

/// The case for `[CLS]` with the kernels of one suffix.
macro_rules! cls_by_head {
    ($segments:expr, $heads:literal, $head:literal, $suffix:literal) => {
        cls(
            $heads,
            $head,
            [concat!("attention_cls_", $suffix), concat!("attention_cls_backward_", $suffix)],
            $segments,
        )
    };
}

pub(in crate::ops) fn cases() -> Vec<Case> {
    // A sequence longer than the keys that any variant stages at once, and one with a single token.
    let segments = &segments(&[101, 1, 34]);
    let mut all = vec![
        whole(3, 9, segments),
        whole(1, 45, segments),
        whole(2, 32, segments).quick(),
        whole(2, 64, segments),
        whole(1, 100, segments),
        near(3, 9, segments),
        near(2, 32, segments),
        cls_by_head!(segments, 3, 9, "16"),
        cls_by_head!(segments, 2, 16, "16_exact"),
        cls_by_head!(segments, 2, 31, "32"),
        cls_by_head!(segments, 2, 32, "32_exact").quick(),
        cls_by_head!(segments, 1, 48, "64"),
        cls_by_head!(segments, 2, 64, "64_exact"),
        cls_by_head!(segments, 1, 100, "128"),
        cls_by_head!(segments, 1, 128, "128_exact"),
    ];
    for case in &mut all {
        // Different scores, so that the softmax is not the mean of all values.
        case.spread = 3.0;
    }
    all
}
