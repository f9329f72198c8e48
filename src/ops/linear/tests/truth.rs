//! Products of matrices in f64.

use crate::ops::gelu::tests::gelu;

/// A matrix from its elements.
pub fn matrix(rows: usize, columns: usize, element: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..rows * columns).map(|i| element(i / columns, i % columns)).collect()
}

/// `a b^T`: a `[m, k]`, b `[n, k]`.
pub fn nt(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    matrix(m, n, |i, j| (0..k).map(|p| a[i * k + p] * b[j * k + p]).sum())
}

/// `a b`: a `[m, k]`, b `[k, n]`.
pub fn nn(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    matrix(m, n, |i, j| (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum())
}

/// `a^T b`: a `[k, m]`, b `[k, n]`.
pub fn tn(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    matrix(m, n, |i, j| (0..k).map(|p| a[p * m + i] * b[p * n + j]).sum())
}

/// `x w^T + bias`: x `[t, k]`, w `[o, k]`, bias `[o]`.
pub fn linear(x: &[f64], w: &[f64], bias: &[f64], [t, k, o]: [usize; 3]) -> Vec<f64> {
    let product = nt(x, w, [t, k, o]);
    matrix(t, o, |i, j| product[i * o + j] + bias[j])
}

/// The GELU of every element.
pub fn activated(pre: &[f64]) -> Vec<f64> {
    pre.iter().copied().map(gelu).collect()
}
