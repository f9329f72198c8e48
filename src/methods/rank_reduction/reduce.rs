//! Rank reduction of low-rank terms by truncated singular value decomposition.
//!
//! The decomposition of a term `B A` of rank R needs only two matrices of R by R. With `P = (B^T B)^(1/2)`, and
//! `P A A^T P = W S^2 W^T`,
//!
//! ```text
//! B A = U S V^T        U = B P^-1 W,   V^T = S^-1 W^T P A
//! A'  = S^(1/2) V^T    B' = U S^(1/2)
//! ```
//!
//! so that `B' A' = B A`, with triplets ordered by singular value. Dropping the last ones gives the best approximation
//! of the remaining rank (Eckart and Young 1936).

use crate::methods::low_rank::{LORA_A, LORA_B};
use crate::model::Layout;

/// Maximum number of sweeps; a matrix of this size converges to rounding error after about six.
const SWEEPS: usize = 30;

/// A module's term, with triplets by descending singular value.
struct Term {
    a: usize,
    b: usize,
    inputs: usize,
    /// `[R, in]`.
    rows: Vec<f64>,
    /// `[out, R]`.
    columns: Vec<f64>,
    /// `[R]`.
    values: Vec<f64>,
}

/// Brings the triplets of every low-rank term in `parameters` into the order of their singular values, and drops
/// some: of every term all but the first `target_rank`, or, where ranks are `mixed`, the ones with the smallest
/// values of all terms. What is dropped is 0 in A and in B, so it stays 0 in training.
pub(crate) fn reduce(layout: &Layout, parameters: &mut [f32], target_rank: usize, mixed: bool) {
    let mut terms = Vec::new();
    for slot in layout.slots().iter().filter(|slot| slot.kind == LORA_A) {
        let Some(other) = layout.find(&slot.module, LORA_B) else { continue };
        let (a, b) = (&parameters[slot.range()], &parameters[other.range()]);
        let mut term = decompose(a, b, slot.shape[0]);
        (term.a, term.b) = (slot.offset, other.offset);
        terms.push(term);
    }
    let ranks: Vec<usize> = if mixed {
        largest_together(&terms, target_rank * terms.len())
    } else {
        vec![target_rank; terms.len()]
    };
    for (term, keep) in terms.iter().zip(ranks) {
        let rank = term.values.len();
        for (at, value) in term.rows.iter().enumerate() {
            parameters[term.a + at] = if at / term.inputs < keep { *value as f32 } else { 0.0 };
        }
        for (at, value) in term.columns.iter().enumerate() {
            parameters[term.b + at] = if at % rank < keep { *value as f32 } else { 0.0 };
        }
    }
}

/// The number of triplets of each term among the `keep` largest singular values of all terms.
fn largest_together(terms: &[Term], keep: usize) -> Vec<usize> {
    let values = terms.iter().enumerate();
    let mut all: Vec<(f64, usize)> =
        values.flat_map(|(at, term)| term.values.iter().map(move |&value| (value, at))).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut ranks = vec![0; terms.len()];
    all.iter().take(keep).for_each(|&(_, at)| ranks[at] += 1);
    ranks
}

