//! Which scores are suspicious, and that sane ones are not.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::{ScoreCheck, ScoreWarning, Weights, best, first_pass};
use super::{below, signed, utterance};
use crate::nbest::{Hypothesis, JsonLines, Utterance};

fn list(reference: Option<&str>, scores: &[(&str, f64)]) -> Utterance {
    let list: Vec<_> = scores.iter().map(|&(text, score)| (text, Some(score))).collect();
    utterance(reference, &list)
}

fn kinds(lists: &[Utterance]) -> Vec<&'static str> {
    let name = |warning: &ScoreWarning| match warning {
        ScoreWarning::LikeCosts { .. } => "costs",
        ScoreWarning::LikeProbabilities { .. } => "probabilities",
        ScoreWarning::Constant { .. } => "constant",
        ScoreWarning::OtherKey { .. } => "key",
        ScoreWarning::SumOfParts { .. } => "sum",
        ScoreWarning::UnknownPart { .. } => "part",
    };
    ScoreCheck::of(lists).warnings().iter().map(name).collect()
}

/// How the lists of a recogniser look.
#[derive(Clone, Copy)]
struct Shape {
    hypotheses: usize,
    /// Correlation of scores with errors: 0 is none.
    skill: f64,
    sorted: bool,
    referenced: bool,
}

/// Log-probabilities that fall with the errors, with noise.
fn recognised(seed: u64, lists: usize, shape: Shape) -> Vec<Utterance> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut one = |at: usize| {
        let mut hypotheses: Vec<Hypothesis> = (0..shape.hypotheses)
            .map(|_| {
                let errors = below(&mut rng, 4) as usize;
                let text = [vec!["x"; errors], vec!["a"; 6 - errors]].concat().join(" ");
                let score = -8.0 - shape.skill * errors as f64 + 2.0 * signed(&mut rng);
                Hypothesis::new(text, Some(score))
            })
            .collect();
        if shape.sorted {
            hypotheses.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
        }
        let reference = shape.referenced.then(|| "a a a a a a".to_owned());
        Utterance::new(format!("u{at}"), reference, hypotheses)
    };
    (0..lists).map(&mut one).collect()
}

fn mapped(lists: &[Utterance], map: impl Fn(f64) -> f64) -> Vec<Utterance> {
    let mut lists = lists.to_vec();
    let hypotheses = lists.iter_mut().flat_map(|list| &mut list.hypotheses);
    hypotheses.for_each(|h| h.score = h.score.map(&map));
    lists
}

fn shapes() -> impl Iterator<Item = Shape> {
    [2, 3, 5, 10, 50].into_iter().flat_map(|hypotheses| {
        [(0.0, false), (0.3, true), (1.0, false), (1.0, true)].into_iter().flat_map(
            move |(skill, sorted)| {
                [false, true].map(|referenced| Shape { hypotheses, skill, sorted, referenced })
            },
        )
    })
}

#[test]
fn sane_scores_give_no_warning() {
    let mut false_alarms = 0;
    let mut all = 0;
    for shape in shapes() {
        for lists in [1, 2, 3, 10, 100] {
            for seed in 0..20 {
                let lists = recognised(seed, lists, shape);
                // In other units, and as positive path scores, which fall.
                let mut kinds_of = kinds(&lists);
                kinds_of.extend(kinds(&mapped(&lists, |score| 300.0 * score)));
                if shape.sorted {
                    kinds_of.extend(kinds(&mapped(&lists, |score| score + 500.0)));
                }
                all += 1;
                false_alarms += usize::from(!kinds_of.is_empty());
            }
        }
    }
    // Without any skill and without an order, chance gives the evidence for costs once in a thousand times.
    assert!(false_alarms * 500 < all, "{false_alarms} of {all}");
}

#[test]
fn costs_are_noticed_by_their_order_or_by_the_references() {
    for shape in shapes().filter(|shape| shape.skill == 1.0) {
        if !shape.sorted && !shape.referenced {
            continue;
        }
        for seed in 0..20 {
            let costs = mapped(&recognised(seed, 200, shape), |score| -score);
            assert_eq!(kinds(&costs), ["costs"]);
            // Also if they are not positive.
            assert_eq!(kinds(&mapped(&costs, |score| score - 500.0)), ["costs"]);
        }
    }
}

