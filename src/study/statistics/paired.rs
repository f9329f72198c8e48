//! Two systems over the same utterances, pooled over seeds.

use crate::score::{MatchedPairs, bootstrap, matched_pairs};

/// Number of resamples for a report, which has many intervals.
const RESAMPLES: u32 = 2_000;

/// The result of [`compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// `errors of the second / errors of the first - 1`; negative if the second is better. `None` if the first
    /// makes no errors.
    pub change: Option<f64>,
    /// 95 % bootstrap interval of it, over utterances.
    pub interval: Option<(f64, f64)>,
    /// Matched pairs over utterances.
    pub test: MatchedPairs,
}

/// Compares two systems by their errors per utterance, one row per seed. The rows of a system are summed
/// first: utterances are the sample, and runs of one utterance with several seeds are not independent. A system
/// with fewer rows is repeated to match the other; numbers of rows that are not multiples give `None`, as do
/// rows of different length.
#[must_use]
pub fn compare(first: &[&[u32]], second: &[&[u32]], words: &[u32]) -> Option<Comparison> {
    let rows = first.len().max(second.len());
    let sum = |system: &[&[u32]]| -> Option<Vec<u32>> {
        let times = u32::try_from(rows / system.len().max(1)).ok()?;
        if system.is_empty()
            || !rows.is_multiple_of(system.len())
            || system.iter().any(|row| row.len() != words.len())
        {
            return None;
        }
        Some(
            (0..words.len())
                .map(|at| times * system.iter().map(|row| row[at]).sum::<u32>())
                .collect(),
        )
    };
    let (a, b) = (sum(first)?, sum(second)?);
    let total = |errors: &[u32]| errors.iter().map(|&e| f64::from(e)).sum::<f64>();
    let change = (total(&a) > 0.0).then(|| total(&b) / total(&a) - 1.0);
    let interval = bootstrap(&[&a, &b], words, RESAMPLES, 0).gain[1];
    Some(Comparison {
        change,
        interval: interval.filter(|_| change.is_some()).map(|gain| (-gain.high, -gain.low)),
        test: matched_pairs(&a, &b),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_pooled_and_a_single_row_is_repeated() {
        let first: &[u32] = &[2, 1, 0, 4];
        let (x, y): (&[u32], &[u32]) = (&[1, 1, 0, 2], &[1, 0, 0, 3]);
        let words = [5, 5, 5, 5];
        let found = compare(&[first], &[x, y], &words).unwrap();
        assert!((found.change.unwrap() - (8.0 / 14.0 - 1.0)).abs() < 1e-12);
        assert_eq!(found.test.mean_difference, 6.0 / 4.0);
        let (low, high) = found.interval.unwrap();
        assert!(low <= found.change.unwrap() && found.change.unwrap() <= high);
        assert_eq!(compare(&[first, first], &[x, y, x], &words), None);
        assert_eq!(compare(&[&first[..3]], &[x], &words), None);
        assert_eq!(compare(&[], &[x], &words), None);
    }

    #[test]
    fn the_same_system_twice_does_not_differ() {
        let rows: &[u32] = &[1, 0, 2];
        let found = compare(&[rows], &[rows], &[3, 3, 3]).unwrap();
        assert_eq!((found.change, found.test.p), (Some(0.0), 1.0));
    }
}
