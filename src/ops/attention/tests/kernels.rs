//! Compares the kernels with the f64 reference.

use burn_cubecl::tensor::CubeTensor;

use super::truth::Attention;
use crate::ops::tests::kernels::{Bench, check, compare, kernel_tests};
use crate::ops::tests::support::{Source, of_lengths, rounded};
use crate::ops::wgsl::kernel::{self as shaders, Groups, Kernel};
use crate::ops::wgsl::launch::launch;
use crate::ops::wgsl::segments;
use crate::ops::{Segments, Window};

kernel_tests!(
    attention: SOFTMAX,
    attention_backward: SOFTMAX,
    attention_cls: SOFTMAX,
    attention_cls_backward: SOFTMAX,
);

/// Segments with one token, around the multiples of a block, of BERT's maximum length, and the texts of a list of 200.
fn segmentations() -> Vec<Segments> {
    let list: Vec<usize> = (0..200).map(|i| 1 + i % 5).collect();
    let mixed = vec![31, 1, 32, 200, 2, 33, 63, 64, 65];
    let all =
        [vec![33, 1, 101], mixed, vec![1], vec![3, 1, 17, 31, 2], vec![127, 129], vec![512], list];
    all.iter().map(|lengths| of_lengths(lengths)).collect()
}

/// Heads and their width. For all rows: narrower and wider than a chunk, and all chunks that BERT needs; for `[CLS]`:
/// the width of an exact variant; else odd widths up to the variant's own.
fn heads(kernel: &Kernel) -> Vec<(usize, usize)> {
    let constant = |name| kernel.constants.iter().find(|(known, _)| *known == name);
    match constant("HEAD") {
        None if kernel.name.contains("_vec4") => vec![(3, 32), (2, 64), (1, 128), (2, 20)],
        None => vec![(3, 9), (2, 33), (1, 99)],
        Some(&(_, most)) if kernel.name.ends_with("_exact") => vec![(2, most as usize)],
        Some(&(_, most)) => vec![(3, most as usize / 2 + 1), (1, most as usize - 1)],
    }
}

/// Each segmentation with all of the variant's head sizes; long ones with a single head.
fn cases(kernel: &Kernel) -> Vec<(Segments, usize, usize)> {
    let heads = heads(kernel);
    let with_heads = |segments: Segments| {
        let most = if segments.rows() > 450 { 1 } else { usize::MAX };
        let heads = heads.clone();
        heads.into_iter().map(move |(count, head)| (segments.clone(), count.min(most), head))
    };
    segmentations().into_iter().flat_map(with_heads).collect()
}

/// Positions as they are where the second row of every segment leads it, and a window of a few of them; `None` if the
/// variant attends to whole segments.
fn window(kernel: &Kernel, segments: &Segments) -> Option<Window> {
    kernel.name.ends_with("_windowed").then(|| super::window(segments))
}

/// The positions of all rows, which variants for whole segments do not read.
fn places(bench: &Bench, window: Option<&Window>) -> CubeTensor {
    bench.gpu.words(window.map_or(&[0], |window| window.places.rows()))
}

/// Inputs with different scores, so that a softmax is not the mean of all values.
fn spread(source: &mut Source, count: usize) -> Vec<f64> {
    source.exact(count).into_iter().map(|value| 2.0 * value).collect()
}

/// Heads of a workgroup: of an odd number of heads, the last workgroup has fewer.
const EACH: u32 = 2;

/// The blocks of segments on the device, and their number.
fn blocks(bench: &Bench, segments: &Segments) -> (CubeTensor, u32) {
    let blocks = segments::blocks(segments);
    (bench.gpu.words(&blocks.concat()), blocks.len() as u32)
}

fn scale(head: usize) -> f32 {
    1.0 / (head as f32).sqrt()
}

fn attention(bench: &Bench) {
    for kernel in bench.variants("attention") {
        for (segments, heads, head) in bench.sizes(cases(kernel)) {
            let (t, h) = (segments.rows(), heads * head);
            let what = format!("{} segments of {t} rows, {heads} heads of {head}", segments.len());
            let qkv = spread(&mut Source::new(51), t * 3 * h);
            let (out, log_sums) = (bench.gpu.output([t, h]), bench.gpu.output([t, heads]));
            let (blocks, block_count) = blocks(bench, &segments);
            let window = window(kernel, &segments);
            let call = shaders::attention::Arguments {
                qkv: &bench.gpu.floats([t, 3 * h], &qkv),
                blocks: &blocks,
                places: &places(bench, window.as_ref()),
                out: &out,
                log_sums: &log_sums,
                block_count,
                heads: heads as u32,
                head: head as u32,
                each: EACH,
                reach: super::REACH as u32,
                scale: scale(head),
            };
            launch(kernel, &call, Groups::linear(block_count * (heads as u32).div_ceil(EACH)));
            let truth = Attention { segments: &segments, heads, head, window: window.as_ref() };
            let expected = truth.whole(&qkv);
            check(kernel, &format!("output, {what}"), &expected.0, &out);
            check(kernel, &format!("log-sums, {what}"), &expected.1, &log_sums);
        }
    }
}

