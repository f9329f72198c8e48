//! Rescoring, evaluation, tuning and inspection on good input.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore -q --device cpu --model base --adapter adapter --beta 1";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn golden_scores() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tiny/scores.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn rescore_orders_by_total_and_agrees_with_pytorch() {
    let sandbox = Sandbox::new();
    let given = lines(&sandbox.text("lists.jsonl"));
    let output = lines(&sandbox.run(&format!("{RESCORE} lists.jsonl")).done());
    assert_eq!(output.len(), given.len());
    for ((before, after), golden) in given.iter().zip(&output).zip(&golden_scores()) {
        assert_eq!(before["id"], after["id"]);
        assert_eq!(before["ref"], after["ref"]);
        let list = after["nbest"].as_array().unwrap();
        assert_eq!(list.len(), before["nbest"].as_array().unwrap().len());
        let totals: Vec<f64> = list.iter().map(|h| h["total"].as_f64().unwrap()).collect();
        assert!(totals.is_sorted_by(|a, b| a >= b), "{totals:?}");
        for (hypothesis, expected) in
            before["nbest"].as_array().unwrap().iter().zip(golden["lm"].as_array().unwrap())
        {
            let found = list.iter().find(|h| h["text"] == hypothesis["text"]).unwrap();
            let (lm, expected) = (found["lm"].as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((lm - expected).abs() < 1e-4, "{lm} {expected}");
        }
    }
}

#[test]
fn rescore_reads_files_pipes_and_gzip() {
    let sandbox = Sandbox::new();
    let text = sandbox.text("lists.jsonl");
    let expected = sandbox.run(&format!("{RESCORE} lists.jsonl")).done();
    assert_eq!(sandbox.run_with(RESCORE, text.clone()).done(), expected);
    assert_eq!(sandbox.run_with(&format!("{RESCORE} - -o -"), text.clone()).done(), expected);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    sandbox.write("named-otherwise", encoder.finish().unwrap());
    assert_eq!(sandbox.run(&format!("{RESCORE} named-otherwise")).done(), expected);
    assert_eq!(sandbox.run(&format!("{RESCORE} lists.jsonl -o out.jsonl")).done(), "");
    assert_eq!(sandbox.text("out.jsonl"), expected);
    let both = sandbox.run(&format!("{RESCORE} lists.jsonl named-otherwise")).done();
    assert_eq!(both, expected.repeat(2));
    assert_eq!(sandbox.run_with(RESCORE, "").done(), "");
}

#[test]
fn rescore_keeps_unknown_keys_and_accepts_unusual_lists() {
    let sandbox = Sandbox::new();
    let long = "turn ".repeat(200);
    let input = format!(
        "{{\"id\":\"a\",\"speaker\":7,\"nbest\":[{{\"text\":\"\",\"tag\":[1]}},{{\"text\":\"{long}\"}}]}}\n"
    );
    let run = sandbox.run_with(&RESCORE.replace("-q ", ""), input);
    let output = lines(&run.stdout);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("warning: 1 hypothesis was truncated at the base's position limit"),
        "{}",
        run.stderr
    );
    assert_eq!(output[0]["speaker"], 7);
    let list = output[0]["nbest"].as_array().unwrap();
    assert!(list.iter().any(|h| h["text"] == "" && h["tag"][0] == 1 && h["lm"].is_number()));
    assert!(list.iter().all(|h| h.get("score").is_none()), "missing scores stay missing: {list:?}");
}

#[test]
fn rescore_keeps_the_old_output_on_failure() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.jsonl", sandbox.text("lists.jsonl") + "{");
    sandbox.write("out.jsonl", "old");
    sandbox.refuses(&format!("{RESCORE} bad.jsonl -o out.jsonl"), 1, "bad.jsonl:7: ");
    assert_eq!(sandbox.text("out.jsonl"), "old");
    sandbox.run(&format!("{RESCORE} lists.jsonl -o out.jsonl")).done();
    assert_ne!(sandbox.text("out.jsonl"), "old");
}

#[test]
fn eval_reports_with_and_without_an_adapter() {
    let sandbox = Sandbox::new();
    let bare = sandbox.run("eval lists.jsonl").done();
    assert!(bare.starts_with("first pass  %WER 23.08 [ 9 / 39,"), "{bare}");
    assert!(bare.contains("oracle      %WER 7.69") && !bare.contains("rescored"), "{bare}");
    let words = "eval -q --device cpu --model base --adapter adapter --beta 1 lists.jsonl";
    let text = sandbox.run(words).done();
    assert!(text.contains("rescored") && text.contains("matched pairs"), "{text}");
    let json: Value =
        serde_json::from_str(&sandbox.run(&format!("{words} --json")).done()).unwrap();
    assert_eq!(json["first_pass"]["errors"], 9);
    assert_eq!(json["weights"]["beta"], 1.0);
    assert_eq!(json["files"][0], "lists.jsonl");
    // The report agrees with the order of `rescore`.
    let rescored = sandbox.run(&format!("{RESCORE} lists.jsonl")).done();
    let errors: u64 = lines(&rescored)
        .iter()
        .map(|u| {
            let first = u["nbest"][0]["text"].as_str().unwrap();
            lorb::score::word_errors(u["ref"].as_str().unwrap(), first).errors()
        })
        .sum();
    assert_eq!(json["rescored"]["errors"], errors);
}

