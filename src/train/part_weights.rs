//! Weights of the parts of the first-pass score in training.
//!
//! As the first-pass scale, they calibrate the first pass: they maximise the likelihood of the hypotheses with the
//! fewest errors under a softmax over the list, whose logits are a weighted sum of the score and its parts. Beyerlein
//! (ICASSP 1998) combines the models of a recogniser in such a log-linear model.

use std::collections::BTreeMap;

use crate::score::PartWeights;

/// Newton steps at most. The objective is nearly quadratic, and a few are enough.
const STEPS: usize = 30;
/// Gain of the log-likelihood per list below which the search ends.
const ENOUGH: f64 = 1e-7;
/// Least weight of the score, relative to parts of the same spread. Below it, the score is useless, and weights
/// relative to it would be arbitrary.
const LEAST_SCORE: f64 = 0.02;

/// The scores of one training list; all vectors have one entry per hypothesis.
pub(super) struct PartedList<'a> {
    pub first: &'a [f64],
    pub parts: &'a BTreeMap<String, Vec<f64>>,
    pub errors: &'a [u32],
}

/// The weights relative to the score, which has weight 1. A part that does not differ within any list has none.
pub(super) fn fit(lists: &[PartedList<'_>]) -> PartWeights {
    let mut names: Vec<&str> =
        lists.iter().flat_map(|list| list.parts.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let column = |list: &PartedList<'_>, at: usize| -> Option<Vec<f64>> {
        match at {
            0 => Some(list.first.to_vec()),
            _ => list.parts.get(names[at - 1]).cloned(),
        }
    };
    let spreads: Vec<f64> = (0..=names.len())
        .map(|at| spread(lists.iter().filter_map(|list| column(list, at))))
        .collect();
    // Without differences of the score there is nothing that weights could be relative to.
    if spreads[0] == 0.0 {
        return PartWeights::new();
    }
    let used: Vec<usize> = (0..spreads.len()).filter(|&at| spreads[at] > 0.0).collect();
    let rows = |list: &PartedList<'_>| -> Vec<Vec<f64>> {
        let columns: Vec<Option<Vec<f64>>> = used.iter().map(|&at| column(list, at)).collect();
        (0..list.errors.len())
            .map(|h| {
                let value = |(at, column): (&usize, &Option<Vec<f64>>)| {
                    column.as_ref().map_or(0.0, |column| column[h] / spreads[*at])
                };
                used.iter().zip(&columns).map(value).collect()
            })
            .collect()
    };
    let problem: Vec<(Vec<Vec<f64>>, Vec<bool>)> = lists
        .iter()
        .map(|list| {
            let fewest = list.errors.iter().min().copied();
            (rows(list), list.errors.iter().map(|errors| Some(*errors) == fewest).collect())
        })
        .collect();
    let theta = maximise(&problem, used.len());
    let score = theta[0].max(LEAST_SCORE) / spreads[0];
    let weight =
        |(&at, &theta): (&usize, &f64)| (names[at - 1].to_owned(), theta / spreads[at] / score);
    used.iter().zip(&theta).skip(1).map(weight).collect()
}

/// Root mean square of the differences from the mean of a list.
fn spread(lists: impl Iterator<Item = Vec<f64>>) -> f64 {
    let (mut squares, mut count) = (0.0, 0_usize);
    for values in lists {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        squares += values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        count += values.len();
    }
    if count == 0 { 0.0 } else { libm::sqrt(squares / count as f64) }
}

/// Newton's method with halved steps. A Gaussian prior of unit variance on the weights of the parts decides where the
/// score is a sum of the parts, and keeps weights finite that separate the lists.
fn maximise(lists: &[(Vec<Vec<f64>>, Vec<bool>)], size: usize) -> Vec<f64> {
    let mut theta = vec![0.0; size];
    theta[0] = 1.0;
    let mut current = evaluate(lists, &theta);
    for _ in 0..STEPS {
        let Some(step) = solve(current.curvature.clone(), current.gradient.clone()) else { break };
        let mut length = 1.0;
        let better = loop {
            let next: Vec<f64> = theta.iter().zip(&step).map(|(t, s)| t + length * s).collect();
            let found = evaluate(lists, &next);
            if found.value > current.value {
                break Some((next, found));
            }
            length *= 0.5;
            if length < 1e-6 {
                break None;
            }
        };
        let Some((next, found)) = better else { break };
        let gain = found.value - current.value;
        (theta, current) = (next, found);
        if gain < ENOUGH * lists.len() as f64 {
            break;
        }
    }
    theta
}

struct Evaluated {
    value: f64,
    gradient: Vec<f64>,
    /// The negative Hessian without the part of the best hypotheses, so that it is positive definite.
    curvature: Vec<Vec<f64>>,
}

