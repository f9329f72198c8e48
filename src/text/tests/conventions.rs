use super::*;

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
fn the_default_is_the_list_itself() {
    let u = list();
    let view = Conventions::default().view(&u);
    assert!(matches!(view, std::borrow::Cow::Borrowed(_)));
    assert!(Conventions::default().is_default() && !JOINED.is_default());
    assert_eq!(JOINED.to_string(), "normalize basic, unit word, equal texts joined");
    let json = r#"{"normalize":"whisper","unit":"mixed","join":false}"#;
    let read: Conventions = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}

#[test]
fn a_view_has_the_same_hypotheses_with_normalised_texts() {
    let u = list();
    let view = BASIC.view(&u);
    assert_eq!(view.reference.as_deref(), Some("turn it off"));
    let off = "turn it off";
    assert_eq!(texts(&view), [off, "turn it on", off, off, "turn"]);
    let scores = |u: &Utterance| u.hypotheses.iter().map(|h| h.score).collect::<Vec<_>>();
    assert_eq!(scores(&view), scores(&u));
    assert_eq!(BASIC.distinct(&u), view);
}

#[test]
fn equal_texts_share_the_sum_of_their_probabilities() {
    let u = list();
    let sum = ((-2.0_f64).exp() + (-1.0_f64).exp() + (-3.0_f64).exp()).ln();
    let view = JOINED.view(&u);
    let scores: Vec<Option<f64>> = view.hypotheses.iter().map(|h| h.score).collect();
    assert!((scores[0].unwrap() - sum).abs() < 1e-12, "{scores:?} {sum}");
    assert_eq!(scores, [scores[0], Some(-1.5), scores[0], scores[0], None]);

    // As one hypothesis, in the place of the best one.
    let distinct = JOINED.distinct(&u);
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
    let view = join.view(&u);
    assert_eq!(view.hypotheses[0].score, Some(-1e300));
    let b = view.hypotheses[3].score.unwrap();
    assert!((b - (-5000.0 + (1.0 + (-1.0_f64).exp()).ln())).abs() < 1e-9, "{b}");
    assert_eq!(view.hypotheses[0].text, "a", "texts are unchanged");
    assert_eq!(view.hypotheses[1].text, "a ");
    assert_eq!(join.distinct(&u).hypotheses.len(), 3);
}
