//! Operations on rows and on single elements.

use super::super::support::{Source, of_lengths};
use super::super::truth::rows as truth;
use super::{Bench, Kernel, ODD, check, groups};
use crate::ops::Segments;
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch;

/// Rows and widths; the last rows are longer than what any variant holds of them.
fn sizes() -> impl Iterator<Item = [usize; 2]> {
    (0..8).map(|i| [ODD[(i + 4) % 8], ODD[(i + 6) % 8]]).chain([[3, 384], [1, 1025], [2, 3331]])
}

const EPSILON: f32 = 1e-12;

/// A wide row of width 1 has no deviation but epsilon: all kernels divide by it.
fn wide_enough([_, h]: &[usize; 2]) -> bool {
    *h > 1
}

fn by_row(kernel: &Kernel, rows: usize) -> super::Groups {
    groups(rows, kernel.constant("ROWS"))
}

pub(super) fn add_layer_norm(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm") {
        for size @ [t, h] in bench.sizes(sizes().filter(wide_enough)) {
            let mut source = Source::new(61);
            let (x, residual) = (source.exact(t * h), source.exact(t * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            let [y, normalised] = [(); 2].map(|()| bench.gpu.output([t, h]));
            let inverse_deviation = bench.gpu.output([t, 1]);
            let call = shaders::add_layer_norm::Arguments {
                x: &bench.gpu.floats([t, h], &x),
                residual: &bench.gpu.floats([t, h], &residual),
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                y: &y,
                normalised: &normalised,
                inverse_deviation: &inverse_deviation,
                rows: t as u32,
                width: h as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let (n, inverses) = truth::normalise(&truth::sum(&x, &residual), h, EPSILON.into());
            check(kernel, &format!("y {size:?}"), &truth::scaled(&n, &gamma, &beta), &y);
            check(kernel, &format!("normalised {size:?}"), &n, &normalised);
            check(kernel, &format!("inverse deviation {size:?}"), &inverses, &inverse_deviation);
        }
    }
}

pub(super) fn add_layer_norm_infer(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm_infer") {
        for size @ [t, h] in bench.sizes(sizes().filter(wide_enough)) {
            let mut source = Source::new(62);
            let (x, residual) = (source.exact(t * h), source.exact(t * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            let y = bench.gpu.output([t, h]);
            let call = shaders::add_layer_norm_infer::Arguments {
                x: &bench.gpu.floats([t, h], &x),
                residual: &bench.gpu.floats([t, h], &residual),
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                y: &y,
                rows: t as u32,
                width: h as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let n = truth::normalise(&truth::sum(&x, &residual), h, EPSILON.into()).0;
            check(kernel, &format!("{size:?}"), &truth::scaled(&n, &gamma, &beta), &y);
        }
    }
}

pub(super) fn add_layer_norm_backward(bench: &Bench) {
    for kernel in bench.variants("add_layer_norm_backward") {
        for size @ [t, h] in bench.sizes(sizes()) {
            // Any numbers: what was normalised need not have been.
            let mut source = Source::new(63);
            let [g, n] = [(); 2].map(|()| source.exact(t * h));
            let (inverses, gamma) = (source.exact(t), source.exact(h));
            let dx = bench.gpu.output([t, h]);
            let call = shaders::add_layer_norm_backward::Arguments {
                g: &bench.gpu.floats([t, h], &g),
                normalised: &bench.gpu.floats([t, h], &n),
                inverse_deviation: &bench.gpu.floats([t, 1], &inverses),
                gamma: &bench.gpu.floats([h], &gamma),
                dx: &dx,
                rows: t as u32,
                width: h as u32,
            };
            launch(kernel, &call, by_row(kernel, t));
            let expected = truth::normalise_backward(&g, &n, &inverses, &gamma);
            check(kernel, &format!("{size:?}"), &expected, &dx);
        }
    }
}

pub(super) fn embed_layer_norm(bench: &Bench) {
    const TABLES: [usize; 3] = [19, 7, 2];
    for kernel in bench.variants("embed_layer_norm") {
        for size @ [t, h] in bench.sizes(sizes().filter(wide_enough)) {
            let mut source = Source::new(64);
            let tables = TABLES.map(|rows| source.exact(rows * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            // Some ids lie outside their tables.
            let ids = |m: usize| (0..t).map(move |i| ((i * 5 + 1) % (m + 2)) as i32 - 1);
            let (tokens, places): (Vec<i32>, Vec<i32>) = (ids(19).collect(), ids(7).collect());
            let words: Vec<u32> = tokens.iter().chain(&places).map(|id| *id as u32).collect();
            let [words_table, positions, types] =
                [0, 1, 2].map(|i| bench.gpu.floats([TABLES[i], h], &tables[i]));
            let y = bench.gpu.output([t, h]);
            let call = shaders::embed_layer_norm::Arguments {
                words: &words_table,
                positions: &positions,
                types: &types,
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                ids: &bench.gpu.words(&words),
                y: &y,
                rows: t as u32,
                width: h as u32,
                vocabulary: TABLES[0] as u32,
                places: TABLES[1] as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let [a, b, c] = &tables;
            let sums = truth::embed([a, b, c], &tokens, &places, h);
            let n = truth::normalise(&sums, h, EPSILON.into()).0;
            check(kernel, &format!("{size:?}"), &truth::scaled(&n, &gamma, &beta), &y);
        }
    }
}

/// Numbers from where the GELU bends, and from far out.
fn bent(source: &mut Source, count: usize) -> Vec<f64> {
    source.exact(count).into_iter().map(|x| if x > 0.95 { 9.0 * x } else { 4.0 * x }).collect()
}

/// Fewer and more than a workgroup's block.
const COUNTS: [usize; 7] = [1025, 1, 2, 17, 127, 1024, 4097];

pub(super) fn gelu_forward(bench: &Bench) {
    for kernel in bench.variants("gelu_forward") {
        for count in bench.sizes(COUNTS) {
            let (x, y) = (bent(&mut Source::new(65), count), bench.gpu.output([count]));
            let call = shaders::gelu_forward::Arguments {
                x: &bench.gpu.floats([count], &x),
                y: &y,
                count: count as u32,
            };
            launch(kernel, &call, groups(count, kernel.constant("BLOCK")));
            let expected: Vec<f64> = x.iter().map(|x| truth::gelu(*x)).collect();
            check(kernel, &format!("{count}"), &expected, &y);
        }
    }
}

pub(super) fn gelu_backward(bench: &Bench) {
    for kernel in bench.variants("gelu_backward") {
        for count in bench.sizes(COUNTS) {
            let mut source = Source::new(66);
            let (x, g) = (bent(&mut source, count), source.exact(count));
            let dx = bench.gpu.output([count]);
            let call = shaders::gelu_backward::Arguments {
                g: &bench.gpu.floats([count], &g),
                x: &bench.gpu.floats([count], &x),
                dx: &dx,
                count: count as u32,
            };
            launch(kernel, &call, groups(count, kernel.constant("BLOCK")));
            let expected: Vec<f64> =
                x.iter().zip(&g).map(|(x, g)| g * truth::gelu_slope(*x)).collect();
            check(kernel, &format!("{count}"), &expected, &dx);
        }
    }
}

fn segmentations() -> Vec<(Segments, usize)> {
    let list: Vec<usize> = (0..200).map(|i| 1 + i * 7 % 23).collect();
    let all: [(&[usize], usize); 5] =
        [(&[3, 1, 17], 33), (&[1], 1), (&[512], 129), (&[127, 1, 129], 17), (&list, 31)];
    all.iter().map(|(lengths, width)| (of_lengths(lengths), *width)).collect()
}

pub(super) fn gather_cls(bench: &Bench) {
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
            check(kernel, &format!("{s} of {t} {h}"), &truth::gather(&x, &segments, h), &y);
        }
    }
}

pub(super) fn scatter_cls(bench: &Bench) {
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
            check(kernel, &format!("{s} of {t} {h}"), &truth::scatter(&g, &segments, h), &dx);
        }
    }
}

pub(super) fn score_head(bench: &Bench) {
    for kernel in bench.variants("score_head") {
        for size @ [s, h] in bench.sizes(sizes().chain([[200, 33]])) {
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
            check(kernel, &format!("{size:?}"), &truth::score_head(&cls, &head), &scores);
        }
    }
}

pub(super) fn score_head_backward(bench: &Bench) {
    for kernel in bench.variants("score_head_backward") {
        for size @ [s, h] in bench.sizes(sizes().chain([[200, 33]])) {
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
            let expected = truth::score_head_backward(&g, &cls, &head);
            check(kernel, &format!("dcls {size:?}"), &expected.0, &dcls);
            check(kernel, &format!("dhead {size:?}"), &expected.1, &dhead);
        }
    }
}
