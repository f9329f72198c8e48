//! Cases of the probe.

use crate::ops::Segments;
use crate::ops::probe::{Case, Names, segments};

/// Number of heads, their width, and the kernels: two forward and two backward, for all rows and for `[CLS]` only.
struct Heads {
    heads: usize,
    head: usize,
    kernels: [&'static str; 4],
}

impl Heads {
    fn whole(&self, segments: &Segments) -> Case {
        let &Self { heads, head, kernels: [forward, backward, ..] } = self;
        let (segments, rows) = (segments.clone(), segments.rows());
        let name = format!("attention, {heads} heads of {head} over {rows} tokens");
        let qkv = ("queries, keys and values", [rows, 3 * heads * head], &[backward] as Names<'_>);
        Case::new(name, &[forward], &[qkv], move |_, i| {
            super::attention(i[0].clone(), &segments, heads)
        })
    }

    fn cls(&self, segments: &Segments) -> Case {
        let &Self { heads, head, kernels: [.., forward, backward] } = self;
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
}

/// The four kernels of one suffix.
macro_rules! by_head {
    ($heads:literal, $head:literal, $suffix:literal) => {
        Heads {
            heads: $heads,
            head: $head,
            kernels: [
                concat!("attention_", $suffix),
                concat!("attention_backward_", $suffix),
                concat!("attention_cls_", $suffix),
                concat!("attention_cls_backward_", $suffix),
            ],
        }
    };
}

pub(in crate::ops) fn cases() -> Vec<Case> {
    // A sequence longer than the keys that any variant stages at once, and one with a single token.
    let segments = segments(&[101, 1, 34]);
    let sizes = [
        by_head!(3, 9, "16"),
        by_head!(2, 16, "16_exact"),
        by_head!(2, 31, "32"),
        by_head!(2, 32, "32_exact"),
        by_head!(1, 48, "64"),
        by_head!(2, 64, "64_exact"),
        by_head!(1, 100, "128"),
        by_head!(1, 128, "128_exact"),
    ];
    let mut all = Vec::new();
    for size in &sizes {
        for mut case in [size.whole(&segments), size.cls(&segments)] {
            // Different scores, so that the softmax is not the mean of all values.
            case.spread = 3.0;
            // Wider heads take drivers seconds to compile, which would delay every start.
            all.push(if size.head == 32 { case.quick() } else { case });
        }
    }
    all
}
