//! Losses of lists, the correlation term, the optimiser.

use super::linear::{nn, tn};
use super::{dot, softmax};
use crate::ops::{AdamWStep, Lists, Objective};

/// Step of the differences that slopes are taken from.
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
        Objective::Mwed => {
            let free = -(first_sum + beta * lm.iter().sum::<f64>()) / errors;
            let temperature = if free < 0.0 { free.min(-1e-3) } else { free.max(1e-3) };
            cross_entropy(&s.iter().map(|s| -s / temperature).collect::<Vec<_>>())
        }
    }
}

/// The loss of each list, and the derivative of it by the score of each hypothesis.
pub fn list_losses(scores: &[f64], lists: &Lists) -> (Vec<f64>, Vec<f64>) {
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

/// Sums by text of the hypotheses' slopes.
pub fn by_text(slopes: &[f64], rows: &[u32], texts: usize) -> Vec<f64> {
    let of = |text| slopes.iter().zip(rows).filter(move |(_, row)| **row as usize == text);
    (0..texts).map(|text| of(text).map(|(slope, _)| slope).sum()).collect()
}

/// Columns with mean 0 and deviation 1, and for each one over its divisor and whether that moves.
pub fn standardise(cls: &[f64], [n, d]: [usize; 2]) -> (Vec<f64>, Vec<f64>) {
    let (mut z, mut scales) = (vec![0.0; n * d], Vec::new());
    for c in 0..d {
        let mean = (0..n).map(|i| cls[i * d + c]).sum::<f64>() / n as f64;
        let squares = (0..n).map(|i| (cls[i * d + c] - mean).powi(2)).sum::<f64>();
        let variance = squares / (n - 1) as f64;
        let inverse = 1.0 / variance.max(1e-10).sqrt();
        for i in 0..n {
            z[i * d + c] = (cls[i * d + c] - mean) * inverse;
        }
        scales.extend([inverse, f64::from(variance > 1e-10)]);
    }
    (z, scales)
}

/// `z^T z / (n - 1) - I`.
pub fn off(z: &[f64], [n, d]: [usize; 2]) -> Vec<f64> {
    let product = tn(z, z, [d, n, d]);
    let identity = |i: usize| f64::from(i.is_multiple_of(d + 1));
    product.iter().enumerate().map(|(i, r)| r / (n - 1) as f64 - identity(i)).collect()
}

/// `|| off ||_F / sqrt(d (d - 1))`.
pub fn correlation(off: &[f64], d: usize) -> f64 {
    (dot(off, off) / (d * (d - 1)) as f64).sqrt()
}

/// Gradient by cls, from the value, z, the scales and `R - I`.
pub fn correlation_backward(
    g: f64,
    value: f64,
    z: &[f64],
    scales: &[f64],
    off: &[f64],
    [n, d]: [usize; 2],
) -> Vec<f64> {
    let factor = 2.0 * g / ((d * (d - 1)) as f64 * value * (n - 1) as f64);
    let dz: Vec<f64> = nn(z, off, [n, d, d]).iter().map(|dz| factor * dz).collect();
    let column = |of: &[f64], c: usize| (0..n).map(|i| of[i * d + c]).sum::<f64>();
    let products: Vec<f64> = dz.iter().zip(z).map(|(dz, z)| dz * z).collect();
    let mut all = vec![0.0; n * d];
    for c in 0..d {
        let mean = column(&dz, c) / n as f64;
        let along = column(&products, c) / (n - 1) as f64;
        let [inverse, moves] = [scales[2 * c], scales[2 * c + 1]];
        for i in 0..n {
            all[i * d + c] = inverse * (dz[i * d + c] - mean - z[i * d + c] * along * moves);
        }
    }
    all
}

/// Parameters, moments and the gradient's norm after a step.
pub fn adamw(state: &mut [Vec<f64>; 3], g: &[f64], step: &AdamWStep) -> f64 {
    let (norm, adam) = (dot(g, g).sqrt(), &step.settings);
    let clip = if adam.clip_norm > 0.0 { (adam.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
    let [parameters, first, second] = state;
    let power = |beta: f64| 1.0 - beta.powi(i32::try_from(step.step).expect("few steps"));
    for (i, g) in g.iter().enumerate() {
        let g = g * clip;
        first[i] = adam.beta1 * first[i] + (1.0 - adam.beta1) * g;
        second[i] = adam.beta2 * second[i] + (1.0 - adam.beta2) * g * g;
        let root = (second[i] / power(adam.beta2)).sqrt() + adam.epsilon;
        let way = step.lr * (first[i] / power(adam.beta1)) / root;
        parameters[i] = parameters[i] * (1.0 - step.lr * adam.weight_decay) - way;
    }
    norm
}
