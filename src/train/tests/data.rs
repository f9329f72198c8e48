//! Preprocessing of training data.

use super::tiny::{base, golden_lists};
use crate::nbest::{Hypothesis, Utterance};
use crate::score::PartWeights;
use crate::text::{Conventions, Normalize, Unit};
use crate::train::{DevData, TrainConfig, TrainData, TrainError};

fn prepare(utterances: &[Utterance], nbest: usize) -> Result<TrainData, TrainError> {
    TrainData::prepare(
        utterances,
        &base().tokenizer,
        &TrainConfig { nbest, first_scale: Some(1.0), ..TrainConfig::default() },
    )
}

fn utterance(reference: Option<&str>, hypotheses: &[(&str, Option<f64>)]) -> Utterance {
    let hypotheses =
        hypotheses.iter().map(|(text, score)| Hypothesis::new(*text, *score)).collect();
    Utterance::new("u", reference.map(str::to_owned), hypotheses)
}

#[test]
fn lists_with_equal_errors_are_skipped_and_counted() {
    let data = prepare(&golden_lists(), 10).unwrap();
    assert_eq!((data.counts.utterances, data.lists.len(), data.counts.equal_errors), (6, 4, 2));
    assert_eq!(
        (data.counts.hypotheses, data.sequences.len(), data.counts.without_scores),
        (21, 18, 1)
    );
    let without = utterance(None, &[("a", None), ("b", None)]);
    let equal = utterance(Some("a"), &[("b", None), ("c", None)]);
    let useful = utterance(Some("a"), &[("a", Some(1.0)), ("b", Some(0.5))]);
    let data = prepare(&[without.clone(), equal.clone(), useful], 10).unwrap();
    assert_eq!((data.counts.no_reference, data.counts.equal_errors, data.lists.len()), (1, 1, 1));
    assert_eq!((data.counts.positive_sums, data.counts.without_scores), (1, 0));
    let error = prepare(&[without, equal], 10).unwrap_err();
    assert!(matches!(
        error,
        TrainError::NoUsableList {
            utterances: 2,
            without_reference: 1,
            equal_errors: 1,
            nbest: 10,
            cause: None,
        }
    ));
}

#[test]
fn long_lists_keep_their_best_scores_in_order() {
    let list = utterance(
        Some("a"),
        &[
            ("b", Some(-9.0)),
            ("a", Some(-3.0)),
            ("a a", Some(-8.0)),
            ("c a", Some(-1.0)),
            ("a c", Some(-1.0)),
        ],
    );
    let data = prepare(std::slice::from_ref(&list), 3).unwrap();
    assert_eq!(data.lists[0].first, [-3.0, -1.0, -1.0]);
    assert_eq!(data.lists[0].errors, [0, 1, 1]);
    // Without scores the first ones are kept; truncation may leave equal errors.
    let bare = utterance(Some("a"), &[("b", None), ("c", None), ("a", None)]);
    assert!(matches!(
        prepare(std::slice::from_ref(&bare), 2),
        Err(TrainError::NoUsableList { .. })
    ));
    assert_eq!(prepare(&[bare], 3).unwrap().lists[0].first, [0.0; 3]);
    // A missing score counts as the lowest.
    let mixed = utterance(Some("a"), &[("a", None), ("b", Some(-4.0)), ("c a", Some(-2.0))]);
    assert_eq!(prepare(&[mixed], 10).unwrap().lists[0].first, [-4.0, -4.0, -2.0]);
}

#[test]
fn texts_beyond_the_position_limit_are_counted() {
    let long = "a ".repeat(200);
    let data = prepare(&[utterance(Some("a"), &[("a", None), (&long, None)])], 10).unwrap();
    assert_eq!(data.counts.truncated, 1);
    assert_eq!(data.sequences.iter().map(Vec::len).max(), Some(64));
}

