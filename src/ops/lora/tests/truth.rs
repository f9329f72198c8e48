//! Low-rank terms in f64.

use crate::ops::LoraPlan;
use crate::ops::linear::tests::truth::{linear, matrix, nn, nt, tn};

/// A layer with a low-rank term: its sizes and its plan.
pub struct Adapted<'a> {
    pub plan: &'a LoraPlan,
    /// Rows, inputs, outputs.
    pub sizes: [usize; 3],
}

impl Adapted<'_> {
    /// The stacked A `[n r, k]` and B `[n width, r]` of the factors.
    fn split<'b>(&self, factors: &'b [f64]) -> (&'b [f64], &'b [f64]) {
        factors.split_at(self.plan.adapted.len() * self.plan.rank * self.sizes[1])
    }

    /// `u = x A^T`, `[t, n r]`.
    pub fn down(&self, x: &[f64], factors: &[f64]) -> Vec<f64> {
        let [t, k, _] = self.sizes;
        nt(x, self.split(factors).0, [t, k, self.plan.adapted.len() * self.plan.rank])
    }

    /// `base + scale u_j B_j^T` in each adapted block.
    pub fn add(&self, base: &[f64], u: &[f64], factors: &[f64]) -> Vec<f64> {
        let (LoraPlan { adapted, width, rank, scale }, [t, _, o]) = (self.plan, self.sizes);
        let b = self.split(factors).1;
        matrix(t, o, |i, j| {
            let Some(slot) = adapted.iter().position(|&block| block == j / width) else {
                return base[i * o + j];
            };
            let term = |c| {
                u[(i * adapted.len() + slot) * rank + c] * b[(slot * width + j % width) * rank + c]
            };
            base[i * o + j] + f64::from(*scale) * (0..*rank).map(term).sum::<f64>()
        })
    }

    /// The output before its activation.
    pub fn forward(&self, x: &[f64], w: &[f64], bias: &[f64], factors: &[f64]) -> Vec<f64> {
        self.add(&linear(x, w, bias, self.sizes), &self.down(x, factors), factors)
    }

    /// `v_j = scale g_j B_j`: the gradient of u.
    pub fn up_backward(&self, g: &[f64], factors: &[f64]) -> Vec<f64> {
        let (LoraPlan { adapted, width, rank, scale }, [t, _, o]) = (self.plan, self.sizes);
        let b = self.split(factors).1;
        matrix(t, adapted.len() * rank, |i, c| {
            let (slot, c) = (c / rank, c % rank);
            let term = |j| g[i * o + adapted[slot] * width + j] * b[(slot * width + j) * rank + c];
            f64::from(*scale) * (0..*width).map(term).sum::<f64>()
        })
    }

    /// `dA = v^T x`, then `dB_j = scale g_j^T u_j`.
    pub fn grads(&self, g: &[f64], x: &[f64], u: &[f64], v: &[f64]) -> Vec<f64> {
        let (LoraPlan { adapted, width, rank, scale }, [t, k, o]) = (self.plan, self.sizes);
        let stacked = adapted.len() * rank;
        let mut all = tn(v, x, [stacked, t, k]);
        all.extend(matrix(adapted.len() * width, *rank, |j, c| {
            let (slot, j) = (j / width, j % width);
            let term = |i| g[i * o + adapted[slot] * width + j] * u[i * stacked + slot * rank + c];
            f64::from(*scale) * (0..t).map(term).sum::<f64>()
        }));
        all
    }

    /// `g w + v A`.
    pub fn backward(&self, g: &[f64], w: &[f64], v: &[f64], factors: &[f64]) -> Vec<f64> {
        let [t, k, o] = self.sizes;
        let base = nn(g, w, [t, o, k]);
        let term = nn(v, self.split(factors).0, [t, self.plan.adapted.len() * self.plan.rank, k]);
        base.iter().zip(term).map(|(base, term)| base + term).collect()
    }
}
