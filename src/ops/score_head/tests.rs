//! Compares all implementations of the score head with f64.

use burn::backend::Flex;

use super::{
    ScoreHead, ScoreHeadInputs, ScoreHeadKernels, composed_score_head,
    composed_score_head_backward, score_head as scored,
};
use crate::ops::tests::cpu_path::same;
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, by_row, check, groups, kernel_tests, row_sizes};
use crate::ops::tests::support::{Float, Source};
use crate::ops::tests::truth::dot;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(score_head: PRODUCT, score_head_backward: PRODUCT);

/// `cls w + b`; the head is w followed by b.
fn truth(cls: &[f64], head: &[f64]) -> Vec<f64> {
    let (w, b) = head.split_at(head.len() - 1);
    cls.chunks(w.len()).map(|row| dot(row, w) + b[0]).collect()
}

/// Gradients with respect to cls and the head.
fn gradients(g: &[f64], cls: &[f64], head: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let w = &head[..head.len() - 1];
    let dcls = g.iter().flat_map(|g| w.iter().map(move |w| g * w)).collect();
    let column = |c: usize| g.iter().enumerate().map(|(s, g)| g * cls[s * w.len() + c]).sum();
    let mut dhead: Vec<f64> = (0..w.len()).map(column).collect();
    dhead.push(g.iter().sum());
    (dcls, dhead)
}

fn score_head(bench: &Bench) {
    for kernel in bench.variants("score_head") {
        for size @ [s, h] in bench.sizes(row_sizes().chain([[200, 33]])) {
            let mut source = Source::new(69);
            let (cls, head) = (source.exact(s * h), source.exact(h + 1));
            let scores = bench.gpu.output([s]);
            let call = shaders::score_head::Arguments {
                cls: &bench.gpu.floats([s, h], &cls),
                head: &bench.gpu.floats([h + 1], &head),
                scores: &scores,
                rows: s as u32,
                width: h as u32,
            };
            launch(kernel, &call, by_row(kernel, s));
            check(kernel, &format!("{size:?}"), &truth(&cls, &head), &scores);
        }
    }
}

fn score_head_backward(bench: &Bench) {
    for kernel in bench.variants("score_head_backward") {
        for size @ [s, h] in bench.sizes(row_sizes().chain([[200, 33]])) {
            let mut source = Source::new(70);
            let (cls, head, g) = (source.exact(s * h), source.exact(h + 1), source.exact(s));
            let (dcls, dhead) = (bench.gpu.output([s, h]), bench.gpu.output([h + 1]));
            let call = shaders::score_head_backward::Arguments {
                g: &bench.gpu.floats([s], &g),
                cls: &bench.gpu.floats([s, h], &cls),
                head: &bench.gpu.floats([h + 1], &head),
                dcls: &dcls,
                dhead: &dhead,
                rows: s as u32,
                width: h as u32,
            };
            let of_cls = (s * h).div_ceil(kernel.constant("BLOCK") as usize);
            let of_head = (h + 1).div_ceil(kernel.constant("COLUMNS") as usize);
            launch(kernel, &call, groups(of_cls + of_head, 1));
            let expected = gradients(&g, &cls, &head);
            check(kernel, &format!("dcls {size:?}"), &expected.0, &dcls);
            check(kernel, &format!("dhead {size:?}"), &expected.1, &dhead);
        }
    }
}

fn inputs(i: &[Float]) -> ScoreHeadInputs<Flex> {
    ScoreHeadInputs { cls: i[0].clone(), head: i[1].clone() }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(16);
    let i = [source.f32([31, 17]), source.f32([18])];
    let g = source.f32([31]);
    same("score_head", composed_score_head(inputs(&i)), Flex::score_head(inputs(&i)));
    let expected = composed_score_head_backward(g.clone(), inputs(&i));
    let found = Flex::score_head_backward(g, inputs(&i));
    same("score_head, dCLS", expected.cls, found.cls);
    same("score_head, dhead", expected.head, found.head);
}

#[test]
fn composed_gradient() {
    let mut source = Source::new(8);
    finite_differences::check(
        "score head",
        &[source.f64([4, 5]), source.f64([6])],
        |i| composed_score_head(inputs(i)),
        |g, i| {
            let by = composed_score_head_backward(g, inputs(i));
            vec![by.cls, by.head]
        },
    );
}

#[test]
fn gpu_path() {
    gpu::compare("score_head", &[[31, 17], [1, 18]], |_, i| {
        scored(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([31, 1])
    });
}

#[test]
fn gpu_gradient() {
    for [s, h] in [[1, 1], [2, 3], [31, 17], [200, 129], [129, 33]] {
        Case {
            name: format!("score_head {s} {h}"),
            kernel: "score_head",
            shapes: vec![[s, h], [1, h + 1]],
            truth: Box::new(|i| truth(&i[0], &i[1])),
            operation: Box::new(|_, i| {
                scored(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([s, 1])
            }),
        }
        .check();
    }
}