#[test]
fn tune_stores_the_weights_that_its_table_shows() {
    let sandbox = Sandbox::new();
    let configuration = || -> Value {
        serde_json::from_slice(&sandbox.read("adapter/adapter_config.json")).unwrap()
    };
    let given = configuration();
    let words = "tune -q --device cpu --model base --adapter adapter --dev lists.jsonl";
    let table = sandbox.run(words).done();
    let stored = table.lines().find(|line| line.ends_with("<- stored")).unwrap();
    let beta: f64 = stored.split_whitespace().next().unwrap().parse().unwrap();
    let json = "eval -q --json --device cpu --model base --adapter adapter lists.jsonl";
    let report: Value = serde_json::from_str(&sandbox.run(json).done()).unwrap();
    assert!((report["weights"]["beta"].as_f64().unwrap() - beta).abs() < 1e-5);
    let errors: u64 = stored.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert_eq!(report["rescored"]["errors"], errors);
    assert!(errors <= 9, "{table}");
    // The adapter itself is not changed: PEFT wrote its configuration, which LoRB writes in its own order.
    let config = sandbox.read("adapter/adapter_config.json");
    let stored = configuration();
    for key in ["peft_type", "r", "lora_alpha", "use_rslora", "base_model_name_or_path"] {
        assert!(given.get(key).is_some() && stored[key] == given[key], "{key}: {stored}");
    }
    let targets = |config: &Value| -> BTreeSet<String> {
        serde_json::from_value(config["target_modules"].clone()).unwrap()
    };
    assert_eq!(targets(&stored), targets(&given));
    // A second run gives the same bytes; gamma can be tuned too.
    let weights = sandbox.read("adapter/adapter_model.safetensors");
    sandbox.run(words).done();
    assert_eq!(sandbox.read("adapter/adapter_model.safetensors"), weights);
    assert!(sandbox.read("adapter/adapter_config.json") == config);
    let both = sandbox.run(&format!("{words} --gamma")).done();
    assert!(both.lines().count() > table.lines().count(), "{both}");
}

#[test]
fn inspect_distinguishes_bases_adapters_and_lists() {
    let sandbox = Sandbox::new();
    let base = sandbox.run("inspect base").done();
    assert!(base.contains("parameters               34752 in the encoder"), "{base}");
    let adapter = sandbox.run("inspect adapter --model base").done();
    assert!(adapter.contains("parameters               5409, 13.468 % of 40161"), "{adapter}");
    let bare = sandbox.run("inspect adapter").done();
    assert!(bare.contains("parameters               5409 ("), "{bare}");
    let lists = sandbox.run("inspect lists.jsonl").done();
    assert!(lists.contains("format                   jsonl (JSON lines"), "{lists}");
    assert!(lists.contains("utterances               6\n"), "{lists}");
    assert!(lists.contains("%WER 23.08"), "{lists}");
}

#[test]
fn espnet_directories_are_read_with_their_references() {
    let sandbox = Sandbox::new();
    for (rank, text, score) in
        [(1, "turn of the light", "tensor(-1.5)"), (2, "turn off the light", "tensor(-2.0)")]
    {
        let folder = format!("decode/logdir/output.1/{rank}best_recog");
        sandbox.write(&format!("{folder}/text"), format!("u1 {text}\n"));
        sandbox.write(&format!("{folder}/score"), format!("u1 {score}\n"));
    }
    sandbox.write("refs", "u1 turn off the light\n");
    let given = sandbox.run("eval decode --references refs").done();
    assert!(given.starts_with("first pass  %WER 25.00 [ 1 / 4,"), "{given}");
    assert_eq!(sandbox.run("eval decode --references refs --format espnet").done(), given);
    let inspected = sandbox.run("inspect decode").done();
    assert!(inspected.contains("format                   espnet (ESPnet"), "{inspected}");
    sandbox.write("more", "u1 turn off the light\nu2 play\nu3 stop\n");
    let run = sandbox.run("eval --json decode --references more");
    assert!(run.stderr.contains("note: more: 2 references have no list"), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.done()).unwrap();
    assert_eq!((&report["unused_references"], &report["utterances"]), (&2.into(), &1.into()));
    let output = sandbox.run(&format!("{RESCORE} decode/logdir")).done();
    assert_eq!(lines(&output)[0]["nbest"].as_array().unwrap().len(), 2);
    // A `text` in the directory may contain references, or the recogniser's own output.
    sandbox.write("decode/text", "u1 turn off the light\n");
    let run = sandbox.run("eval decode");
    assert_eq!(run.stdout, given);
    assert!(run.stderr.contains("using references from decode/text"), "{}", run.stderr);
    sandbox.write("decode/text", "u1 turn of the light\n");
    let run = sandbox.run("eval decode");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("not references; use --references"), "{}", run.stderr);
}

#[test]
fn doctor_shows_what_auto_selects() {
    let text = Sandbox::new().run("doctor").done();
    assert!(text.contains("threads ") && text.contains("\n--device auto selects "), "{text}");
}
