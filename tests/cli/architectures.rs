//! Bases of other architectures than BERT's, end to end.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore -q --device cpu --model base";
const TRAIN: &str = "train -q --device cpu --model base --train lists.jsonl --dev lists.jsonl --output new --epochs 1";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_distilbert_is_inspected() {
    let sandbox = Sandbox::of("distil");
    let base = sandbox.run("inspect base").done();
    assert!(base.contains("architecture             DistilBERT"), "{base}");
    assert!(base.contains("positions                40"), "{base}");
    let adapter = sandbox.run("inspect adapter --model base").done();
    assert!(adapter.contains("q_lin, k_lin, v_lin, out_lin, lin1, lin2"), "{adapter}");
}

#[test]
fn other_architectures_are_inspected() {
    for (name, lines) in [
        (
            "electra",
            [
                "architecture             ELECTRA",
                "embedding size           16",
                "positions                40",
            ],
        ),
        (
            "modernbert",
            [
                "architecture             ModernBERT",
                "positions                rotary; 2 layers attend to 4 tokens on either side",
                "longest text             40",
            ],
        ),
        (
            "roberta",
            [
                "architecture             RoBERTa",
                "longest text             40",
                "positions                42",
            ],
        ),
    ] {
        let base = Sandbox::of(name).run("inspect base").done();
        assert!(lines.iter().all(|line| base.contains(line)), "{base}");
    }
}

#[test]
fn every_architecture_rescores_as_pytorch_does() {
    ["distil", "electra", "modernbert", "roberta"].into_iter().for_each(rescores_as_pytorch_does);
}

#[test]
fn a_roberta_without_tokenizer_json_gives_the_same_scores() {
    let sandbox = Sandbox::of("roberta");
    let rescore = format!("{RESCORE} --adapter adapter --beta 1 lists.jsonl");
    let expected = sandbox.run(&rescore).done();
    let model = json(&sandbox.text("base/tokenizer.json"))["model"].take();
    let pair =
        |pair: &Value| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    let merges: Vec<_> = model["merges"].as_array().unwrap().iter().map(pair).collect();
    fs::remove_file(sandbox.path("base/tokenizer.json")).unwrap();
    sandbox.write("base/vocab.json", model["vocab"].to_string());
    sandbox.refuses(&rescore, 1, "neither a tokenizer.json nor a vocab.json with merges.txt");
    sandbox.write("base/merges.txt", format!("#version: 0.2\n{}\n", merges.join("\n")));
    assert_eq!(sandbox.run(&rescore).done(), expected);
}

