//! Bootstrap intervals of WER and of the relative gain, over utterances.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Default number of resamples.
pub const RESAMPLES: u32 = 10_000;

/// The middle 95 % of a bootstrap distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % of the resamples are below.
    pub low: f64,
    /// 2.5 % of the resamples are above.
    pub high: f64,
    /// Resamples in which the quantity is defined.
    pub resamples: u32,
}

/// Intervals of every system; `None` if the quantity is undefined in all resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// Interval of the WER, a fraction.
    pub wer: Vec<Option<Interval>>,
    /// Interval of `1 - errors / errors of the first system`, a fraction; width 0 for the first system itself.
    pub gain: Vec<Option<Interval>>,
}

/// Percentile intervals (Efron 1979; over utterances as Bisani and Ney, ICASSP 2004).
///
/// `errors[s][u]` are the word errors of system `s` in utterance `u`, `words[u]` the reference words.
/// Every resample draws as many utterances as there are, with replacement, the same for all systems,
/// and pools their errors and words. Percentiles are interpolated between order statistics.
/// A resample without reference words has no WER, and one in which the first system makes no errors has
/// no relative gain. The interval excludes such resamples, and its count shows how many remain.
///
/// Utterances are drawn with ChaCha8 from `seed`: the same input gives the same interval on every platform.
///
/// # Panics
/// If the rows differ in length.
#[must_use]
pub fn bootstrap(errors: &[&[u32]], words: &[u32], resamples: u32, seed: u64) -> Bootstrap {
    assert!(errors.iter().all(|row| row.len() == words.len()), "one entry per utterance");
    let systems = errors.len();
    let mut rates = vec![Vec::new(); systems];
    let mut gains = vec![Vec::new(); systems];
    // Interleaved, because every draw reads one utterance of all systems.
    let stride = systems + 1;
    let mut table = Vec::with_capacity(stride * words.len());
    for (at, &count) in words.iter().enumerate() {
        table.push(count);
        table.extend(errors.iter().map(|row| row[at]));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sums = vec![0_u64; stride];
    let draws = if words.is_empty() { 0 } else { resamples };
    for _ in 0..draws {
        sums.fill(0);
        for _ in 0..words.len() {
            let at = below(&mut rng, words.len()) * stride;
            for (sum, &value) in sums.iter_mut().zip(&table[at..at + stride]) {
                *sum += u64::from(value);
            }
        }
        for system in 0..systems {
            let errors = sums[system + 1] as f64;
            if sums[0] > 0 {
                rates[system].push(errors / sums[0] as f64);
            }
            if sums[1] > 0 {
                gains[system].push(1.0 - errors / sums[1] as f64);
            }
        }
    }
    let intervals = |samples: Vec<Vec<f64>>| samples.into_iter().map(middle_95).collect();
    Bootstrap { wer: intervals(rates), gain: intervals(gains) }
}

/// A random number below `n` by multiplication (Lemire 2019), without the rejection step: the bias, at most
/// n / 2^32, is far below the resolution of a bootstrap, and each draw uses exactly one word of the generator.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

fn middle_95(mut samples: Vec<f64>) -> Option<Interval> {
    samples.sort_by(f64::total_cmp);
    let resamples = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    Some(Interval { low: quantile(&samples, 0.025)?, high: quantile(&samples, 0.975)?, resamples })
}

/// Quantile of sorted samples, linear between neighbours (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}