fn evaluate(lists: &[(Vec<Vec<f64>>, Vec<bool>)], theta: &[f64]) -> Evaluated {
    let size = theta.len();
    let prior = |at: usize| if at == 0 { 0.0 } else { 1.0 };
    let mut gradient: Vec<f64> = (0..size).map(|at| -prior(at) * theta[at]).collect();
    let mut curvature = vec![vec![0.0; size]; size];
    for (at, row) in curvature.iter_mut().enumerate() {
        row[at] = 1e-6 + prior(at);
    }
    let mut value = -0.5 * (0..size).map(|at| prior(at) * theta[at] * theta[at]).sum::<f64>();
    for (rows, best) in lists {
        let logits: Vec<f64> =
            rows.iter().map(|row| row.iter().zip(theta).map(|(x, t)| x * t).sum()).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - largest)).collect();
        let all: f64 = weights.iter().sum();
        // Never 0: the logits are those of one list, and the best are among them.
        let of_best: f64 =
            weights.iter().zip(best).filter(|(_, best)| **best).map(|(w, _)| w).sum::<f64>();
        let of_best = of_best.max(f64::MIN_POSITIVE);
        value += libm::log(of_best / all);
        let mut mean = vec![0.0; size];
        for ((row, &weight), &best) in rows.iter().zip(&weights).zip(best) {
            let posterior = weight / all;
            let target = if best { weight / of_best } else { 0.0 };
            for (i, (line, &x)) in curvature.iter_mut().zip(row).enumerate() {
                mean[i] += posterior * x;
                gradient[i] += (target - posterior) * x;
                line.iter_mut().zip(row).for_each(|(value, &y)| *value += posterior * x * y);
            }
        }
        for (line, x) in curvature.iter_mut().zip(&mean) {
            line.iter_mut().zip(&mean).for_each(|(value, y)| *value -= x * y);
        }
    }
    Evaluated { value, gradient, curvature }
}

/// Gaussian elimination with pivots; `None` for a singular matrix.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let size = b.len();
    for at in 0..size {
        let pivot = (at..size).max_by(|&i, &j| a[i][at].abs().total_cmp(&a[j][at].abs()))?;
        if a[pivot][at].abs() < 1e-12 {
            return None;
        }
        a.swap(at, pivot);
        b.swap(at, pivot);
        for below in at + 1..size {
            let factor = a[below][at] / a[at][at];
            let (upper, lower) = a.split_at_mut(below);
            for (value, above) in lower[0].iter_mut().zip(&upper[at]).skip(at) {
                *value -= factor * above;
            }
            b[below] -= factor * b[at];
        }
    }
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|j| a[at][j] * b[j]).sum();
        b[at] = (b[at] - known) / a[at][at];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    type Lists = Vec<(Vec<f64>, BTreeMap<String, Vec<f64>>, Vec<u32>)>;

    /// Lists whose best hypothesis is drawn from a softmax of `am + 0.5 ctc`, in units of 20. The score is `am + 2 ctc`.
    fn lists() -> Lists {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = move || (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32);
        (0..3000)
            .map(|_| {
                let mut part = || (0..5).map(|_| 80.0 * uniform()).collect::<Vec<f64>>();
                let (am, ctc) = (part(), part());
                let noisy = am
                    .iter()
                    .zip(&ctc)
                    .map(|(am, ctc)| (am + 0.5 * ctc) / 20.0 - (-uniform().ln()).ln());
                let best = noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
                let first = am.iter().zip(&ctc).map(|(am, ctc)| am + 2.0 * ctc).collect();
                let parts = [
                    ("am".to_owned(), am),
                    ("ctc".to_owned(), ctc),
                    ("flat".to_owned(), vec![1.0; 5]),
                ];
                (first, parts.into(), (0..5).map(|at| u32::from(at != best)).collect())
            })
            .collect()
    }

    fn fitted(lists: &Lists) -> PartWeights {
        let views: Vec<PartedList<'_>> = lists
            .iter()
            .map(|(first, parts, errors)| PartedList { first, parts, errors })
            .collect();
        fit(&views)
    }

    #[test]
    fn the_weights_that_drew_the_lists_are_found() {
        let weights = fitted(&lists());
        assert_eq!(
            weights.keys().collect::<Vec<_>>(),
            ["am", "ctc"],
            "a constant part has no weight"
        );
        // score + weights = am (1 + a) + ctc (2 + c), in the ratio of 1 to 0.5.
        let ratio = (2.0 + weights["ctc"]) / (1.0 + weights["am"]);
        assert!((ratio - 0.5).abs() < 0.05, "{ratio} {weights:?}");
        assert_eq!(fitted(&lists()), weights, "the same again");
    }

    #[test]
    fn without_parts_or_differences_there_are_no_weights() {
        let mut lists = lists();
        lists.truncate(50);
        for (first, _, _) in &mut lists {
            first.fill(-1.0);
        }
        assert_eq!(fitted(&lists), PartWeights::new());
        for (first, parts, _) in &mut lists {
            first.iter_mut().zip(0..).for_each(|(first, at)| *first = f64::from(at));
            parts.clear();
        }
        assert_eq!(fitted(&lists), PartWeights::new());
        assert_eq!(fitted(&Vec::new()), PartWeights::new());
    }
}