fn rescores_as_pytorch_does(base: &str) {
    let sandbox = Sandbox::of(base);
    let output = sandbox.run(&format!("{RESCORE} --adapter adapter --beta 1 lists.jsonl")).done();
    let expected =
        json(&String::from_utf8(sandbox.golden(&format!("{base}/scores.json"))).unwrap());
    let given = sandbox.text("lists.jsonl");
    let mut compared = 0;
    for ((before, after), golden) in
        given.lines().zip(output.lines()).zip(expected.as_array().unwrap())
    {
        let (before, after) = (json(before), json(after));
        let texts = before["nbest"].as_array().unwrap();
        for (hypothesis, lm) in texts.iter().zip(golden["lm"].as_array().unwrap()) {
            let list = after["nbest"].as_array().unwrap();
            let found = list.iter().find(|h| h["text"] == hypothesis["text"]).unwrap();
            let off = found["lm"].as_f64().unwrap() - lm.as_f64().unwrap();
            assert!(off.abs() < 1e-4, "{hypothesis}: {} for {lm}", found["lm"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 26);
}

#[test]
fn an_adapter_of_a_distilbert_has_the_names_of_peft() {
    let sandbox = Sandbox::of("distil");
    let mut written = Vec::new();
    // LoRB's names and PEFT's select the same layers.
    for targets in ["query,value", "q_lin,v_lin"] {
        let words = format!("{TRAIN} --overwrite --lora-target-modules {targets}");
        let table = sandbox.run(&words).done();
        let report = sandbox.run("eval -q --device cpu --model base --adapter new lists.jsonl");
        assert!(table.ends_with(&report.done()), "{table}");
        let config = json(&sandbox.text("new/adapter_config.json"));
        assert_eq!(config["target_modules"], json!(["q_lin", "v_lin"]));
        assert_eq!(config["exclude_modules"], Value::Null);
        written.push(sandbox.read("new/adapter_model.safetensors"));
    }
    assert_eq!(written[0], written[1]);
    let tensors = sandbox.run("inspect new --model base").done();
    for part in ["lora_A", "lora_B"] {
        let name = format!("base_model.model.transformer.layer.*.attention.q_lin.{part}.weight");
        assert!(tensors.contains(&name), "{tensors}");
    }
    sandbox.run(&format!("{RESCORE} --adapter new lists.jsonl")).done();
}

#[test]
fn an_adapter_of_a_modernbert_has_the_names_of_peft() {
    let sandbox = Sandbox::of("modernbert");
    let mut written = Vec::new();
    // Query, key and value are one layer there, whichever of them is named.
    for targets in ["query", "Wqkv", "query,value"] {
        let words = format!("{TRAIN} --overwrite --lora-target-modules {targets} --lora-layers 1");
        sandbox.run(&words).done();
        let config = json(&sandbox.text("new/adapter_config.json"));
        assert_eq!(config["target_modules"], json!(["Wqkv"]));
        assert_eq!(config["layers_pattern"], "layers");
        written.push(sandbox.read("new/adapter_model.safetensors"));
    }
    assert!(written.iter().all(|file| *file == written[0]));
    let words = format!("{TRAIN} --overwrite --lora-target-modules all-linear");
    sandbox.run(&words).done();
    let config = json(&sandbox.text("new/adapter_config.json"));
    assert_eq!(config["target_modules"], json!(["Wqkv", "attn.Wo", "Wi", "mlp.Wo"]));
    assert_eq!(config["layers_pattern"], Value::Null);
}

#[test]
fn no_student_is_made_of_a_modernbert() {
    let sandbox = Sandbox::of("modernbert");
    sandbox.write("text.txt", "turn off the lights\n".repeat(40).into_bytes());
    let line = "no student can be made of ModernBERT";
    sandbox.refuses("distill --teacher base --text text.txt --layers 1 --output student", 1, line);
}

#[test]
fn every_method_trains_every_architecture() {
    ["distil", "electra", "modernbert", "roberta"].into_iter().for_each(every_method_trains);
}

fn every_method_trains(base: &str) {
    let sandbox = Sandbox::of(base);
    for (method, flags) in [
        ("dora", "--lora-target-modules all-linear"),
        ("adalora", ""),
        ("full", ""),
        ("bitfit", ""),
        ("prefix", "--prefix-length 2"),
        ("houlsby", "--adapter-width 3"),
        ("head", ""),
    ] {
        // It has no biases, and virtual tokens have no positions.
        if base == "modernbert" && matches!(method, "bitfit" | "prefix") {
            let line = format!("method {method} does not suit ModernBERT");
            let words = format!("{TRAIN} --overwrite --method {method} {flags}");
            sandbox.refuses(&words, 1, &line);
            continue;
        }
        let table = sandbox.run(&format!("{TRAIN} --overwrite --method {method} {flags}")).done();
        let report = sandbox.run("eval -q --device cpu --model base --adapter new lists.jsonl");
        assert!(table.ends_with(&report.done()), "{base} {method}: {table}");
        let tensors = sandbox.run("inspect new --model base").done();
        let types = matches!(base, "electra" | "roberta") && method == "full";
        assert_eq!(tensors.contains("token_type"), types, "{base} {method}: {tensors}");
    }
}

#[test]
fn a_distilbert_is_exported() {
    let sandbox = Sandbox::of("distil");
    sandbox.run("export --web -q --model base --precision int8 -o small").done();
    let base = sandbox.run("inspect small").done();
    assert!(base.contains("transformer.layer.*.ffn.lin1.weight_scale"), "{base}");
    sandbox
        .run("rescore -q --device cpu --model small --adapter adapter --beta 1 lists.jsonl")
        .done();
}

#[test]
fn an_adapter_of_another_architecture_is_refused() {
    let sandbox = Sandbox::of("distil");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        sandbox.write(&format!("foreign/{file}"), sandbox.golden(&format!("tiny/adapter/{file}")));
    }
    sandbox.refuses(
        &format!("{RESCORE} --adapter foreign --beta 1 lists.jsonl"),
        1,
        "but DistilBERT's linear layers are q_lin, k_lin, v_lin, out_lin, lin1, lin2",
    );
}
