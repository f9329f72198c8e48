//! Losses of lists, the correlation term, the optimiser.

use super::super::device::host;
use super::super::support::{Source, lists};
use super::super::tolerance;
use super::super::truth::training as truth;
use super::{Bench, Groups, check, compare, groups};
use crate::ops::wgsl::{kernel as shaders, launch};
use crate::ops::{AdamW, AdamWStep, Objective};

/// Lengths of the lists, number of texts, and what MWED's temperature is to be; the last is held.
const LISTS: [(&[usize], usize, f64); 6] = [
    (&[1, 2, 3, 17, 31], 33, 2.0),
    (&[1], 1, 2.0),
    (&[200], 127, 2.0),
    (&[127, 129, 1], 200, -0.75),
    (&[64, 65, 63], 31, 0.5),
    (&[3, 17], 17, 5e-4),
];

pub(super) fn list_loss(bench: &Bench) {
    for kernel in bench.variants("list_loss") {
        let named = |objective: &Objective| kernel.name == format!("list_loss_{objective}");
        let objective = Objective::ALL.into_iter().find(named).expect("an objective's variant");
        for (lengths, texts, temperature) in bench.sizes(LISTS) {
            let scores = Source::new(81).exact(texts);
            let mut lists = lists(objective, lengths, texts);
            let beta = f64::from(lists.beta);
            let with_sums = |list: usize| {
                let range = lists.offsets[list] as usize..lists.offsets[list + 1] as usize;
                let lm: f64 = lists.rows[range].iter().map(|&row| scores[row as usize]).sum();
                let errors = 3.0 + list as f64;
                [(-temperature * errors - beta * lm) as f32, errors as f32]
            };
            lists.sums = (0..lists.len()).map(with_sums).collect();
            let floats = |pairs: &[[f32; 2]]| -> Vec<u32> {
                pairs.iter().flatten().map(|value| value.to_bits()).collect()
            };
            let (losses, slopes) =
                (bench.gpu.output([lists.len()]), bench.gpu.output([lists.rows.len()]));
            let call = shaders::list_loss::Arguments {
                scores: &bench.gpu.floats([texts], &scores),
                rows: &bench.gpu.words(&lists.rows),
                terms: &bench.gpu.words(&floats(&lists.terms)),
                sums: &bench.gpu.words(&floats(&lists.sums)),
                offsets: &bench.gpu.words(&lists.offsets),
                losses: &losses,
                slopes: &slopes,
                lists: lists.len() as u32,
                beta: lists.beta,
            };
            launch(kernel, &call, groups(lists.len(), 1));
            let expected = truth::list_losses(&scores, &lists);
            // A list of one hypothesis has nothing to choose.
            let most = compare(kernel, &format!("losses {lengths:?}"), &expected.0, &losses)
                + compare(kernel, &format!("slopes {lengths:?}"), &expected.1, &slopes);
            assert!(most > 0.0 || lengths == [1], "{}: all zero", kernel.name);
        }
    }
}

pub(super) fn list_loss_backward(bench: &Bench) {
    for kernel in bench.variants("list_loss_backward") {
        for (hypotheses, texts) in bench.sizes([(33, 17), (1, 1), (200, 127), (129, 3), (31, 129)])
        {
            let slopes = Source::new(82).exact(hypotheses);
            let rows: Vec<u32> = (0..hypotheses).map(|i| (i * 7 % texts) as u32).collect();
            let dscores = bench.gpu.output([texts]);
            let call = shaders::list_loss_backward::Arguments {
                upstream: &bench.gpu.floats([1], &[0.75]),
                rows: &bench.gpu.words(&rows),
                slopes: &bench.gpu.floats([hypotheses], &slopes),
                dscores: &dscores,
                hypotheses: hypotheses as u32,
                texts: texts as u32,
                factor: 0.5,
            };
            launch(kernel, &call, groups(texts, kernel.constant("THREADS")));
            let sums = truth::by_text(&slopes, &rows, texts);
            let expected: Vec<f64> = sums.iter().map(|sum| 0.375 * sum).collect();
            check(kernel, &format!("{hypotheses} of {texts}"), &expected, &dscores);
        }
    }
}

/// Rows and columns, 2 of either at least.
const MATRICES: [[usize; 2]; 7] =
    [[33, 31], [2, 3], [3, 2], [17, 129], [127, 33], [200, 17], [129, 65]];

/// Values of which the third column hardly differs, so that its deviation is held.
fn cls(source: &mut Source, [n, d]: [usize; 2]) -> Vec<f64> {
    let hold = |(i, x): (usize, f64)| if i % d == 2 { 0.25 } else { x };
    source.exact(n * d).into_iter().enumerate().map(hold).collect()
}

fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value as f32)).collect()
}

