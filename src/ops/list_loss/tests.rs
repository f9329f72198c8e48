//! Compares all implementations of list losses with f64.

use super::{Lists, Objective, list_loss as loss};
use crate::ops::tests::directions::Case;
use crate::ops::tests::gpu;
use crate::ops::tests::kernels::{Bench, check, compare, groups, kernel_tests};
use crate::ops::tests::support::{Source, lists};
use crate::ops::tests::truth::{dot, softmax};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(list_loss: LISTS, list_loss_backward: PRODUCT);

/// Step size of the finite differences.
const STEP: f64 = 1e-6;

/// Loss of one list, from the model's scores of its hypotheses.
fn of_list(lists: &Lists, list: usize, lm: &[f64]) -> f64 {
    let range = lists.offsets[list] as usize..lists.offsets[list + 1] as usize;
    let (beta, terms) = (f64::from(lists.beta), &lists.terms[range]);
    let [first_sum, errors] = lists.sums[list].map(f64::from);
    let s: Vec<f64> = lm.iter().zip(terms).map(|(lm, t)| f64::from(t[0]) + beta * lm).collect();
    let targets: Vec<f64> = terms.iter().map(|t| f64::from(t[1])).collect();
    let cross_entropy = |logits: &[f64]| {
        let log_sum = softmax(logits).1;
        let logs: Vec<f64> = logits.iter().map(|logit| logit - log_sum).collect();
        -dot(&targets, &logs)
    };
    match lists.objective {
        Objective::Mwer => dot(&softmax(&s).0, &targets),
        Objective::Listwise => cross_entropy(&s),
        Objective::Md => {
            let off: Vec<f64> = s.iter().zip(&targets).map(|(s, t)| s - t).collect();
            let mean = off.iter().sum::<f64>() / off.len() as f64;
            off.iter().map(|off| (off - mean).powi(2)).sum::<f64>() / off.len() as f64
        }
        Objective::Mwed => {
            let free = -(first_sum + beta * lm.iter().sum::<f64>()) / errors;
            let temperature = if free < 0.0 { free.min(-1e-3) } else { free.max(1e-3) };
            cross_entropy(&s.iter().map(|s| -s / temperature).collect::<Vec<_>>())
        }
    }
}

/// The loss of each list, and its derivative with respect to the score of each hypothesis.
fn list_losses(scores: &[f64], lists: &Lists) -> (Vec<f64>, Vec<f64>) {
    let (mut losses, mut slopes) = (Vec::new(), Vec::new());
    for list in 0..lists.len() {
        let range = lists.offsets[list] as usize..lists.offsets[list + 1] as usize;
        let mut lm: Vec<f64> = lists.rows[range].iter().map(|&row| scores[row as usize]).collect();
        losses.push(of_list(lists, list, &lm));
        for i in 0..lm.len() {
            let at = lm[i];
            let [above, below] = [at + STEP, at - STEP].map(|moved| {
                lm[i] = moved;
                of_list(lists, list, &lm)
            });
            lm[i] = at;
            slopes.push((above - below) / (2.0 * STEP));
        }
    }
    (losses, slopes)
}

/// Sums of the hypotheses' slopes by text.
fn by_text(slopes: &[f64], rows: &[u32], texts: usize) -> Vec<f64> {
    let of = |text| slopes.iter().zip(rows).filter(move |(_, row)| **row as usize == text);
    (0..texts).map(|text| of(text).map(|(slope, _)| slope).sum()).collect()
}

/// Lengths of the lists, number of texts, and MWED's temperature; the last one is clamped.
const CASES: [(&[usize], usize, f64); 6] = [
    (&[1, 2, 3, 17, 31], 33, 2.0),
    (&[1], 1, 2.0),
    (&[200], 127, 2.0),
    (&[127, 129, 1], 200, -0.75),
    (&[64, 65, 63], 31, 0.5),
    (&[3, 17], 17, 5e-4),
];

fn list_loss(bench: &Bench) {
    for kernel in bench.variants("list_loss") {
        let named = |objective: &Objective| kernel.name == format!("list_loss_{objective}");
        let objective = Objective::ALL.into_iter().find(named).expect("an objective's variant");
        for (lengths, texts, temperature) in bench.sizes(CASES) {
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
            let expected = list_losses(&scores, &lists);
            // A list with one hypothesis has no gradient.
            let most = compare(kernel, &format!("losses {lengths:?}"), &expected.0, &losses)
                + compare(kernel, &format!("slopes {lengths:?}"), &expected.1, &slopes);
            assert!(most > 0.0 || lengths == [1], "{}: all zero", kernel.name);
        }
    }
}

fn list_loss_backward(bench: &Bench) {
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
            let sums = by_text(&slopes, &rows, texts);
            let expected: Vec<f64> = sums.iter().map(|sum| 0.375 * sum).collect();
            check(kernel, &format!("{hypotheses} of {texts}"), &expected, &dscores);
        }
    }
}

#[test]
fn slopes_agree_with_finite_differences() {
    const STEP: f32 = 1.0 / 512.0;
    for objective in Objective::ALL {
        let lists = lists(objective, &[2, 5, 3], 7);
        let scores: Vec<f32> = (0..7).map(|i| (i * i % 5) as f32 / 4.0).collect();
        let slopes = lists.by_text(&lists.evaluate(&scores).1, 7);
        for (i, slope) in slopes.into_iter().enumerate() {
            let moved = |by: f32| {
                let mut scores = scores.clone();
                scores[i] += by;
                lists.evaluate(&scores).0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let allowed = 1e-5 * (1.0 + expected.abs());
            assert!((slope - expected).abs() <= allowed, "{objective:?}: {slope} {expected}");
        }
    }
}

#[test]
fn gpu_path() {
    for objective in Objective::ALL {
        for (lengths, texts) in [(vec![1, 2, 3, 17, 31], 33), (vec![200], 127), (vec![10; 33], 129)]
        {
            let lists = lists(objective, &lengths, texts);
            let what = format!("{objective:?} of {} lists", lists.len());
            gpu::compare(&what, &[[texts, 1]], |_, i| {
                loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
            });
        }
    }
}

#[test]
fn gpu_gradient() {
    for objective in Objective::ALL {
        for (lengths, texts) in [(vec![1, 2, 3, 17, 31], 33), (vec![200], 127), (vec![2; 33], 129)]
        {
            let lists = lists(objective, &lengths, texts);
            Case {
                name: format!("{objective:?} of {} lists", lists.len()),
                kernel: "list_loss",
                shapes: vec![[texts, 1]],
                truth: Box::new(|i| vec![list_losses(&i[0], &lists).0.iter().sum()]),
                operation: Box::new(|_, i| {
                    loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
                }),
            }
            .check();
        }
    }
}
