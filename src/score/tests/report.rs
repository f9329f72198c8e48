//! The report of an evaluation.

use super::super::{Evaluation, RESAMPLES};
use super::utterance;

/// First pass 1 + 2 errors, rescored 0 + 2, oracle 0 + 1, over 4 + 3 words.
fn example() -> Evaluation {
    let mut evaluation = Evaluation::new();
    // The best first-pass score is second in the list.
    let list = [("turn on the light", Some(-3.0)), ("turn of the light", Some(-2.0))];
    evaluation.add(&utterance(Some("turn on the light"), &list), Some(0));
    let list = [("a x", Some(-1.0)), ("a b", Some(-2.0)), ("x y c", None)];
    evaluation.add(&utterance(Some("a b c"), &list), Some(2));
    evaluation.add(&utterance(None, &[("unknown", None)]), Some(0));
    evaluation
}

#[test]
fn counts_of_all_three_systems() {
    let report = example().report(1_000, 7);
    assert_eq!((report.utterances, report.without_reference), (2, 1));
    let line =
        |system: &super::super::SystemReport| (system.counts.to_string(), system.wrong_utterances);
    assert_eq!(line(&report.first_pass), ("%WER 42.86 [ 3 / 7, 0 ins, 1 del, 2 sub ]".into(), 2));
    assert_eq!(
        line(report.rescored.as_ref().unwrap()),
        ("%WER 28.57 [ 2 / 7, 0 ins, 0 del, 2 sub ]".into(), 1)
    );
    assert_eq!(line(&report.oracle), ("%WER 14.29 [ 1 / 7, 0 ins, 1 del, 0 sub ]".into(), 1));
    assert!((report.relative_gain.unwrap() - 1.0 / 3.0).abs() < 1e-15);
    let test = report.matched_pairs.unwrap();
    assert_eq!((test.utterances, test.differing, test.mean_difference), (2, 1, 0.5));
    // Both have the same draws: 0 or 2 errors of 1 or 2.
    let gain = report.relative_gain_interval.unwrap();
    assert_eq!((gain.low, gain.high), (0.0, 1.0));
}

#[test]
fn without_rescoring_there_is_nothing_to_compare() {
    let mut evaluation = Evaluation::new();
    evaluation.add(&utterance(Some("a"), &[("b", None), ("a", None)]), None);
    let report = evaluation.report(RESAMPLES, 1);
    assert_eq!((report.first_pass.errors, report.oracle.errors), (1, 0));
    assert!(report.rescored.is_none() && report.relative_gain.is_none());
    assert!(report.relative_gain_interval.is_none() && report.matched_pairs.is_none());
    assert_eq!(
        report.to_string(),
        "first pass  %WER 100.00 [ 1 / 1, 0 ins, 0 del, 1 sub ]  95 % interval 100.00 to 100.00  %SER 100.00 [ 1 / 1 ]\n\
         oracle      %WER 0.00 [ 0 / 1, 0 ins, 0 del, 0 sub ]  95 % interval 0.00 to 0.00  %SER 0.00 [ 0 / 1 ]\n\
         1 utterances scored\n\
         texts compared with normalize none, unit word\n"
    );
}

#[test]
fn a_list_that_was_not_rescored_keeps_its_first_pass() {
    let mut evaluation = example();
    evaluation.add(&utterance(Some("a"), &[("a", Some(-2.0)), ("b", Some(-1.0))]), None);
    let report = evaluation.report(10, 1);
    assert_eq!((report.first_pass.errors, report.rescored.unwrap().errors), (4, 3));
}

#[test]
fn an_empty_evaluation_has_a_report() {
    let report = Evaluation::new().report(100, 1);
    assert_eq!(report.first_pass.wer, None);
    assert!(report.to_string().contains("\n0 utterances scored\n"), "{report}");
}

#[test]
fn a_first_pass_without_errors_has_no_relative_gain() {
    let mut evaluation = Evaluation::new();
    evaluation.add(&utterance(Some("a"), &[("a", None), ("b", None)]), Some(1));
    let report = evaluation.report(100, 1);
    assert_eq!(report.relative_gain, None);
    assert!(report.to_string().contains("relative gain n/a"), "{report}");
}

#[test]
fn text_and_json() {
    let report = example().report(1_000, 7);
    let text = report.to_string();
    assert!(
        text.contains("rescored    %WER 28.57 [ 2 / 7, 0 ins, 0 del, 2 sub ]  95 % interval "),
        "{text}"
    );
    assert!(text.contains("\nrelative gain 33.33 %, 95 % interval 0.00 to 100.00\n"), "{text}");
    assert!(text.contains("p = 1.000; 1 of 2 utterances differ\n"), "{text}");
    assert!(text.contains("\n2 utterances scored, 1 without a reference skipped\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["rescored"]["substitutions"], 2);
    assert_eq!(json["first_pass"]["errors"], 3);
    assert_eq!(json["matched_pairs"]["differing"], 1);
    assert_eq!(json["seed"], 7);
    assert_eq!(json["conventions"]["unit"], "word");
    assert_eq!(json["warnings"], serde_json::json!([]));
    assert!(json["oracle"]["wer_interval"]["high"].is_number());
}