pub(super) fn correlation_standardise(bench: &Bench) {
    for kernel in bench.variants("correlation_standardise") {
        for size @ [n, d] in bench.sizes(MATRICES) {
            let cls = cls(&mut Source::new(83), size);
            let (z, scales) = (bench.gpu.output([n, d]), bench.gpu.output([d, 2]));
            let call = shaders::correlation_standardise::Arguments {
                cls: &bench.gpu.floats([n, d], &cls),
                z: &z,
                scales: &scales,
                rows: n as u32,
                width: d as u32,
            };
            launch(kernel, &call, groups(d, kernel.constant("COLUMNS")));
            let expected = truth::standardise(&cls, size);
            check(kernel, &format!("z {size:?}"), &expected.0, &z);
            // A held column's are of another size than the rest: each by its own.
            let relative = tolerance::of(kernel.entry).relative;
            for (expected, found) in expected.1.iter().zip(host(&scales)) {
                let near = (expected - found).abs() <= relative * expected;
                assert!(near, "{}: scales {size:?}: {found}, expected {expected}", kernel.name);
            }
        }
    }
}

pub(super) fn correlation_matrix(bench: &Bench) {
    for kernel in bench.variants("correlation_matrix") {
        let tile = kernel.constant("TILE") as usize;
        for size @ [n, d] in bench.sizes(MATRICES) {
            let z = rounded(&truth::standardise(&cls(&mut Source::new(84), size), size).0);
            let across = d.div_ceil(tile);
            let (off, partials) = (bench.gpu.output([d, d]), bench.gpu.output([across * across]));
            let call = shaders::correlation_matrix::Arguments {
                z: &bench.gpu.floats([n, d], &z),
                off: &off,
                partials: &partials,
                rows: n as u32,
                width: d as u32,
            };
            launch(kernel, &call, groups(across * across, 1));
            let expected = truth::off(&z, size);
            let mut squares = vec![0.0; across * across];
            for (i, r) in expected.iter().enumerate() {
                squares[i / d / tile * across + i % d / tile] += r * r;
            }
            check(kernel, &format!("off {size:?}"), &expected, &off);
            check(kernel, &format!("partials {size:?}"), &squares, &partials);
        }
    }
}

pub(super) fn correlation_finish(bench: &Bench) {
    for kernel in bench.variants("correlation_finish") {
        for (count, width) in bench.sizes([(9, 129), (1, 2), (1, 33), (529, 1472)]) {
            let partials: Vec<f64> = Source::new(85).exact(count).iter().map(|x| x.abs()).collect();
            let value = bench.gpu.output([1]);
            let call = shaders::correlation_finish::Arguments {
                partials: &bench.gpu.floats([count], &partials),
                value: &value,
                count: count as u32,
                width: width as u32,
            };
            launch(kernel, &call, Groups::linear(1));
            let expected = (partials.iter().sum::<f64>() / (width * (width - 1)) as f64).sqrt();
            check(kernel, &format!("{count} {width}"), &[expected], &value);
        }
    }
}

pub(super) fn correlation_backward(bench: &Bench) {
    for kernel in bench.variants("correlation_backward") {
        let tile = kernel.constant("TILE") as usize;
        for size @ [n, d] in bench.sizes(MATRICES) {
            let (z, scales) = truth::standardise(&cls(&mut Source::new(86), size), size);
            // A held column's factor of 1e5 would be all that the comparison sees.
            let tame = |scale: f64| if scale > 1e4 { 2.0 } else { scale };
            let (z, scales) =
                (rounded(&z), rounded(&scales.into_iter().map(tame).collect::<Vec<_>>()));
            let off = rounded(&truth::off(&z, size));
            let value = rounded(&[truth::correlation(&off, d)]);
            // Two rows have correlations of 1 and -1 whatever they are: what is left is rounding.
            let factor = if n == 2 { 1.0 } else { 64.0 };
            let dcls = bench.gpu.output([n, d]);
            let call = shaders::correlation_backward::Arguments {
                upstream: &bench.gpu.floats([1], &[0.75]),
                value: &bench.gpu.floats([1], &value),
                z: &bench.gpu.floats([n, d], &z),
                scales: &bench.gpu.floats([d, 2], &scales),
                off: &bench.gpu.floats([d, d], &off),
                dcls: &dcls,
                rows: n as u32,
                width: d as u32,
                factor,
            };
            launch(kernel, &call, groups(n.div_ceil(tile) * d.div_ceil(tile), 1));
            let expected = truth::correlation_backward(
                0.75 * f64::from(factor),
                value[0],
                &z,
                &scales,
                &off,
                size,
            );
            let most = compare(kernel, &format!("{size:?}"), &expected, &dcls);
            assert!(most > 1e-3 || n == 2, "{}: {size:?}: all zero", kernel.name);
        }
    }
}

/// Sums of squares as `global_norm` splits them.
fn partials(g: &[f64], count: usize, threads: usize) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    for (i, g) in g.iter().enumerate() {
        sums[i / threads % count] += g * g;
    }
    sums
}

const LENGTHS: [usize; 7] = [1025, 1, 2, 31, 129, 4097, 70_001];

pub(super) fn global_norm(bench: &Bench) {
    for kernel in bench.variants("global_norm") {
        let [count, threads] = ["PARTIALS", "THREADS"].map(|name| kernel.constant(name) as usize);
        for len in bench.sizes(LENGTHS) {
            let (g, sums) = (Source::new(87).exact(len), bench.gpu.output([count]));
            let call = shaders::global_norm::Arguments {
                g: &bench.gpu.floats([len], &g),
                partials: &sums,
                count: len as u32,
            };
            launch(kernel, &call, groups(count, 1));
            check(kernel, &format!("{len}"), &partials(&g, count, threads), &sums);
        }
    }
}

