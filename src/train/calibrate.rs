//! The first-pass scale of training.
//!
//! The scale of first-pass scores differs between recognisers: a hybrid system's total is many times a
//! log-probability. A softmax over such a list puts all probability on one hypothesis, and the expected error then
//! has no gradient. Training therefore multiplies first-pass scores by the factor that calibrates the first pass
//! best, which maximises the likelihood of the hypotheses with the fewest errors (temperature scaling; Guo et al.,
//! arXiv 1706.04599).

use super::data::TrainList;

/// Search range of the scale, as powers of two.
const RANGE: (f64, f64) = (-12.0, 2.0);
/// Grid points per power of two. A finer grid would not change results.
const DENSITY: i32 = 8;

/// Lists below which a scale at the end of its search may be chance.
const ENOUGH: usize = 20;

/// Whether the scale of a training set of this size is at the lower end of its search: the smaller the scores count,
/// the likelier are the hypotheses with the fewest errors.
#[must_use]
pub fn is_at_lower_end(scale: f64, lists: usize) -> bool {
    lists >= ENOUGH && scale <= libm::exp2(RANGE.0)
}

/// The first-pass scale for a training set; 1 if no list has different scores and errors.
#[must_use]
pub fn first_scale(lists: &[TrainList]) -> f64 {
    let differ = |list: &&TrainList| {
        list.has_different_errors() && list.first.windows(2).any(|pair| pair[0] != pair[1])
    };
    let lists: Vec<&TrainList> = lists.iter().filter(differ).collect();
    if lists.is_empty() {
        return 1.0;
    }
    let (from, to) = (RANGE.0 * f64::from(DENSITY), RANGE.1 * f64::from(DENSITY));
    let scales = (from as i32..=to as i32).map(|i| libm::exp2(f64::from(i) / f64::from(DENSITY)));
    let likelihood = |scale: f64| lists.iter().map(|list| log_likelihood(list, scale)).sum::<f64>();
    scales
        .map(|scale| (scale, likelihood(scale)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(1.0, |(scale, _)| scale)
}

/// Log-probability of the hypotheses with the fewest errors under `softmax(scale * first)`.
fn log_likelihood(list: &TrainList, scale: f64) -> f64 {
    let fewest = list.errors.iter().min();
    let best = list.first.iter().zip(&list.errors).filter(|(_, e)| Some(*e) == fewest);
    let best = log_sum_exp(best.map(|(first, _)| scale * first));
    best - log_sum_exp(list.first.iter().map(|first| scale * first))
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + libm::log(values.map(|value| libm::exp(value - largest)).sum())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Lists whose best hypothesis is drawn from `softmax(first / unit)`.
    fn lists(unit: f64) -> Vec<TrainList> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = move || (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32);
        (0..4000)
            .map(|_| {
                let logits: Vec<f64> = (0..5).map(|_| 3.0 * uniform()).collect();
                // The largest logit plus Gumbel noise is a draw from their softmax.
                let noisy = logits.iter().map(|logit| logit - (-uniform().ln()).ln());
                let best = noisy
                    .enumerate()
                    .max_by(|a, b| a.1.total_cmp(&b.1))
                    .map(|(i, _)| i)
                    .expect("five hypotheses");
                TrainList {
                    first: logits.iter().map(|logit| logit * unit).collect(),
                    errors: (0..5).map(|i| u32::from(i != best)).collect(),
                    sequences: vec![0; 5],
                    teacher: vec![],
                }
            })
            .collect()
    }

    #[test]
    fn the_scale_of_the_scores_is_recovered() {
        for unit in [0.5, 1.0, 20.0, 300.0] {
            let scale = first_scale(&lists(unit));
            assert!((scale * unit).ln().abs() < 0.15, "unit {unit}: scale {scale}");
        }
    }

    #[test]
    fn uninformative_scores_have_scale_one() {
        let list = TrainList {
            first: vec![0.0; 3],
            errors: vec![0, 1, 2],
            sequences: vec![0; 3],
            teacher: vec![],
        };
        assert_eq!(first_scale(&[list]), 1.0);
    }
}
