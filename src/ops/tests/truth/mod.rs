//! The operations as plain loops in f64, from their formulas: what the kernels are held to.
//!
//! Matrices are row-major slices. Nothing here shares code with the reference or the CPU path.

pub(super) mod attention;
pub(super) mod linear;
pub(super) mod rows;
pub(super) mod training;

/// `sum a b`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The value and the log of the denominator of a softmax.
pub(super) fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
    let log_sum = highest + total.ln();
    (scores.iter().map(|s| (s - log_sum).exp()).collect(), log_sum)
}
