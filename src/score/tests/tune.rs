//! Compares tuning with worked examples and with exhaustive counts.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::{PartWeights, ScoredList, TunePoint, Weights, tune, tune_parts};
use super::{below, signed};

/// A list of two: the second wins once beta exceeds `threshold`.
fn pair(threshold: f64, errors: [u32; 2]) -> ScoredList {
    ScoredList {
        first: vec![0.0, -threshold],
        lm: vec![0.0, 1.0],
        words: vec![3, 3],
        errors: errors.to_vec(),
        reference_words: 3,
        ..ScoredList::default()
    }
}

fn random_lists(seed: u64, count: usize) -> Vec<ScoredList> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let list = |_| {
        let length = 1 + below(&mut rng, 10) as usize;
        let errors: Vec<u32> = (0..length).map(|_| below(&mut rng, 5) as u32).collect();
        ScoredList {
            first: (0..length).map(|_| 4.0 * signed(&mut rng)).collect(),
            // Better ones score higher, with noise.
            lm: errors.iter().map(|&e| 3.0 * signed(&mut rng) - f64::from(e)).collect(),
            words: errors.iter().map(|&e| 5 + e).collect(),
            errors,
            reference_words: 6,
            ..ScoredList::default()
        }
    };
    (0..count).map(list).collect()
}

fn errors_of(lists: &[ScoredList], weights: &Weights) -> u64 {
    lists.iter().map(|list| u64::from(list.errors[list.choice(weights)])).sum()
}

#[test]
fn takes_the_middle_of_the_best_interval() {
    // Correct for 1 < beta <= 16: the middle on the logarithmic scale is 4.
    let lists = [pair(1.0, [2, 0]), pair(16.0, [0, 1])];
    let tuned = tune(&lists, false);
    assert_eq!((tuned.errors, tuned.errors_first, tuned.reference_words), (0, 2, 6));
    assert_eq!((tuned.wer, tuned.wer_first), (Some(0.0), Some(2.0 / 6.0)));
    assert!((3.6..4.4).contains(&tuned.weights.beta), "{}", tuned.weights.beta);
    assert_eq!(tuned.weights.gamma, 0.0);
    assert!(!tuned.at_edge);
}

#[test]
fn the_fine_grid_searches_around_the_best_coarse_point() {
    // Errors: 2 up to 3.5, 1 up to 4.2, 0 up to 5, then 2. Of the coarse points 4 is best, with 1.
    let lists = [pair(3.5, [1, 0]), pair(4.2, [1, 0]), pair(5.0, [0, 2])];
    let tuned = tune(&lists, false);
    assert_eq!((tuned.errors, tuned.errors_first), (0, 2));
    assert!((4.4..4.8).contains(&tuned.weights.beta), "{}", tuned.weights.beta);
}

#[test]
fn the_longer_of_two_intervals_wins() {
    // Correct for 0.5 < beta <= 1 and for 4 < beta <= 32.
    let lists = [pair(0.5, [1, 0]), pair(1.0, [0, 1]), pair(4.0, [1, 0]), pair(32.0, [0, 1])];
    let beta = tune(&lists, false).weights.beta;
    assert!((9.0..14.0).contains(&beta), "{beta}");
}

#[test]
fn weights_are_0_if_nothing_is_better_than_the_first_pass() {
    for lists in [
        vec![],
        vec![pair(1.0, [0, 0])],
        vec![pair(1.0, [0, 1])],
        vec![pair(1.0, [1, 0]), pair(1.0, [0, 1])],
    ] {
        let tuned = tune(&lists, true);
        assert_eq!(tuned.weights, Weights::default());
        assert_eq!(tuned.wer, tuned.wer_first);
        assert!(!tuned.at_edge);
    }
    assert_eq!(tune(&[], false).wer, None);
}

#[test]
fn reports_a_best_value_at_the_edge_of_the_grid() {
    let tuned = tune(&[pair(50.0, [1, 0])], false);
    assert!(tuned.at_edge && tuned.errors == 0, "{tuned:?}");
    assert!(!tune(&[pair(50.0, [1, 0]), pair(60.0, [0, 1])], false).at_edge);
}

#[test]
fn gamma_corrects_a_bias_towards_short_hypotheses() {
    // Only the length distinguishes the two; the second wins for gamma > 0.5.
    let list = ScoredList {
        first: vec![0.0, -1.0],
        lm: vec![0.0; 2],
        words: vec![3, 5],
        errors: vec![2, 0],
        reference_words: 5,
        ..ScoredList::default()
    };
    let lists = [list];
    assert_eq!(tune(&lists, false).errors, 2);
    let tuned = tune(&lists, true);
    assert_eq!(tuned.errors, 0);
    assert!(tuned.weights.gamma > 0.5, "{:?}", tuned.weights);
}

