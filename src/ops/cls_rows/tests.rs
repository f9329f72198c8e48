//! Compares all implementations of gathering `[CLS]` rows with f64.

use burn::backend::Flex;

use super::{
    ClsRows, ClsRowsKernels, composed_gather_cls, composed_scatter_cls, gather_cls as gathered,
};
use crate::ops::Segments;
use crate::ops::tests::cpu_path::same;
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, by_row, check, groups, kernel_tests};
use crate::ops::tests::support::{Source, of_lengths, segmentations as all_segmentations};
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(gather_cls: COPY, scatter_cls: COPY);

/// First row of each segment.
fn gather(x: &[f64], segments: &Segments, width: usize) -> Vec<f64> {
    let first = |row: usize| x[row * width..(row + 1) * width].iter().copied();
    segments.ranges().flat_map(|range| first(range.start)).collect()
}

/// The rows of g at the first rows of the segments, zeros elsewhere.
fn scatter(g: &[f64], segments: &Segments, width: usize) -> Vec<f64> {
    let mut all = vec![0.0; segments.rows() * width];
    for (s, range) in segments.ranges().enumerate() {
        let at = range.start * width;
        all[at..at + width].copy_from_slice(&g[s * width..(s + 1) * width]);
    }
    all
}

fn segmentations() -> Vec<(Segments, usize)> {
    let list: Vec<usize> = (0..200).map(|i| 1 + i * 7 % 23).collect();
    let all: [(&[usize], usize); 5] =
        [(&[3, 1, 17], 33), (&[1], 1), (&[512], 129), (&[127, 1, 129], 17), (&list, 31)];
    all.iter().map(|(lengths, width)| (of_lengths(lengths), *width)).collect()
}

fn gather_cls(bench: &Bench) {
    for kernel in bench.variants("gather_cls") {
        for (segments, h) in bench.sizes(segmentations()) {
            let (t, s) = (segments.rows(), segments.len());
            let (x, y) = (Source::new(67).exact(t * h), bench.gpu.output([s, h]));
            let call = shaders::gather_cls::Arguments {
                x: &bench.gpu.floats([t, h], &x),
                offsets: &bench.gpu.words(segments.offsets()),
                y: &y,
                segments: s as u32,
                width: h as u32,
            };
            launch(kernel, &call, groups(s * h, kernel.constant("BLOCK")));
            check(kernel, &format!("{s} of {t} {h}"), &gather(&x, &segments, h), &y);
        }
    }
}

fn scatter_cls(bench: &Bench) {
    for kernel in bench.variants("scatter_cls") {
        for (segments, h) in bench.sizes(segmentations()) {
            let (t, s) = (segments.rows(), segments.len());
            let (g, dx) = (Source::new(68).exact(s * h), bench.gpu.output([t, h]));
            let call = shaders::scatter_cls::Arguments {
                g: &bench.gpu.floats([s, h], &g),
                offsets: &bench.gpu.words(segments.offsets()),
                dx: &dx,
                rows: t as u32,
                segments: s as u32,
                width: h as u32,
            };
            launch(kernel, &call, by_row(kernel, t));
            check(kernel, &format!("{s} of {t} {h}"), &scatter(&g, &segments, h), &dx);
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(15);
    for segments in all_segmentations() {
        let (x, g) = (source.f32([segments.rows(), 5]), source.f32([segments.len(), 5]));
        same(
            "gather_cls",
            composed_gather_cls::<Flex>(x.clone(), &segments),
            Flex::gather_cls(x, segments.clone()),
        );
        same(
            "scatter_cls",
            composed_scatter_cls::<Flex>(g.clone(), &segments),
            Flex::scatter_cls(g, segments),
        );
    }
}

#[test]
fn composed_gradient() {
    let segments = of_lengths(&[2, 1, 3]);
    finite_differences::check(
        "rows of [CLS]",
        &[Source::new(7).f64([6, 5])],
        |i| composed_gather_cls::<Flex>(i[0].clone(), &segments),
        |g, _| vec![composed_scatter_cls::<Flex>(g, &segments)],
    );
}

#[test]
fn gpu_path() {
    let segments = of_lengths(&[3, 1, 17]);
    gpu::compare("gather_cls", &[[21, 5]], |_, i| gathered(i[0].clone(), &segments));
}

#[test]
fn gpu_gradient() {
    for segments in all_segmentations() {
        let (t, s) = (segments.rows(), segments.len());
        Case {
            name: format!("gather_cls {s} of {t}"),
            kernel: "gather_cls",
            shapes: vec![[t, 17]],
            truth: Box::new(|i| gather(&i[0], &segments, 17)),
            operation: Box::new(|_, i| gathered(i[0].clone(), &segments)),
        }
        .check();
    }
}
