//! Orders, and what they write into an utterance.

use crate::text::Conventions;
use serde::Deserialize;
use serde_json::json;

use crate::nbest::{Hypothesis, JsonLines, Utterance};
use crate::score::{ModelScores, RankedList, Weights, best};

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    scores: Vec<Option<f64>>,
    #[serde(default)]
    parts: Vec<serde_json::Map<String, serde_json::Value>>,
    order: Vec<usize>,
    first: Vec<f64>,
}

/// The package's `firstPass` is tested against the same file.
#[test]
fn the_first_pass_order_is_that_of_the_shared_cases() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/shared/first_pass.json")).unwrap();
    assert!(cases.len() > 4);
    for Case { name, scores, parts, order, first } in cases {
        let object = |at: usize| {
            let mut object = parts.get(at).cloned().unwrap_or_default();
            object.insert("text".into(), "a".into());
            object.insert("score".into(), scores.get(at).copied().flatten().into());
            object
        };
        let nbest: Vec<_> = (0..order.len()).map(object).collect();
        let ranked = RankedList::first_pass(
            &read(&json!({"id": "u", "nbest": nbest}).to_string()),
            &Conventions::default(),
        );
        let found: Vec<usize> = ranked.hypotheses.iter().map(|h| h.index).collect();
        assert_eq!(found, order, "{name}");
        let totals: Vec<f64> = ranked.hypotheses.iter().map(|h| h.total).collect();
        assert_eq!(totals, first, "{name}");
        assert!(ranked.hypotheses.iter().all(|h| h.lm.is_none() && !h.truncated), "{name}");
    }
}

#[test]
fn the_first_of_a_ranking_is_the_best_total_and_ties_keep_their_order() {
    let list = |totals: &[f64]| {
        let hypotheses = totals.iter().map(|total| Hypothesis::new("a", Some(*total))).collect();
        RankedList::first_pass(&Utterance::new("u", None, hypotheses), &Conventions::default())
    };
    for totals in [[-0.0, 0.0, -1.0], [f64::NAN, -2.0, f64::NAN], [1.0, 2.0, 2.0], [0.0; 3]] {
        assert_eq!(list(&totals).choice(), best(&totals), "{totals:?}");
    }
    let order: Vec<usize> =
        list(&[f64::NAN, -2.0, 3.0]).hypotheses.iter().map(|h| h.index).collect();
    assert_eq!(order, [2, 1, 0]);
}

fn read(line: &str) -> Utterance {
    JsonLines::new(line.as_bytes(), "line").next().unwrap().unwrap()
}

#[test]
fn the_recognisers_own_lm_survives_every_rescoring() {
    let given = read(
        r#"{"id":"u","nbest":[{"text":"a","score":-1,"lm":-7},{"text":"b c","score":-2}],"site":"x"}"#,
    );
    let scores = |lm| ModelScores { lm, truncated: &[false, true] };
    let weights = Weights::new(1.0, 0.5);
    let ranked =
        RankedList::rescored(&given, scores(&[-3.0, -1.0]), &weights, &Conventions::default());
    assert_eq!((ranked.choice(), ranked.truncated_count()), (1, 1));
    let once = ranked.apply(given);
    assert_eq!(once.extra.get("site"), Some("\"x\""));
    let [first, second] = &once.hypotheses[..] else { panic!("two hypotheses") };
    assert_eq!((first.lm, first.total, first.extra.len()), (Some(-1.0), Some(-2.0), 0));
    assert_eq!((second.lm, second.total), (Some(-3.0), Some(-3.5)));
    assert_eq!(second.parts.get("lm"), Some(-7.0));

    let again =
        RankedList::rescored(&once, scores(&[-1.0, -9.0]), &weights, &Conventions::default())
            .apply(once);
    assert_eq!(again.hypotheses[1].parts.get("lm"), Some(-7.0), "not LoRB's own");
    assert_eq!(again.hypotheses[1].lm, Some(-9.0));
}

#[test]
fn the_first_pass_alone_moves_hypotheses_and_writes_nothing() {
    let given =
        read(r#"{"id":"u","nbest":[{"text":"a","score":-2,"lm":-7},{"text":"b","score":-1}]}"#);
    let ranked = RankedList::first_pass(&given, &Conventions::default());
    let moved = ranked.apply(given.clone());
    assert_eq!(moved.hypotheses, [given.hypotheses[1].clone(), given.hypotheses[0].clone()]);
}