fn decompose(a: &[f32], b: &[f32], rank: usize) -> Term {
    let (inputs, outputs) = (a.len() / rank, b.len() / rank);
    let a: Vec<f64> = a.iter().map(|&x| f64::from(x)).collect();
    let b: Vec<f64> = b.iter().map(|&x| f64::from(x)).collect();
    let entry = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..rank * rank).map(|at| f(at / rank, at % rank)).collect()
    };
    let of_b = entry(&|i, j| (0..outputs).map(|o| b[o * rank + i] * b[o * rank + j]).sum());
    let of_a = entry(&|i, j| (0..inputs).map(|k| a[i * inputs + k] * a[j * inputs + k]).sum());
    let (squares, basis) = eigen(of_b, rank);
    let largest = squares.iter().fold(0.0f64, |most, s| most.max(*s));
    // Skip directions with singular value 0.
    let power = |exponent: f64| {
        let lengths: Vec<f64> = squares
            .iter()
            .map(|&s| if s > 1e-14 * largest { libm::pow(s, exponent) } else { 0.0 })
            .collect();
        entry(&|i, j| {
            (0..rank).map(|k| basis[i * rank + k] * lengths[k] * basis[j * rank + k]).sum()
        })
    };
    let (root, inverse) = (power(0.5), power(-0.5));
    let inner = product(&product(&root, &of_a, rank), &root, rank);
    let (squares, vectors) = eigen(inner, rank);
    let mut order: Vec<usize> = (0..rank).collect();
    order.sort_by(|&i, &j| squares[j].total_cmp(&squares[i]));
    let values: Vec<f64> = order.iter().map(|&k| libm::sqrt(squares[k].max(0.0))).collect();
    let most = values.first().copied().unwrap_or(0.0);
    // A' = S^(-1/2) W^T P A and B' = B P^-1 W S^(1/2); both are 0 where S is 0.
    let scale = |value: f64, exponent: f64| {
        if value > 1e-12 * most { libm::pow(value, exponent) } else { 0.0 }
    };
    let to_rows = entry(&|j, i| {
        let along: f64 = (0..rank).map(|k| vectors[k * rank + order[j]] * root[k * rank + i]).sum();
        scale(values[j], -0.5) * along
    });
    let to_columns = entry(&|i, j| {
        let along: f64 =
            (0..rank).map(|k| inverse[i * rank + k] * vectors[k * rank + order[j]]).sum();
        along * scale(values[j], 0.5)
    });
    let mut rows = vec![0.0; rank * inputs];
    for (j, row) in rows.chunks_exact_mut(inputs).enumerate() {
        for i in 0..rank {
            let factor = to_rows[j * rank + i];
            row.iter_mut().zip(&a[i * inputs..]).for_each(|(y, x)| *y += factor * x);
        }
    }
    let mut columns = vec![0.0; outputs * rank];
    for (row, old) in columns.chunks_exact_mut(rank).zip(b.chunks_exact(rank)) {
        for (j, y) in row.iter_mut().enumerate() {
            *y = (0..rank).map(|i| old[i] * to_columns[i * rank + j]).sum();
        }
    }
    Term { a: 0, b: 0, inputs, rows, columns, values }
}

fn product(x: &[f64], y: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (0..n).map(|k| x[at / n * n + k] * y[k * n + at % n]).sum()).collect()
}

