//! Cases of what training alone runs: losses, the correlation term, the optimiser.

use burn::tensor::Tensor;

use super::cases::Case;
use crate::ops::wgsl::kernel::list_loss;
use crate::ops::{self, AdamW, AdamWStep, Lists, Objective};

pub(super) fn training() -> Vec<Case> {
    let mut cases: Vec<Case> = Objective::ALL.into_iter().map(loss).collect();
    let first = cases.remove(0).quick();
    cases.insert(0, first);
    cases.extend([correlation([33, 129]), adamw(1025).quick()]);
    cases
}

/// Lists of 1, 2, 17 and 70 hypotheses, some of which share a text.
fn loss(objective: Objective) -> Case {
    const LENGTHS: [usize; 4] = [1, 2, 17, 70];
    const TEXTS: usize = 65;
    let hypotheses: usize = LENGTHS.iter().sum();
    let mut offsets = vec![0];
    for length in LENGTHS {
        offsets.push(offsets[offsets.len() - 1] + length as u32);
    }
    let lists = Lists {
        objective,
        beta: 0.7,
        offsets: offsets.into(),
        rows: (0..hypotheses).map(|i| (i * 3 % TEXTS) as u32).collect(),
        terms: (0..hypotheses)
            .map(|i| [-((i * 7 % 11) as f32) / 4.0, (i * 5 % 7) as f32 - 3.0])
            .collect(),
        sums: LENGTHS.iter().map(|&length| [-9.0 * length as f32, 3.0]).collect(),
    };
    let name = format!("list_loss {objective:?}, {} lists of {TEXTS} texts", lists.len());
    let kernel = list_loss::variant(objective);
    let inputs = [("scores", [TEXTS, 1], &["list_loss_backward"] as &[_])];
    Case::new(name, &[kernel.name], &inputs, move |_, i| {
        ops::list_loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
    })
}

fn correlation([rows, width]: [usize; 2]) -> Case {
    let forward = ["correlation_standardise", "correlation_matrix", "correlation_finish"];
    let backward: &[_] = &["correlation_backward"];
    let name = format!("correlation, {rows} rows of {width}");
    // Magnified, or the gradient would be lost in what is allowed.
    Case::new(name, &forward, &[("[CLS]", [rows, width], backward)], |_, i| {
        ops::correlation(i[0].clone()).reshape([1, 1]) * 100.0
    })
}

/// Parameters after three steps, so that wrong moments show in them, with the last norm and what
/// the parameters were at first, which must not have changed.
fn adamw(len: usize) -> Case {
    let kernels = ["global_norm", "adamw", "pack"];
    Case::new(format!("adamw, 3 steps of {len} parameters"), &kernels, &[], move |source, _| {
        let (g, before) = (source.tensor([len]), source.tensor([len]));
        let zeros = Tensor::<1>::zeros([len], &source.device);
        let mut state = [before.clone(), zeros.clone(), zeros.clone(), zeros];
        for step in 1..=3 {
            let [parameters, first, second, _] = state;
            let settings = AdamWStep { settings: AdamW::new(0.01, 0.5), lr: 0.1, step };
            state = ops::adamw(parameters, g.clone(), first, second, settings);
        }
        let [parameters, _, _, norm] = state;
        let pieces = [(0, parameters), (len, norm), (len + 1, before)];
        ops::join(&pieces, 2 * len + 1).reshape([1, 2 * len + 1])
    })
}