fn attention_backward(bench: &Bench) {
    for kernel in bench.variants("attention_backward") {
        for (segments, heads, head) in bench.sizes(cases(kernel)) {
            let (t, h) = (segments.rows(), heads * head);
            let what = format!("{} segments of {t} rows, {heads} heads of {head}", segments.len());
            let mut source = Source::new(52);
            let (qkv, g) = (spread(&mut source, t * 3 * h), source.exact(t * h));
            let window = window(kernel, &segments);
            let truth = Attention { segments: &segments, heads, head, window: window.as_ref() };
            let (out, logs) = truth.whole(&qkv);
            let (out, logs) = (rounded(&out), rounded(&logs));
            let dqkv = bench.gpu.output([t, 3 * h]);
            let (blocks, block_count) = blocks(bench, &segments);
            let call = shaders::attention_backward::Arguments {
                g: &bench.gpu.floats([t, h], &g),
                qkv: &bench.gpu.floats([t, 3 * h], &qkv),
                out: &bench.gpu.floats([t, h], &out),
                log_sums: &bench.gpu.floats([t, heads], &logs),
                blocks: &blocks,
                places: &places(bench, window.as_ref()),
                dqkv: &dqkv,
                block_count,
                heads: heads as u32,
                head: head as u32,
                each: EACH,
                reach: super::REACH as u32,
                scale: scale(head),
            };
            launch(kernel, &call, Groups::linear(block_count * (heads as u32).div_ceil(EACH)));
            check(kernel, &what, &truth.whole_backward(&g, &qkv, &out, &logs), &dqkv);
        }
    }
}

fn attention_cls(bench: &Bench) {
    for kernel in bench.variants("attention_cls") {
        for (segments, heads, head) in bench.sizes(cases(kernel)) {
            let (t, s, h) = (segments.rows(), segments.len(), heads * head);
            let what = format!("{s} segments of {t} rows, {heads} heads of {head}");
            let mut source = Source::new(53);
            let (q, kv) = (spread(&mut source, s * h), spread(&mut source, t * 2 * h));
            let (out, log_sums) = (bench.gpu.output([s, h]), bench.gpu.output([s, heads]));
            let call = shaders::attention_cls::Arguments {
                q: &bench.gpu.floats([s, h], &q),
                kv: &bench.gpu.floats([t, 2 * h], &kv),
                offsets: &bench.gpu.words(segments.offsets()),
                out: &out,
                log_sums: &log_sums,
                segments: s as u32,
                heads: heads as u32,
                head: head as u32,
                scale: scale(head),
            };
            launch(kernel, &call, Groups::linear((s * heads) as u32));
            let truth = Attention { segments: &segments, heads, head, window: None };
            let expected = truth.cls(&q, &kv);
            check(kernel, &format!("output, {what}"), &expected.0, &out);
            check(kernel, &format!("log-sums, {what}"), &expected.1, &log_sums);
        }
    }
}

fn attention_cls_backward(bench: &Bench) {
    for kernel in bench.variants("attention_cls_backward") {
        for (segments, heads, head) in bench.sizes(cases(kernel)) {
            let (t, s, h) = (segments.rows(), segments.len(), heads * head);
            let what = format!("{s} segments of {t} rows, {heads} heads of {head}");
            let mut source = Source::new(54);
            let (q, kv) = (spread(&mut source, s * h), spread(&mut source, t * 2 * h));
            let g = source.exact(s * h);
            let truth = Attention { segments: &segments, heads, head, window: None };
            let logs = rounded(&truth.cls(&q, &kv).1);
            let (dq, dkv) = (bench.gpu.output([s, h]), bench.gpu.output([t, 2 * h]));
            let call = shaders::attention_cls_backward::Arguments {
                g: &bench.gpu.floats([s, h], &g),
                q: &bench.gpu.floats([s, h], &q),
                kv: &bench.gpu.floats([t, 2 * h], &kv),
                log_sums: &bench.gpu.floats([s, heads], &logs),
                offsets: &bench.gpu.words(segments.offsets()),
                dq: &dq,
                dkv: &dkv,
                segments: s as u32,
                heads: heads as u32,
                head: head as u32,
                scale: scale(head),
            };
            launch(kernel, &call, Groups::linear((s * heads) as u32));
            let expected = truth.cls_backward(&g, &q, &kv, &logs);
            // With a single key, the gradient of the query is zero.
            let check_dq = if segments.longest() > 1 {
                check
            } else {
                |k: &_, w: &_, e: &_, f: &_| {
                    compare(k, w, e, f);
                }
            };
            check_dq(kernel, &format!("dq, {what}"), &expected.0, &dq);
            check(kernel, &format!("dkv, {what}"), &expected.1, &dkv);
        }
    }
}
