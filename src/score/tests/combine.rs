//! Tests of the score combination.

use super::super::{
    ScoredList, Weights, best, combine, first_is_sum_of_parts, first_pass, part_scores,
};
use super::utterance;
use crate::nbest::Utterance;
use crate::text::Unit;

#[test]
fn total_is_first_plus_beta_lm_plus_gamma_words() {
    let u = utterance(None, &[("a b c", Some(-4.0)), ("", Some(-5.0))]);
    let totals = combine(&u, &[0.5, 2.0], &Weights::new(2.0, 0.25), Unit::Word);
    assert_eq!(totals, [-4.0 + 1.0 + 0.75, -5.0 + 4.0]);
    assert_eq!(combine(&u, &[9.0, 9.5], &Weights::default(), Unit::Word), [-4.0, -5.0]);
}

#[test]
fn a_missing_score_counts_as_the_lowest_of_its_list() {
    assert_eq!(
        first_pass(&utterance(None, &[("a", None), ("b", Some(-3.0)), ("c", Some(-7.0))])),
        [-7.0, -3.0, -7.0]
    );
    // Also with positive scores: a missing score is not zero.
    assert_eq!(first_pass(&utterance(None, &[("a", Some(5.0)), ("b", None)])), [5.0, 5.0]);
    assert_eq!(first_pass(&utterance(None, &[("a", None), ("b", None)])), [0.0, 0.0]);
}

/// A list with `am` and `ctc` scores, one of each missing.
fn with_parts(scored: bool) -> Utterance {
    let mut u = utterance(Some("a b"), &[("a", Some(-4.0)), ("a b", Some(-5.0)), ("c", None)]);
    let parts: [&[(&str, f64)]; 3] =
        [&[("am", -3.0), ("ctc", -1.0)], &[("am", -1.0)], &[("am", -9.0), ("ctc", -6.0)]];
    for (hypothesis, parts) in u.hypotheses.iter_mut().zip(parts) {
        hypothesis.parts = parts.iter().copied().collect();
        hypothesis.score = hypothesis.score.filter(|_| scored);
    }
    u
}

#[test]
fn weighted_parts_are_added_to_the_first_pass() {
    let u = with_parts(true);
    let weights =
        Weights::new(2.0, 0.25).with_part("am", 0.5).with_part("ctc", -1.0).with_part("other", 7.0);
    let first = [-4.0 - 1.5 + 1.0, -5.0 - 0.5 + 6.0, -5.0 - 4.5 + 6.0];
    let lm = [1.0, 2.0, 3.0];
    let expected = [first[0] + 2.0 + 0.25, first[1] + 4.0 + 0.5, first[2] + 6.0 + 0.25];
    assert_eq!(combine(&u, &lm, &weights, Unit::Word), expected);
    let list = ScoredList::new(&u, &lm, Unit::Word).unwrap();
    assert_eq!(list.choice(&weights), best(&expected));
    assert_eq!(combine(&u, &lm, &Weights::default(), Unit::Word), first_pass(&u));
}

#[test]
fn without_a_score_the_first_pass_is_the_sum_of_its_parts() {
    let u = with_parts(false);
    assert!(first_is_sum_of_parts(&u) && !first_is_sum_of_parts(&with_parts(true)));
    // The missing CTC score counts as the lowest.
    assert_eq!(first_pass(&u), [-4.0, -7.0, -15.0]);
    assert_eq!(part_scores(&u)["ctc"], [-1.0, -6.0, -6.0]);
    assert_eq!(part_scores(&utterance(None, &[("a", None)])).len(), 0);
}

#[test]
fn the_first_of_equal_ones_is_best() {
    assert_eq!(best(&[1.0]), 0);
    assert_eq!(best(&[1.0, 2.0, 2.0]), 1);
    assert_eq!(best(&[-0.0, 0.0]), 0);
    assert_eq!(best(&[f64::NEG_INFINITY, -1e300]), 1);
    assert_eq!(best(&[f64::NAN, -1.0, f64::NAN, -2.0]), 1);
    assert_eq!(best(&[f64::NAN, f64::NAN]), 0);
}

#[test]
#[should_panic(expected = "one score per hypothesis")]
fn a_wrong_number_of_scores_panics() {
    let _ = combine(&utterance(None, &[("a", None)]), &[1.0, 2.0], &Weights::default(), Unit::Word);
}

#[test]
fn a_list_is_converted_to_numeric_form() {
    let list = [("a b", Some(-2.0)), ("a x c", None), ("", Some(-9.0))];
    assert_eq!(ScoredList::new(&utterance(None, &list), &[0.0; 3], Unit::Word), None);
    let reduced =
        ScoredList::new(&utterance(Some("a b c"), &list), &[0.5, 1.0, 1.5], Unit::Word).unwrap();
    let expected = ScoredList {
        first: vec![-2.0, -9.0, -9.0],
        lm: vec![0.5, 1.0, 1.5],
        words: vec![2, 3, 0],
        errors: vec![1, 1, 3],
        reference_words: 3,
        ..ScoredList::default()
    };
    assert_eq!(reduced, expected);
}

#[test]
fn a_converted_list_selects_the_same_hypothesis() {
    let u = utterance(Some("a"), &[("a b", Some(-2.0)), ("a", Some(-2.5)), ("", None)]);
    let lm = [0.1, 0.2, 3.0];
    let list = ScoredList::new(&u, &lm, Unit::Word).unwrap();
    for (beta, gamma) in [(0.0, 0.0), (6.0, 0.0), (0.0, -1.0), (0.3, 2.0), (-5.0, 0.5)] {
        let weights = Weights::new(beta, gamma);
        assert_eq!(
            list.choice(&weights),
            best(&combine(&u, &lm, &weights, Unit::Word)),
            "{weights:?}"
        );
    }
}
