//! The f64 reference: operations as plain loops from their formulas, with which the kernels are compared. It is in the
//! tests of each operation; this file has the shared parts.
//!
//! Matrices are row-major slices. The reference shares no code with compositions, CPU path or kernels, and uses no f32.

/// `sum a b`.
pub(in crate::ops) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The value and the log of the denominator of a softmax.
pub(in crate::ops) fn softmax(scores: &[f64]) -> (Vec<f64>, f64) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
    let log_sum = highest + total.ln();
    (scores.iter().map(|s| (s - log_sum).exp()).collect(), log_sum)
}