pub(super) fn adamw(bench: &Bench) {
    let count = shaders::global_norm::variant().constant("PARTIALS") as usize;
    for kernel in bench.variants("adamw") {
        for (i, len) in bench.sizes(LENGTHS.into_iter().enumerate()) {
            let mut source = Source::new(88);
            let step = AdamWStep {
                settings: AdamW::new(0.01, [0.5, 0.0, 1e9][i % 3]),
                lr: 0.1,
                step: 1 + 3 * i,
            };
            let (mut g, parameters) = (source.exact(len), source.exact(len));
            let (first, second) =
                (source.exact(len), source.exact(len).iter().map(|x| x.abs()).collect());
            let mut state = [parameters, first, second];
            let broken = i == 3;
            if broken {
                g[len / 2] = f64::INFINITY;
            }
            let on_device = state.each_ref().map(|values| bench.gpu.floats([len], values));
            let norm = bench.gpu.output([1]);
            let [correction1, correction2] = step.corrections();
            let schedule = [step.lr, correction1, correction2];
            let call = shaders::adamw::Arguments {
                g: &bench.gpu.floats([len], &g),
                parameters: &on_device[0],
                first: &on_device[1],
                second: &on_device[2],
                partials: &bench.gpu.floats([count], &partials(&g, count, 256)),
                schedule: &bench.gpu.floats([3], &schedule),
                norm: &norm,
                count: len as u32,
                weight_decay: step.settings.weight_decay as f32,
                beta1: step.settings.beta1 as f32,
                beta2: step.settings.beta2 as f32,
                epsilon: step.settings.epsilon as f32,
                rest1: (1.0 - step.settings.beta1) as f32,
                rest2: (1.0 - step.settings.beta2) as f32,
                clip_norm: step.settings.clip_norm as f32,
            };
            launch(kernel, &call, groups(len, kernel.constant("BLOCK")));
            if broken {
                // A norm that is not finite changes nothing else.
                assert!(!host(&norm)[0].is_finite());
            } else {
                let expected = truth::adamw(&mut state, &g, &step);
                check(kernel, &format!("norm {len}"), &[expected], &norm);
            }
            for (name, (expected, found)) in
                ["parameters", "first", "second"].iter().zip(state.iter().zip(&on_device))
            {
                check(kernel, &format!("{name} {len}"), expected, found);
            }
        }
    }
}

pub(super) fn cut(bench: &Bench) {
    let mut source = Source::new(91);
    for kernel in bench.variants("cut") {
        for [offset, length] in bench.sizes([[0, 1], [1, 1], [31, 33], [127, 1025], [3, 2049]]) {
            let flat = source.exact(offset + length + 2);
            let y = bench.gpu.output([length]);
            let call = shaders::cut::Arguments {
                flat: &bench.gpu.floats([flat.len()], &flat),
                y: &y,
                offset: offset as u32,
                length: length as u32,
            };
            launch(kernel, &call, groups(length, kernel.constant("BLOCK")));
            check(kernel, &format!("{length} from {offset}"), &flat[offset..][..length], &y);
        }
    }
}

pub(super) fn pack(bench: &Bench) {
    for kernel in bench.variants("pack") {
        for lengths in
            bench.sizes([[33, 1, 0, 1025, 17, 3], [1, 0, 0, 0, 0, 0], [127, 129, 31, 2, 2049, 1]])
        {
            let mut source = Source::new(89);
            let parts = lengths.map(|length| source.exact(length.max(1)));
            let gpu = parts.each_ref().map(|part| bench.gpu.floats([part.len()], part));
            // From the last to the first, with one element between them that nothing covers.
            let mut offsets = [0; 6];
            for k in (0..5).rev() {
                offsets[k] = offsets[k + 1] + lengths[k + 1] + 1;
            }
            let len = offsets[0] + lengths[0] + 1;
            let before = source.exact(len);
            let flat = bench.gpu.floats([len], &before);
            let mut expected = before;
            for k in 0..6 {
                expected[offsets[k]..offsets[k] + lengths[k]]
                    .copy_from_slice(&parts[k][..lengths[k]]);
            }
            let [length0, length1, length2, length3, length4, length5] = lengths.map(|n| n as u32);
            let [offset0, offset1, offset2, offset3, offset4, offset5] = offsets.map(|n| n as u32);
            let [s0, s1, s2, s3, s4, s5] = gpu.each_ref();
            let call = shaders::pack::Arguments {
                s0,
                s1,
                s2,
                s3,
                s4,
                s5,
                flat: &flat,
                length0,
                length1,
                length2,
                length3,
                length4,
                length5,
                offset0,
                offset1,
                offset2,
                offset3,
                offset4,
                offset5,
            };
            launch(kernel, &call, groups(lengths.iter().sum(), kernel.constant("BLOCK")));
            check(kernel, &format!("{lengths:?}"), &expected, &flat);
        }
    }
}