#[test]
fn one_list_of_costs_is_enough_if_they_are_positive() {
    let costs = [("turn off the lights", 3.0), ("turn of the light", 5.0)];
    assert_eq!(kinds(&[list(Some("turn off the lights"), &costs)]), ["costs"]);
    assert_eq!(kinds(&[list(None, &costs)]), ["costs"]);
    // Two log-probabilities in this order say nothing.
    assert_eq!(kinds(&[list(None, &[("a", -5.0), ("b", -3.0)])]), [""; 0]);
}

#[test]
fn references_overrule_the_order() {
    // Log-probabilities, written with the worst one first.
    let shape = Shape { hypotheses: 5, skill: 1.0, sorted: true, referenced: true };
    let mut lists = recognised(3, 40, shape);
    lists.iter_mut().for_each(|list| list.hypotheses.reverse());
    assert_eq!(kinds(&lists), [""; 0]);
    lists.iter_mut().for_each(|list| list.reference = None);
    assert_eq!(kinds(&lists), ["costs"]);
}

#[test]
fn probabilities_and_constants_are_noticed() {
    let shape = Shape { hypotheses: 4, skill: 1.0, sorted: true, referenced: true };
    let lists = recognised(1, 10, shape);
    assert_eq!(kinds(&mapped(&lists, f64::exp)), ["probabilities"]);
    assert_eq!(kinds(&mapped(&lists, |_| 1.0)), ["constant"]);
    let check = ScoreCheck::of(&mapped(&lists, |_| 1.0));
    let text = check.warnings()[0].to_string();
    assert!(text.starts_with("all scores are 1 (10 lists)"), "{text}");
    // Another value in every list is constant too; a single hypothesis says nothing.
    assert_eq!(
        kinds(&[list(None, &[("a", -1.0), ("b", -1.0)]), list(None, &[("a", -2.0)])]),
        ["constant"]
    );
    assert_eq!(kinds(&[list(None, &[("a", 1.0)]), list(None, &[("a", 1.0)])]), [""; 0]);
    assert_eq!(kinds(&[]), [""; 0]);
}

#[test]
fn a_key_that_looks_like_a_score_is_named_if_there_is_none() {
    let read = |line: &str| JsonLines::new(line.as_bytes(), "line").next().unwrap().unwrap();
    let other = read(
        r#"{"id":"u","nbest":[{"text":"a","tag":1,"am_score":2,"logProb":-1.5},{"text":"b","logProb":-2}]}"#,
    );
    let check = ScoreCheck::of(std::slice::from_ref(&other));
    assert_eq!(check.warnings(), [ScoreWarning::OtherKey { key: "logProb".to_owned() }]);
    let scored = read(r#"{"id":"u","nbest":[{"text":"a","score":-1,"confidence":1}]}"#);
    assert_eq!(kinds(std::slice::from_ref(&scored)), [""; 0]);
    assert_eq!(kinds(&[other, scored]), [""; 0]);
    assert_eq!(kinds(&[read(r#"{"id":"u","nbest":[{"text":"a","confidence":"high"}]}"#)]), [""; 0]);
}

#[test]
fn parts_in_place_of_a_score_are_summed_and_checked() {
    let read = |line: &str| JsonLines::new(line.as_bytes(), "line").next().unwrap().unwrap();
    let list =
        read(r#"{"id":"u","nbest":[{"text":"a","am":3,"lm":1},{"text":"b","am":4,"lm":2}]}"#);
    assert_eq!((first_pass(&list), best(&first_pass(&list))), (vec![4.0, 6.0], 1));
    assert_eq!(kinds(std::slice::from_ref(&list)), ["costs", "sum"]);
    let check = ScoreCheck::of(&[list]);
    assert_eq!(check.parts().collect::<Vec<_>>(), ["am", "lm"]);
    let weights = Weights::new(1.0, 0.0).with_part("am", 0.5).with_part("ctc", 0.5);
    let [warning] = &check.about_weights(&weights)[..] else { panic!("one warning") };
    let text = warning.to_string();
    assert!(text.contains("\"ctc\"") && text.ends_with("have am, lm"), "{text}");
}