#[test]
fn every_count_is_exact_and_the_best_is_the_least() {
    for seed in 0..6 {
        let lists = random_lists(seed, 120);
        for with_gamma in [false, true] {
            let tuned = tune(&lists, with_gamma);
            assert!(tuned.errors < tuned.errors_first, "the example can be improved");
            assert_eq!(errors_of(&lists, &tuned.weights), tuned.errors);
            assert_eq!(errors_of(&lists, &Weights::default()), tuned.errors_first);
            assert_eq!(tuned.table.iter().map(|point| point.errors).min(), Some(tuned.errors));
            for point in &tuned.table {
                assert_eq!(errors_of(&lists, &point.weights), point.errors, "{:?}", point.weights);
            }
            assert!(tuned.table.iter().any(|point| point.weights == Weights::default()));
            assert_eq!(tune(&lists, with_gamma), tuned, "the same again");
        }
        assert!(tune(&lists, true).errors <= tune(&lists, false).errors);
    }
}

#[test]
fn the_order_of_lists_does_not_matter() {
    let mut lists = random_lists(7, 100);
    let tuned = tune(&lists, true);
    lists.reverse();
    assert_eq!(tune(&lists, true), tuned);
}

#[test]
fn gamma_is_used_only_for_fewer_errors() {
    let mut used = 0;
    for seed in 100..140 {
        let mut lists = random_lists(seed, 25);
        // Lengths that are independent of the errors: gamma helps only by chance.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for words in lists.iter_mut().flat_map(|list| &mut list.words) {
            *words = 3 + below(&mut rng, 2) as u32;
        }
        let (beta_only, both) = (tune(&lists, false), tune(&lists, true));
        if both.errors < beta_only.errors {
            used += 1;
        } else {
            assert_eq!((both.weights, both.errors), (beta_only.weights, beta_only.errors));
        }
    }
    assert!(used > 0 && used < 40, "both cases must occur: {used}");
}

/// Lists whose score gives its parts the wrong weights: `am` says much, `lm` little, `ctc` nothing.
fn random_parts(seed: u64, count: usize) -> Vec<ScoredList> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut lists = random_lists(seed, count);
    for list in &mut lists {
        // The rescoring model says little here, and the number of words nothing.
        list.words.fill(5);
        list.lm = list.errors.iter().map(|e| signed(&mut rng) - 0.1 * f64::from(*e)).collect();
        let noisy = |rng: &mut ChaCha8Rng, skill: f64, e: &u32| signed(rng) - skill * f64::from(*e);
        let mut part = |skill| list.errors.iter().map(|e| noisy(&mut rng, skill, e)).collect();
        let (am, lm, ctc): (Vec<f64>, Vec<f64>, Vec<f64>) = (part(0.8), part(0.3), part(0.0));
        let sums =
            am.iter().zip(&lm).zip(&ctc).map(|((am, lm), ctc)| 0.1 * am + 2.0 * lm + 4.0 * ctc);
        list.first = sums.collect();
        list.parts = [("am", am), ("ctc", ctc), ("lm", lm)]
            .map(|(name, values)| (name.to_owned(), values))
            .into();
    }
    lists
}

#[test]
fn weights_of_parts_correct_a_badly_combined_score() {
    for seed in 0..3 {
        let lists = random_parts(seed, 100);
        for with_gamma in [false, true] {
            let (plain, tuned) =
                (tune(&lists, with_gamma), tune_parts(&lists, with_gamma, &PartWeights::new()));
            assert!(tuned.errors < plain.errors, "{} {}", tuned.errors, plain.errors);
            assert_eq!(errors_of(&lists, &tuned.weights), tuned.errors);
            assert!(tuned.weights.parts["am"] > 0.0, "{:?}", tuned.weights);
            // Every step reduces the errors, or drops a weight; counts in the table are exact.
            assert!(tuned.steps.iter().map(|step| step.errors).is_sorted_by(|a, b| a >= b));
            for point in tuned.steps.iter().chain(tuned.table.iter().rev().step_by(7)) {
                assert_eq!(errors_of(&lists, &point.weights), point.errors);
            }
            let stored = |p: &&TunePoint| p.weights.parts == tuned.weights.parts;
            assert!(tuned.table.iter().any(|point| stored(&point)));
            assert_eq!(
                tune_parts(&lists, with_gamma, &PartWeights::new()),
                tuned,
                "the same again"
            );
            // From its own result, the search does not get worse.
            let again = tune_parts(&lists, with_gamma, &tuned.weights.parts);
            assert!(again.errors <= tuned.errors, "{} {}", again.errors, tuned.errors);
        }
    }
}

#[test]
fn without_parts_nothing_changes() {
    let lists = random_lists(11, 80);
    for with_gamma in [false, true] {
        let tuned = tune_parts(&lists, with_gamma, &[("am".to_owned(), 1.0)].into());
        assert_eq!(tuned, tune(&lists, with_gamma));
    }
    let lists = vec![pair(1.0, [0, 1])];
    assert_eq!(tune_parts(&lists, true, &PartWeights::new()).weights, Weights::default());
}
