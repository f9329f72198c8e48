//! Attention in f64.

use crate::ops::tests::truth::{dot, softmax};
use crate::ops::{Segments, Window};

/// Packed rows of queries, keys and values `[t, 3 h]`, or of keys and values `[t, 2 h]`.
pub struct Attention<'a> {
    pub segments: &'a Segments,
    pub heads: usize,
    pub head: usize,
    /// What a row attends to, if not its whole segment; not for `[CLS]`.
    pub window: Option<&'a Window>,
}

/// The saved state of softmax: output, log-sums.
pub type Forward = (Vec<f64>, Vec<f64>);

impl Attention<'_> {
    fn width(&self) -> usize {
        self.heads * self.head
    }

    fn scale(&self) -> f64 {
        1.0 / (self.head as f64).sqrt()
    }

    /// Values of one head in part `part` of a row of `parts`.
    fn at(&self, row: usize, part: usize, parts: usize, head: usize) -> std::ops::Range<usize> {
        let start = (row * parts + part) * self.width() + head * self.head;
        start..start + self.head
    }

    /// Every query with the head and the rows that it attends to.
    fn queries(&self) -> impl Iterator<Item = (usize, usize, Vec<usize>)> + '_ {
        let seen = |row: usize, range: std::ops::Range<usize>| -> Vec<usize> {
            range
                .filter(|other| self.window.is_none_or(|window| window.sees(row, *other)))
                .collect()
        };
        let rows = self
            .segments
            .ranges()
            .flat_map(move |range| range.clone().map(move |row| (row, seen(row, range.clone()))));
        rows.flat_map(|(row, range)| (0..self.heads).map(move |h| (row, h, range.clone())))
    }

    /// Output `[t, h]` and log-sums `[t, heads]`.
    pub fn whole(&self, qkv: &[f64]) -> Forward {
        let (mut out, mut logs) = (Vec::new(), Vec::new());
        for (row, h, range) in self.queries() {
            let q = &qkv[self.at(row, 0, 3, h)];
            let scores: Vec<f64> =
                range.iter().map(|j| self.scale() * dot(q, &qkv[self.at(*j, 1, 3, h)])).collect();
            let (weights, log_sum) = softmax(&scores);
            logs.push(log_sum);
            out.extend((0..self.head).map(|c| -> f64 {
                let value = |j: usize| qkv[self.at(j, 2, 3, h)][c];
                range.iter().zip(&weights).map(|(j, w)| w * value(*j)).sum()
            }));
        }
        (out, logs)
    }

    /// Gradient with respect to qkv, from the gradient, the output and the log-sums.
    pub fn whole_backward(&self, g: &[f64], qkv: &[f64], out: &[f64], logs: &[f64]) -> Vec<f64> {
        let mut grads = vec![0.0; qkv.len()];
        for (i, h, range) in self.queries() {
            let (q, gi) = (&qkv[self.at(i, 0, 3, h)], &g[self.at(i, 0, 1, h)]);
            let along = dot(gi, &out[self.at(i, 0, 1, h)]);
            for j in range {
                let (k, v) = (&qkv[self.at(j, 1, 3, h)], &qkv[self.at(j, 2, 3, h)]);
                let weight = (self.scale() * dot(q, k) - logs[i * self.heads + h]).exp();
                let slope = self.scale() * weight * (dot(gi, v) - along);
                for c in 0..self.head {
                    grads[self.at(i, 0, 3, h)][c] += slope * k[c];
                    grads[self.at(j, 1, 3, h)][c] += slope * q[c];
                    grads[self.at(j, 2, 3, h)][c] += weight * gi[c];
                }
            }
        }
        grads
    }

    /// Output `[s, h]` and log-sums `[s, heads]` of one query `[s, h]` for each segment.
    pub fn cls(&self, q: &[f64], kv: &[f64]) -> Forward {
        let (mut out, mut logs) = (Vec::new(), Vec::new());
        for (s, range) in self.segments.ranges().enumerate() {
            for h in 0..self.heads {
                let q = &q[self.at(s, 0, 1, h)];
                let key = |j| self.scale() * dot(q, &kv[self.at(j, 0, 2, h)]);
                let (weights, log_sum) = softmax(&range.clone().map(key).collect::<Vec<_>>());
                logs.push(log_sum);
                out.extend((0..self.head).map(|c| -> f64 {
                    let value = |j: usize| kv[self.at(j, 1, 2, h)][c];
                    range.clone().zip(&weights).map(|(j, w)| w * value(j)).sum()
                }));
            }
        }
        (out, logs)
    }

    /// Gradients with respect to q and kv.
    pub fn cls_backward(&self, g: &[f64], q: &[f64], kv: &[f64], logs: &[f64]) -> Forward {
        let (mut dq, mut dkv) = (vec![0.0; q.len()], vec![0.0; kv.len()]);
        for (s, range) in self.segments.ranges().enumerate() {
            for h in 0..self.heads {
                let (own, gs) = (&q[self.at(s, 0, 1, h)], &g[self.at(s, 0, 1, h)]);
                let weight = |j| {
                    (self.scale() * dot(own, &kv[self.at(j, 0, 2, h)]) - logs[s * self.heads + h])
                        .exp()
                };
                let by_weight = |j| dot(gs, &kv[self.at(j, 1, 2, h)]);
                let along: f64 = range.clone().map(|j| weight(j) * by_weight(j)).sum();
                for j in range.clone() {
                    let slope = self.scale() * weight(j) * (by_weight(j) - along);
                    for c in 0..self.head {
                        dq[self.at(s, 0, 1, h)][c] += slope * kv[self.at(j, 0, 2, h)][c];
                        dkv[self.at(j, 0, 2, h)][c] += slope * own[c];
                        dkv[self.at(j, 1, 2, h)][c] += weight(j) * gs[c];
                    }
                }
            }
        }
        (dq, dkv)
    }
}