#[test]
fn a_non_finite_score_is_reported() {
    for bad in [f64::NAN, f64::NEG_INFINITY] {
        let list = utterance(Some("a"), &[("a", Some(-1.0)), ("b", Some(bad))]);
        let error = prepare(std::slice::from_ref(&list), 10).unwrap_err().to_string();
        assert!(error.contains("\"u\"") && error.contains("hypothesis 2"), "{error}");
        let error = DevData::prepare(
            &[list],
            &base().tokenizer,
            Conventions::default(),
            &PartWeights::new(),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("hypothesis 2"), "{error}");
    }
}

#[test]
fn a_fingerprint_depends_on_all_used_data() {
    let print = |utterances: &[Utterance]| prepare(utterances, 10).unwrap().fingerprint();
    let lists = golden_lists();
    let original = print(&lists);
    assert_eq!(original.len(), 64);
    assert_eq!(original, print(&golden_lists()));
    let spoil: [fn(&mut Vec<Utterance>); 4] = [
        |l| l[0].hypotheses[0].score = Some(-0.125),
        |l| l[0].hypotheses[0].text.push_str(" and more"),
        |l| l[0].reference = Some("something else altogether".into()),
        |l| l.swap(0, 2),
    ];
    for change in spoil {
        let mut lists = golden_lists();
        change(&mut lists);
        assert_ne!(original, print(&lists));
    }
}

#[test]
fn a_development_set_needs_a_reference_word() {
    let tokenizer = base().tokenizer;
    assert!(
        DevData::prepare(&[], &tokenizer, Conventions::default(), &PartWeights::new())
            .unwrap()
            .is_none()
    );
    for reference in [None, Some("")] {
        let list = utterance(reference, &[("a", None), ("b", None)]);
        let error =
            DevData::prepare(&[list], &tokenizer, Conventions::default(), &PartWeights::new())
                .unwrap_err();
        assert_eq!(error, TrainError::NoDevReference { utterances: 1 });
    }
    let dev =
        DevData::prepare(&golden_lists(), &tokenizer, Conventions::default(), &PartWeights::new())
            .unwrap()
            .unwrap();
    assert_eq!(dev.len(), 6);
    assert!(dev.wer_oracle() > 0.0 && dev.wer_oracle() < 1.0);
}

/// Two forms of every text, each with half of its probability.
fn in_two_forms(list: &Utterance) -> Utterance {
    let forms = |h: &Hypothesis| {
        let score = h.score.map(|score| score - std::f64::consts::LN_2);
        let capitals = format!(" {}.", h.text.to_uppercase());
        [Hypothesis::new(capitals, score), Hypothesis::new(h.text.clone(), score)]
    };
    let hypotheses = list.hypotheses.iter().flat_map(forms).collect();
    let reference = list.reference.as_ref().map(|reference| reference.to_uppercase() + "!");
    Utterance::new(list.id.clone(), reference, hypotheses)
}

#[test]
fn joined_forms_are_trained_on_as_the_plain_list() {
    let list = utterance(
        Some("turn off the light"),
        &[("turn of the light", Some(-1.0)), ("turn off the light", Some(-1.5)), ("turn", None)],
    );
    let plain = prepare(std::slice::from_ref(&list), 10).unwrap();
    let config = TrainConfig {
        normalize: Normalize::Basic,
        join: true,
        first_scale: Some(1.0),
        ..TrainConfig::default()
    };
    let tokenizer = &base().tokenizer;
    let forms = [in_two_forms(&list)];
    let joined = TrainData::prepare(&forms, tokenizer, &config).unwrap();
    assert_eq!(joined.sequences, plain.sequences);
    assert_eq!(joined.lists[0].errors, plain.lists[0].errors);
    let pairs = joined.lists[0].first.iter().zip(&plain.lists[0].first);
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{joined:?}");
    assert_eq!(joined.findings, []);

    // The development set counts in the unit of the conventions.
    let by_character = Conventions { unit: Unit::Char, ..config.conventions() };
    let dev =
        DevData::prepare(&forms, tokenizer, by_character, &PartWeights::new()).unwrap().unwrap();
    assert_eq!(dev.wer_oracle(), 0.0);
    assert_ne!(dev.fingerprint(), {
        let by_word =
            DevData::prepare(&forms, tokenizer, config.conventions(), &PartWeights::new());
        by_word.unwrap().unwrap().fingerprint()
    });
}
