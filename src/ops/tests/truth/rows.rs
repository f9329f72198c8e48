//! Operations on rows and on single elements.

use super::dot;
use crate::ops::Segments;

/// `x (1 + erf(x / sqrt 2)) / 2`.
pub fn gelu(x: f64) -> f64 {
    x * normal(x)
}

/// `gelu'(x)`: the normal distribution's function, and x times its density.
pub fn gelu_slope(x: f64) -> f64 {
    normal(x) + x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn normal(x: f64) -> f64 {
    f64::midpoint(1.0, libm::erf(x / std::f64::consts::SQRT_2))
}

/// Rows of `width`, normalised before gamma, and one over their deviations.
pub fn normalise(x: &[f64], width: usize, epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut normalised, mut inverses) = (Vec::new(), Vec::new());
    for row in x.chunks(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        normalised.extend(row.iter().map(|x| (x - mean) * inverse));
        inverses.push(inverse);
    }
    (normalised, inverses)
}

/// `n gamma + beta`.
pub fn scaled(normalised: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let width = gamma.len();
    normalised.iter().enumerate().map(|(i, n)| n * gamma[i % width] + beta[i % width]).collect()
}

/// `(h - mean h - n mean(h n)) inverse` with `h = g gamma`.
pub fn normalise_backward(
    g: &[f64],
    normalised: &[f64],
    inverses: &[f64],
    gamma: &[f64],
) -> Vec<f64> {
    let width = gamma.len();
    let rows = g.chunks(width).zip(normalised.chunks(width)).zip(inverses);
    rows.flat_map(|((g, n), inverse)| {
        let h: Vec<f64> = g.iter().zip(gamma).map(|(g, gamma)| g * gamma).collect();
        let mean = h.iter().sum::<f64>() / width as f64;
        let along = dot(&h, n) / width as f64;
        h.iter().zip(n).map(|(h, n)| (h - mean - n * along) * inverse).collect::<Vec<_>>()
    })
    .collect()
}

/// Sums of two, element by element.
pub fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `words[token] + positions[place] + types[0]`, ids outside a table taken for its last row.
pub fn embed(tables: [&[f64]; 3], tokens: &[i32], places: &[i32], width: usize) -> Vec<f64> {
    let [words, positions, types] = tables;
    let row = |table: &[f64], id: i32, c: usize| {
        let last = table.len() / width - 1;
        table[usize::try_from(id).map_or(last, |id| id.min(last)) * width + c]
    };
    let pairs = tokens.iter().zip(places);
    let element = |t, p, c| row(words, t, c) + row(positions, p, c) + types[c];
    pairs.flat_map(|(&t, &p)| (0..width).map(move |c| element(t, p, c))).collect()
}

/// First row of each segment.
pub fn gather(x: &[f64], segments: &Segments, width: usize) -> Vec<f64> {
    let first = |row: usize| x[row * width..(row + 1) * width].iter().copied();
    segments.ranges().flat_map(|range| first(range.start)).collect()
}

/// The rows of g at the first rows of the segments, zeros elsewhere.
pub fn scatter(g: &[f64], segments: &Segments, width: usize) -> Vec<f64> {
    let mut all = vec![0.0; segments.rows() * width];
    for (s, range) in segments.ranges().enumerate() {
        let at = range.start * width;
        all[at..at + width].copy_from_slice(&g[s * width..(s + 1) * width]);
    }
    all
}

/// `cls w + b`, the head being w and then b.
pub fn score_head(cls: &[f64], head: &[f64]) -> Vec<f64> {
    let (w, b) = head.split_at(head.len() - 1);
    cls.chunks(w.len()).map(|row| dot(row, w) + b[0]).collect()
}

/// Gradients by cls and by the head.
pub fn score_head_backward(g: &[f64], cls: &[f64], head: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let w = &head[..head.len() - 1];
    let dcls = g.iter().flat_map(|g| w.iter().map(move |w| g * w)).collect();
    let column = |c: usize| g.iter().enumerate().map(|(s, g)| g * cls[s * w.len() + c]).sum();
    let mut dhead: Vec<f64> = (0..w.len()).map(column).collect();
    dhead.push(g.iter().sum());
    (dcls, dhead)
}