/// Eigenvalues and eigenvectors (as columns) of a symmetric matrix, by Jacobi rotations.
fn eigen(mut m: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors: Vec<f64> =
        (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| m[at] * m[at]).sum();
        let all: f64 = m.iter().map(|x| x * x).sum();
        if off <= 1e-30 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apart = m[p * n + q];
                if apart == 0.0 {
                    continue;
                }
                let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * apart);
                let t = theta.signum() / (theta.abs() + libm::sqrt(theta * theta + 1.0));
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / libm::sqrt(t * t + 1.0);
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (m[k * n + p], m[k * n + q]);
                    (m[k * n + p], m[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (m[p * n + k], m[q * n + k]);
                    (m[p * n + k], m[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (vectors[k * n + p], vectors[k * n + q]);
                    (vectors[k * n + p], vectors[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    ((0..n).map(|i| m[i * n + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tests::tiny_config;
    use crate::methods::LoraConfig;
    use crate::methods::rank_reduction::RankReduction;
    use crate::model::{Adapter, Target};

    fn adapter(mixed: bool) -> Adapter {
        let lora = LoraConfig {
            rank: 6,
            alpha: 12.0,
            targets: [Target::Query, Target::Output].into(),
            ..LoraConfig::default()
        };
        let method = RankReduction { lora, target_rank: 2, mixed };
        let mut adapter = Adapter::init(&tiny_config(), method, 3).unwrap();
        for (i, value) in adapter.parameters.iter_mut().enumerate() {
            *value = libm::sin((i * i % 101) as f64 * 0.7) as f32 * (1.0 + (i % 7) as f32);
        }
        adapter
    }

    /// `B A` of a module, without the scale.
    fn term(adapter: &Adapter, module: &str) -> Vec<f64> {
        let [a, b] = [LORA_A, LORA_B].map(|kind| adapter.layout.find(module, kind).unwrap());
        let (rank, inputs, outputs) = (a.shape[0], a.shape[1], b.shape[0]);
        let (a, b) = (adapter.values(a), adapter.values(b));
        (0..outputs * inputs)
            .map(|at| {
                let (o, k) = (at / inputs, at % inputs);
                (0..rank).map(|j| f64::from(b[o * rank + j]) * f64::from(a[j * inputs + k])).sum()
            })
            .collect()
    }

    fn distance(x: &[f64], y: &[f64]) -> f64 {
        libm::sqrt(x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum())
    }

    fn modules(adapter: &Adapter) -> Vec<String> {
        let slots = adapter.layout.slots().iter().filter(|slot| slot.kind == LORA_A);
        slots.map(|slot| slot.module.clone()).collect()
    }

    #[test]
    fn keeping_all_ranks_does_not_change_the_term() {
        let before = adapter(false);
        let mut after = before.clone();
        reduce(&after.layout, &mut after.parameters, 6, false);
        for module in modules(&before) {
            let (old, new) = (term(&before, &module), term(&after, &module));
            assert!(
                distance(&old, &new) < 1e-4 * distance(&old, &vec![0.0; old.len()]),
                "{module}"
            );
        }
        assert_ne!(before.parameters, after.parameters);
    }

    #[test]
    fn the_error_equals_the_dropped_singular_values() {
        let before = adapter(false);
        let mut after = before.clone();
        reduce(&after.layout, &mut after.parameters, 2, false);
        for slot in before.layout.slots().iter().filter(|slot| slot.kind == LORA_A) {
            let other = before.layout.find(&slot.module, LORA_B).unwrap();
            let values = decompose(before.values(slot), before.values(other), 6).values;
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]) && values[2] > 0.0);
            let dropped = libm::sqrt(values[2..].iter().map(|s| s * s).sum());
            let off = distance(&term(&before, &slot.module), &term(&after, &slot.module));
            assert!((off - dropped).abs() < 1e-3 * dropped, "{}: {off} {dropped}", slot.module);
        }
    }

    #[test]
    fn mixed_ranks_share_one_budget_and_favour_large_terms() {
        let mut before = adapter(true);
        let first = before.layout.slots()[0].clone();
        before.parameters[first.range()].iter_mut().for_each(|x| *x *= 100.0);
        let mut after = before.clone();
        reduce(&after.layout, &mut after.parameters, 2, true);
        let rank = |module: &str| {
            let slot = after.layout.find(module, LORA_A).unwrap();
            let rows = after.values(slot).chunks_exact(slot.shape[1]);
            rows.filter(|row| row.iter().any(|x| *x != 0.0)).count()
        };
        let ranks: Vec<usize> = modules(&after).iter().map(|module| rank(module)).collect();
        assert_eq!(ranks.iter().sum::<usize>(), 2 * ranks.len(), "{ranks:?}");
        assert_eq!(ranks[0], 6, "{ranks:?}");
    }

    #[test]
    fn a_finished_adapter_is_the_same_term_at_the_same_scale() {
        for mixed in [false, true] {
            let mut large = adapter(mixed);
            reduce(&large.layout, &mut large.parameters, 2, mixed);
            let small = large.clone().finished();
            let old = large.method.downcast::<RankReduction>().unwrap();
            let new = small.method.downcast::<LoraConfig>().unwrap();
            assert!(mixed || new.rank == 2);
            assert!((new.scale() - old.lora.scale()).abs() < 1e-6);
            assert_eq!(small.layout, Layout::new(&tiny_config(), &small.method).unwrap());
            for module in modules(&large) {
                assert_eq!(term(&large, &module), term(&small, &module));
            }
        }
    }
}
