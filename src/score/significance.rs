//! Significance tests for two systems on the same utterances.

use serde::{Deserialize, Serialize};

/// The result of [`matched_pairs`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatchedPairs {
    /// Utterances compared.
    pub utterances: u64,
    /// Utterances with different error counts.
    pub differing: u64,
    /// Mean of (errors of the first - errors of the second) per utterance; positive if the second is better.
    pub mean_difference: f64,
    /// Test statistic; `None` if the differences have zero variance but a non-zero mean.
    pub z: Option<f64>,
    /// Two-sided p-value of the matched-pairs test, normal approximation.
    pub p: f64,
    /// Exact two-sided p-value of the sign-flip permutation test; `None` if the input is too large
    /// (see [`matched_pairs`]).
    pub p_permutation: Option<f64>,
}

/// Maximum number of additions for the exact permutation test: about a second.
const PERMUTATION_WORK: u64 = 1 << 31;

/// Compares errors per utterance of two systems over the same utterances.
///
/// Matched pairs (Gillick and Cox, ICASSP 1989, with utterances as the segments): with
/// d_u = first_u - second_u over n utterances, `z = mean(d) / sqrt(var(d) / n)`, var with n - 1, and
/// p = P(|N(0,1)| >= |z|). The permutation test does not use the normal approximation: if both systems were
/// equal, each d_u would have either sign with equal probability. `p_permutation` is the probability, over all
/// 2^n choices of signs, of a sum with at least the observed magnitude. It is computed exactly from the
/// distribution of the sum, unless that takes more than 2^31 additions (about 10^5 utterances).
///
/// The normal test is undefined if the differences have zero variance: if all are 0, z = 0 and p = 1;
/// if all have the same other value, p is the exact 2^(1-n) of the permutation test and z is `None`.
///
/// # Panics
/// If the two differ in length.
#[must_use]
pub fn matched_pairs(first: &[u32], second: &[u32]) -> MatchedPairs {
    assert_eq!(first.len(), second.len(), "one entry per utterance of both systems");
    let differences: Vec<i64> =
        first.iter().zip(second).map(|(&a, &b)| i64::from(a) - i64::from(b)).collect();
    let n = differences.len() as f64;
    // Integer arithmetic, so that "no variance" is exact and not a rounding effect.
    let sum: i64 = differences.iter().sum();
    let differing = differences.iter().filter(|&&d| d != 0).count();
    let constant = differences.windows(2).all(|pair| pair[0] == pair[1]);
    let mean = if differences.is_empty() { 0.0 } else { sum as f64 / n };
    let (z, p) = if sum == 0 {
        (Some(0.0), 1.0)
    } else if constant {
        (None, libm::exp2(1.0 - n))
    } else {
        let squares: f64 = differences.iter().map(|&d| (d as f64 - mean) * (d as f64 - mean)).sum();
        let z = mean / (squares / (n - 1.0) / n).sqrt();
        (Some(z), libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2))
    };
    MatchedPairs {
        utterances: differences.len() as u64,
        differing: differing as u64,
        mean_difference: mean,
        z,
        p,
        p_permutation: sign_flip(&differences),
    }
}

/// P(|sum of +-|d|| >= |sum of d|) over all signs.
///
/// With X the sum of the |d| with a plus and T the sum of all, the sum is 2X - T. The distribution of X is
/// built one difference at a time: P'(x) = (P(x) + P(x - |d|)) / 2.
fn sign_flip(differences: &[i64]) -> Option<f64> {
    let mut sizes: Vec<u64> =
        differences.iter().map(|d| d.unsigned_abs()).filter(|&d| d > 0).collect();
    // Process small ones first, to keep the used part of the table short.
    sizes.sort_unstable();
    let total: u64 = sizes.iter().sum();
    if total.saturating_mul(sizes.len() as u64) > PERMUTATION_WORK {
        return None;
    }
    let total = usize::try_from(total).ok()?;
    let mut chances = vec![0.0_f64; total + 1];
    chances[0] = 1.0;
    let mut reached = 0;
    for size in sizes {
        let size = usize::try_from(size).ok()?;
        reached += size;
        for x in (0..=reached).rev() {
            let with = if x >= size { chances[x - size] } else { 0.0 };
            chances[x] = 0.5 * (chances[x] + with);
        }
    }
    let seen = differences.iter().sum::<i64>().unsigned_abs() as usize;
    // |2x - T| >= seen: x <= (T - seen) / 2 or, by symmetry, the mirror image of it.
    let tail: f64 = chances[..=(total - seen) / 2].iter().sum();
    Some((2.0 * tail).min(1.0))
}
