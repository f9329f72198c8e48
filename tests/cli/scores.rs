//! First-pass scores: their parts and weights.

use serde_json::Value;

use crate::sandbox::Sandbox;

const MODEL: &str = "-q --device cpu --model base --adapter adapter --beta 1";

/// Two lists with acoustic and CTC scores; the reference of each is its second hypothesis.
const PARTS: &str = r#"{"id":"a","ref":"turn it on","nbest":[{"text":"turn it","score":-2,"am":-1.5,"scores":{"ctc":-4}},{"text":"turn it on","score":-2.5,"am":-2,"scores":{"ctc":-1}}]}
{"id":"b","ref":"stop","nbest":[{"text":"stops","score":-1,"am":-0.5,"scores":{"ctc":-3}},{"text":"stop","score":-1.5,"am":-1}]}
"#;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The hypotheses of each list in a fixed order.
fn by_text(output: &str) -> Vec<Value> {
    let mut all: Vec<Value> =
        lines(output).iter().flat_map(|u| u["nbest"].as_array().unwrap().clone()).collect();
    all.sort_by_key(|h| h["text"].to_string());
    all
}

#[test]
fn weights_of_parts_are_added_to_the_total() {
    let sandbox = Sandbox::new();
    let plain = by_text(&sandbox.run_with(&format!("rescore {MODEL}"), PARTS).done());
    let words = format!("rescore {MODEL} --part ctc=0.5 --part am=-0.25");
    let weighted = by_text(&sandbox.run_with(&words, PARTS).done());
    // The second list has one CTC score, which is also its lowest.
    let ctc = [-3.0, -3.0, -1.0, -4.0];
    for ((before, after), ctc) in plain.iter().zip(&weighted).zip(ctc) {
        let number = |h: &Value, key: &str| h[key].as_f64().unwrap();
        assert_eq!(before["text"], after["text"]);
        let added = number(after, "total") - number(before, "total");
        let expected = 0.5 * ctc - 0.25 * number(before, "am");
        assert!((added - expected).abs() < 1e-12, "{added} {expected}: {after}");
        for key in ["score", "am", "lm", "scores"] {
            assert_eq!(before[key], after[key], "{key}");
        }
    }
    let words = format!("eval {MODEL} --json --part ctc=0.5 -");
    let report: Value = serde_json::from_str(&sandbox.run_with(&words, PARTS).done()).unwrap();
    assert_eq!(report["weights"]["parts"]["ctc"], 0.5);
}

#[test]
fn a_weight_of_a_part_is_a_name_and_a_number() {
    let sandbox = Sandbox::new();
    for (given, expected) in
        [("am", "expected NAME=WEIGHT"), ("=1", "before the ="), ("am=x", "expected a number")]
    {
        sandbox.refuses(&format!("rescore {MODEL} --part {given} lists.jsonl"), 2, expected);
    }
    sandbox.refuses("eval lists.jsonl --part am=1", 2, "--part need --model and --adapter");
}

#[test]
fn a_list_without_a_score_is_ordered_by_the_sum_of_its_parts() {
    let sandbox = Sandbox::new();
    let lists = r#"{"id":"a","ref":"b","nbest":[{"text":"a","am":-1,"scores":{"ctc":-9}},{"text":"b","am":-2,"scores":{"ctc":-3}}]}"#;
    let report = sandbox.run_with("eval -q -", lists).done();
    assert!(report.starts_with("first pass  %WER 0.00 [ 0 / 1,"), "{report}");
}
