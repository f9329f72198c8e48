//! Results of a run, computed from the scores and embeddings of a model.

use super::record::{DomainResult, TruncatedErrors};
use crate::nbest::Utterance;
use crate::score::{Weights, best, combine, first_pass, unit_errors};
use crate::text::Unit;

/// Lengths to which lists are truncated, to measure the effect of longer lists.
pub const CUTS: [usize; 9] = [1, 2, 3, 5, 8, 10, 20, 50, 100];

/// Errors of first pass, rescoring and oracle for each utterance with a reference, in the form in which lists are
/// [compared](crate::score::compared()). `lm` contains the model's
/// scores by utterance and hypothesis. The weights are those tuned on whole lists, also for truncated lists.
///
/// # Panics
/// If a list is empty, or `lm` does not have one score per hypothesis.
#[must_use]
pub fn outcomes(
    name: &str,
    utterances: &[Utterance],
    lm: &[Vec<f64>],
    weights: &Weights,
    unit: Unit,
    cuts: bool,
) -> DomainResult {
    let mut result = DomainResult { name: name.to_owned(), ..DomainResult::default() };
    let longest = utterances.iter().map(|u| u.hypotheses.len()).max().unwrap_or(0);
    // Stop at the first length that is at least that of all lists.
    let mut lengths: Vec<usize> = CUTS.into_iter().filter(|&n| cuts && n < longest).collect();
    lengths.extend(cuts.then_some(longest));
    let start = |&n: &usize| TruncatedErrors {
        n: u32::try_from(n).unwrap_or(u32::MAX),
        rescored: 0,
        oracle: 0,
    };
    result.cuts = lengths.iter().map(start).collect();
    for (utterance, lm) in utterances.iter().zip(lm) {
        let Some(reference) = utterance.reference.as_deref() else { continue };
        let errors: Vec<u32> =
            utterance.hypotheses.iter().map(|h| errors_of(unit, reference, &h.text)).collect();
        let first = first_pass(utterance);
        let totals = combine(utterance, lm, weights, unit);
        result.words.push(unit.count(reference));
        result.hypotheses.push(u32::try_from(errors.len()).unwrap_or(u32::MAX));
        result.first.push(errors[best(&first)]);
        result.rescored.push(errors[best(&totals)]);
        result.oracle.push(errors.iter().copied().min().unwrap_or(0));
        let mut order: Vec<usize> = (0..errors.len()).collect();
        order.sort_by(|&a, &b| first[b].total_cmp(&first[a]));
        for (cut, &n) in result.cuts.iter_mut().zip(&lengths) {
            // In the order of the file, so that ties are resolved as without truncation.
            let mut kept = order[..n.min(order.len())].to_vec();
            kept.sort_unstable();
            let scores: Vec<f64> = kept.iter().map(|&at| totals[at]).collect();
            cut.rescored += u64::from(errors[kept[best(&scores)]]);
            cut.oracle += kept.iter().map(|&at| u64::from(errors[at])).min().unwrap_or(0);
        }
    }
    result
}

fn errors_of(unit: Unit, reference: &str, text: &str) -> u32 {
    u32::try_from(unit_errors(unit, reference, text).errors()).unwrap_or(u32::MAX)
}

/// Mean absolute correlation between different dimensions of embeddings; `rows` is contiguous rows of `width`
/// values. 0 for independent dimensions, 1 for identical ones. `None` for fewer than two rows or dimensions.
/// A constant dimension has correlation 0 with all others.
///
/// ```text
/// z = (x - mean) / std by column;   I = mean over i != j of | z_i . z_j | / n
/// ```
#[must_use]
pub fn isotropy(embeddings: &[f32], width: usize) -> Option<f64> {
    let rows = embeddings.len().checked_div(width)?;
    if rows < 2 || width < 2 {
        return None;
    }
    // Normalise columns to length 1; their products are then correlations.
    let mut columns = vec![0.0_f32; rows * width];
    for column in 0..width {
        let values = || (0..rows).map(|row| f64::from(embeddings[row * width + column]));
        let mean = values().sum::<f64>() / rows as f64;
        let norm = values().map(|x| (x - mean) * (x - mean)).sum::<f64>().sqrt();
        // Ignore the rounding error of a constant column.
        if norm > 1e-6 * (1.0 + mean.abs()) * (rows as f64).sqrt() {
            let place = &mut columns[column * rows..][..rows];
            place.iter_mut().zip(values()).for_each(|(z, x)| *z = ((x - mean) / norm) as f32);
        }
    }
    let mut sum = 0.0_f64;
    for i in 0..width {
        let a = &columns[i * rows..][..rows];
        for j in 0..i {
            let b = &columns[j * rows..][..rows];
            sum += f64::from(dot(a, b).abs());
        }
    }
    Some(sum / (width * (width - 1) / 2) as f64)
}

/// Uses eight partial sums, which the compiler can keep in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbest::Hypothesis;

    #[test]
    fn truncation_ends_with_the_whole_list_and_agrees_with_it() {
        let list = |texts: [&str; 4]| {
            let scores = [-1.0, -2.0, -3.0, -4.0];
            let all = texts.into_iter().zip(scores).map(|(t, s)| Hypothesis::new(t, Some(s)));
            Utterance::new("u", Some("a b c".into()), all.collect())
        };
        let lists = [list(["a x x", "a b x", "a b c", "x"]), list(["a b c", "x", "a", "b"])];
        let lm = [vec![0.0, 0.0, 9.0, 0.0], vec![0.0, 0.0, 0.0, 9.0]];
        let weights = Weights::new(1.0, 0.0);
        let result = outcomes("d", &lists, &lm, &weights, Unit::Word, true);
        assert_eq!((result.first, result.rescored), (vec![2, 0], vec![0, 2]));
        assert_eq!((result.oracle, result.words), (vec![0, 0], vec![3, 3]));
        let cut = |n, rescored, oracle| TruncatedErrors { n, rescored, oracle };
        assert_eq!(result.cuts, [cut(1, 2, 2), cut(2, 2, 1), cut(3, 0, 0), cut(4, 2, 0)]);
    }

    #[test]
    fn lists_without_a_reference_are_skipped() {
        let list = Utterance::new("u", None, vec![Hypothesis::new("a", None)]);
        let result = outcomes("d", &[list], &[vec![0.0]], &Weights::default(), Unit::Word, false);
        assert_eq!(result.words.len() + result.cuts.len(), 0);
        assert_eq!(result.wer_rescored(), None);
    }

    #[test]
    fn isotropy_is_one_for_copies_and_zero_for_independent_columns() {
        let copies: Vec<f32> = (0..10).flat_map(|x| [x as f32, -2.0 * x as f32, 3.0]).collect();
        // One of three pairs of columns is a copy; the constant column has no correlation.
        assert!((isotropy(&copies, 3).unwrap() - 1.0 / 3.0).abs() < 1e-6);
        let crossed = [1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0];
        assert!(isotropy(&crossed, 2).unwrap() < 1e-6);
        assert_eq!(isotropy(&[1.0, 2.0], 2), None);
        assert_eq!(isotropy(&[], 0), None);
    }
}
