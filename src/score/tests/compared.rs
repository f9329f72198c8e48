//! Lists in the form in which they are compared.

use std::borrow::Cow;

use super::super::{all_compared, compared, distinct, first_pass};
use crate::nbest::{Hypothesis, Utterance};
use crate::text::{Conventions, Normalize, Unit};

const BASIC: Conventions =
    Conventions { normalize: Normalize::Basic, unit: Unit::Word, join: false };
const JOINED: Conventions = Conventions { join: true, ..BASIC };

/// Three forms of one text, then another text.
fn list() -> Utterance {
    let hypotheses = [
        (" Turn it off.", Some(-2.0)),
        ("turn it on", Some(-1.5)),
        ("turn it off", Some(-1.0)),
        ("Turn it off!", Some(-3.0)),
        ("turn", None),
    ];
    let all = hypotheses.map(|(text, score)| Hypothesis::new(text, score));
    Utterance::new("u1", Some("TURN IT OFF".into()), all.into())
}

fn texts(u: &Utterance) -> Vec<&str> {
    u.hypotheses.iter().map(|h| h.text.as_str()).collect()
}

#[test]
fn by_default_a_list_is_compared_unchanged() {
    let u = list();
    assert!(matches!(compared(&u, &Conventions::default()), Cow::Borrowed(_)));
    let lists = [u];
    assert!(matches!(all_compared(&lists, &Conventions::default()), Cow::Borrowed(_)));
    assert_eq!(all_compared(&lists, &JOINED)[0], *compared(&lists[0], &JOINED));
}

#[test]
fn a_view_has_the_same_hypotheses_with_normalised_texts() {
    let u = list();
    let view = compared(&u, &BASIC);
    assert_eq!(view.reference.as_deref(), Some("turn it off"));
    let off = "turn it off";
    assert_eq!(texts(&view), [off, "turn it on", off, off, "turn"]);
    let scores = |u: &Utterance| u.hypotheses.iter().map(|h| h.score).collect::<Vec<_>>();
    assert_eq!(scores(&view), scores(&u));
    assert_eq!(distinct(&u, &BASIC), (view, (0..5).collect()));
}

#[test]
fn equal_texts_share_the_sum_of_their_probabilities() {
    let u = list();
    let sum = ((-2.0_f64).exp() + (-1.0_f64).exp() + (-3.0_f64).exp()).ln();
    let view = compared(&u, &JOINED);
    let scores: Vec<Option<f64>> = view.hypotheses.iter().map(|h| h.score).collect();
    assert!((scores[0].unwrap() - sum).abs() < 1e-12, "{scores:?} {sum}");
    assert_eq!(scores, [scores[0], Some(-1.5), scores[0], scores[0], None]);

    // As one hypothesis, in the place of the best one.
    let (distinct, places) = distinct(&u, &JOINED);
    assert_eq!(places, [1, 2, 4]);
    assert_eq!(texts(&distinct), ["turn it on", "turn it off", "turn"]);
    assert_eq!(distinct.hypotheses[1].score, scores[0]);
    assert_eq!(distinct.hypotheses[2].score, None);
}

#[test]
fn joining_needs_no_normalisation_and_copes_with_extreme_scores() {
    let join = Conventions { join: true, ..Conventions::default() };
    let all = [
        ("a", Some(-1e300)),
        ("a ", Some(-1e300)),
        ("b", Some(-5000.0)),
        (" b", Some(-5001.0)),
        ("c", None),
    ];
    let all = all.map(|(text, score)| Hypothesis::new(text, score));
    let u = Utterance::new("u", None, all.into());
    let view = compared(&u, &join);
    assert_eq!(view.hypotheses[0].score, Some(-1e300));
    let b = view.hypotheses[3].score.unwrap();
    assert!((b - (-5000.0 + (1.0 + (-1.0_f64).exp()).ln())).abs() < 1e-9, "{b}");
    assert_eq!(view.hypotheses[0].text, "a", "texts are unchanged");
    assert_eq!(view.hypotheses[1].text, "a ");
    assert_eq!(distinct(&u, &join).0.hypotheses.len(), 3);
}

#[test]
fn without_scores_the_sums_of_parts_are_joined() {
    let mut u = list();
    for (h, am) in u.hypotheses.iter_mut().zip([-2.0, -1.0, -4.0, -4.0, -9.0]) {
        h.score = None;
        h.parts.insert("am", am);
        h.parts.insert("lm", -0.5);
    }
    let view = compared(&u, &JOINED);
    let sum = ((-2.5_f64).exp() + 2.0 * (-4.5_f64).exp()).ln();
    let first = first_pass(&view);
    assert!((first[0] - sum).abs() < 1e-12 && (first[1] + 1.5).abs() < 1e-12, "{first:?}");
    assert_eq!(first[0], first[3]);
    // The parts of the best of them, so that weights by part keep them together.
    assert_eq!(view.hypotheses[3].parts.get("am"), Some(-2.0));
}
