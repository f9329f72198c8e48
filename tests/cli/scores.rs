//! First-pass scores: their parts and weights, costs, and other keys.

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

/// The same lists with another sign of `score`.
fn negated(lists: &str) -> String {
    let negate = |mut u: Value| {
        for h in u["nbest"].as_array_mut().unwrap() {
            if let Some(score) = h.get("score").and_then(Value::as_f64) {
                h["score"] = (-score).into();
            }
        }
        u.to_string() + "\n"
    };
    lines(lists).into_iter().map(negate).collect()
}

#[test]
fn costs_give_the_results_of_the_log_probabilities() {
    let sandbox = Sandbox::new();
    sandbox.write("costs.jsonl", negated(&sandbox.text("lists.jsonl")));
    let small = r#"{"id":"u","ref":"open the door","nbest":[{"text":"open the door","score":2.5},{"text":"open a door","score":4}]}"#;
    let report = sandbox.run_with("eval -q --costs -", small).done();
    assert!(report.starts_with("first pass  %WER 0.00 [ 0 / 3,"), "{report}");
    for command in [
        "eval -q LISTS",
        "eval -q --device cpu --model base --adapter adapter --beta 1 LISTS",
        "rescore -q --device cpu --model base --adapter adapter --beta 1 LISTS",
        "tune -q --device cpu --model base --adapter adapter --dev LISTS",
        "inspect LISTS",
    ] {
        let given = sandbox.run(&command.replace("LISTS", "lists.jsonl")).done();
        for flags in ["--costs", "--score-kind cost"] {
            let words = format!("{} {flags}", command.replace("LISTS", "costs.jsonl"));
            let costs = sandbox.run(&words).done().replace("costs.jsonl", "lists.jsonl");
            let same = if command.starts_with("rescore") {
                // Written with the sign that was given.
                lines(&negated(&costs)) == lines(&given)
            } else {
                costs == given
            };
            assert!(same, "{words}\n{given}\n{costs}");
        }
    }
}

#[test]
fn another_key_is_the_score_and_stays_in_the_output() {
    let sandbox = Sandbox::new();
    let confidences = r#"{"id":"u","ref":"open the door","nbest":[{"text":"open a door","confidence":0.250},{"text":"open the door","confidence":0.5}]}"#;
    let words = "--score-key confidence --score-kind prob";
    let report = sandbox.run_with(&format!("eval -q {words} -"), confidences).done();
    assert!(report.starts_with("first pass  %WER 0.00"), "{report}");
    let output = sandbox.run_with(&format!("rescore {MODEL} {words}"), confidences).done();
    let list = &lines(&output)[0]["nbest"];
    for h in list.as_array().unwrap() {
        let first = h["confidence"].as_f64().unwrap().ln();
        let total = first + h["lm"].as_f64().unwrap();
        assert!((h["total"].as_f64().unwrap() - total).abs() < 1e-12 && h["score"].is_null());
    }
    assert!(output.contains("\"confidence\":0.250"), "{output}");
}

#[test]
fn wrong_meanings_of_scores_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.refuses("eval lists.jsonl --costs --score-kind prob", 2, "cannot be used with");
    sandbox.refuses("eval lists.jsonl --score-kind costs", 2, "logprob, cost, prob");
    sandbox.refuses("eval lists.jsonl --score-key text", 2, "expected a key that holds a number");
    sandbox.refuses("eval lists.jsonl --score-kind prob", 1, "is not a probability from 0 to 1");
    sandbox.write("decode/output.1/1best_recog/text", "u1 a\n");
    sandbox.refuses("eval decode --costs", 1, "omit --costs, --score-kind and --score-key");
}

#[test]
fn suspicious_scores_are_reported_with_the_flags_that_help() {
    let sandbox = Sandbox::new();
    let costs = negated(&sandbox.text("lists.jsonl"));
    sandbox.write("costs.jsonl", &costs);
    let warning = "warning: the scores look like costs (lower is better)";
    for command in [
        "eval -q costs.jsonl",
        "inspect costs.jsonl",
        "convert -q costs.jsonl --to trn",
        "rescore -q --device cpu --model base --adapter adapter --beta 1 costs.jsonl",
        "tune -q --device cpu --model base --adapter adapter --dev costs.jsonl",
        "train -q --device cpu --model base --train costs.jsonl --epochs 1 --output new",
    ] {
        let run = sandbox.run(command);
        assert_eq!(run.code, Some(0), "{command}: {}", run.stderr);
        let found: Vec<_> = run.stderr.lines().filter(|line| line.contains("costs (")).collect();
        let [line] = found[..] else { panic!("{command}: {}", run.stderr) };
        let flag = if command.starts_with("train") {
            "warning: --train: the scores look"
        } else {
            warning
        };
        assert!(
            line.starts_with(flag) && line.ends_with("use --costs if lower is better"),
            "{line}"
        );
        let silent = sandbox.run(&format!("{} --costs", command.replace("new", "other")));
        assert!(!silent.stderr.contains("look like"), "{command}: {}", silent.stderr);
    }
    let json: Value =
        serde_json::from_str(&sandbox.run("eval -q --json costs.jsonl").stdout).unwrap();
    assert_eq!(json["score_warnings"][0]["kind"], "like_costs");
    let json: Value =
        serde_json::from_str(&sandbox.run("eval -q --json lists.jsonl").stdout).unwrap();
    assert_eq!(json["score_warnings"].as_array().map(Vec::len), Some(0));

    let other =
        r#"{"id":"u","ref":"a","nbest":[{"text":"b","am_cost":4},{"text":"a","am_cost":3}]}"#;
    let run = sandbox.run_with("eval -q -", other);
    assert!(run.stderr.contains("under the key \"am_cost\"; use --score-key"), "{}", run.stderr);
    let words = "eval -q --score-key am_cost --costs -";
    let run = sandbox.run_with(words, other);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    assert!(run.stdout.starts_with("first pass  %WER 0.00"), "{}", run.stdout);

    let run = sandbox.run_with(&format!("rescore {MODEL} --part ctc=1 --part lm=1"), PARTS);
    let expected = "warning: there is a weight for the part \"lm\" of the score, but the hypotheses have am, ctc";
    assert!(run.stderr.starts_with(expected) && run.stderr.lines().count() == 1, "{}", run.stderr);
}
