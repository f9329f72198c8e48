//! What users bring: tokenizers with settings, weights in several files, of PyTorch, and under other names.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore --device cpu --beta 1 --adapter adapter --model base";

/// The score of one text.
fn lm(sandbox: &Sandbox, text: &str) -> f64 {
    let list = json!({"id": "a", "nbest": [{"text": text}]}).to_string();
    let line: Value = serde_json::from_str(&sandbox.run_with(RESCORE, list).done()).unwrap();
    line["nbest"][0]["lm"].as_f64().unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-4, "{what}: {found}, expected {expected}");
}

/// Replaces the tokenizer of the base by that of a golden case.
fn use_tokenizer(sandbox: &Sandbox, case: &Value) {
    let lines = sandbox.text("base/vocab.txt");
    let mut pieces: Vec<&str> = lines.lines().collect();
    pieces.truncate(pieces.len() - case["words"].as_u64().unwrap() as usize);
    pieces.extend(case["vocabulary"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
    sandbox.write("base/vocab.txt", pieces.join("\n"));
    fs::remove_file(sandbox.path("base/tokenizer.json")).unwrap();
    for (name, contents) in case["files"].as_object().unwrap() {
        let mut contents = contents.clone();
        if name == "tokenizer.json" {
            let ids = pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), json!(id)));
            contents["model"]["vocab"] = Value::Object(ids.collect());
        }
        sandbox.write(&format!("base/{name}"), contents.to_string());
    }
}

#[test]
fn settings_of_tokenizers_count_as_in_transformers() {
    let golden = Sandbox::new().golden("tokenizers/cases.json");
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let cases = golden["scored"].as_object().unwrap();
    assert_eq!(cases.len(), 4);
    for (name, case) in cases {
        let sandbox = Sandbox::new();
        use_tokenizer(&sandbox, case);
        let text = case["text"].as_str().unwrap();
        close(lm(&sandbox, text), case["lm"].as_f64().unwrap(), name);
        // The exported base has the same tokenizer.
        sandbox.run("export --web -q --model base --precision f16 -o small").done();
        for file in case["files"].as_object().unwrap().keys() {
            let names = [format!("small/{file}"), format!("base/{file}")];
            assert_eq!(sandbox.read(&names[0]), sandbox.read(&names[1]), "{name}");
        }
    }
}

#[test]
fn settings_that_do_not_count_are_said_once() {
    let sandbox = Sandbox::new();
    sandbox.write("base/tokenizer_config.json", r#"{"do_lower_case": false}"#);
    let run = sandbox.run(&format!("{RESCORE} lists.jsonl"));
    let notes: Vec<&str> =
        run.stderr.lines().filter(|line| line.contains("tokenizer_config.json")).collect();
    assert_eq!(notes.len(), 1, "{}", run.stderr);
    assert!(notes[0].contains("disagree about `do_lower_case` and `strip_accents`"), "{notes:?}");
    run.done();
    let quiet = sandbox.run(&format!("{RESCORE} -q lists.jsonl"));
    assert!(!quiet.stderr.contains("note:"), "{}", quiet.stderr);
}

#[test]
fn settings_that_are_not_supported_are_refused_by_name() {
    let cases = [
        (
            json!({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}),
            "`tokenizer_class` is \"BertJapaneseTokenizer\", which splits texts with a Japanese dictionary",
        ),
        (json!({"word_tokenizer_type": "mecab"}), "`word_tokenizer_type` is \"mecab\""),
        (
            json!({"subword_tokenizer_type": "character"}),
            "`subword_tokenizer_type` is \"character\"",
        ),
        (
            json!({"never_split": ["off"]}),
            "`never_split` is set; only Transformers' slow tokenizer uses it",
        ),
        (json!({"do_basic_tokenize": false}), "`do_basic_tokenize` is false"),
        (json!({"truncation_side": "left"}), "`truncation_side` is \"left\""),
        (json!({"split_special_tokens": true}), "`split_special_tokens` is true"),
        (json!({"wordpieces_prefix": "@@"}), "`wordpieces_prefix` is \"@@\""),
        (json!({"strip_accents": "off"}), "`strip_accents` is \"off\"; expected true or false"),
        (
            json!({"model_max_length": 1}),
            "`model_max_length` is 1; expected an integer of at least 2",
        ),
        (json!({"cls_token": 3}), "`cls_token` is 3; expected a token"),
        (json!({"cls_token": null}), "`cls_token` is null; expected a token"),
        (
            json!({"added_tokens_decoder": {"x": {"content": "y"}}}),
            "`added_tokens_decoder` has the id \"x\"",
        ),
        (
            json!({"tokenizer_class": ["BertTokenizer"]}),
            "`tokenizer_class` is a list; expected a text",
        ),
        (json!([]), "it is a list; expected a JSON object"),
    ];
    for (config, expected) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("base/tokenizer_config.json", config.to_string());
        let expected = format!("--model base: tokenizer_config.json: {expected}");
        sandbox.refuses(&format!("{RESCORE} lists.jsonl"), 1, &expected);
    }
    let sandbox = Sandbox::new();
    sandbox.edit_json("base/config.json", |config| {
        config["tokenizer_class"] = json!("BertJapaneseTokenizer");
    });
    sandbox.refuses(&format!("{RESCORE} lists.jsonl"), 1, "`tokenizer_class`");
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("base/tokenizer.json")).unwrap();
    sandbox
        .write("base/tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#);
    sandbox.refuses(&format!("{RESCORE} lists.jsonl"), 1, "needs a tokenizer.json");
    for (name, text) in [
        ("special_tokens_map.json", r#"{"cls_token": {"lstrip": 1}}"#),
        ("added_tokens.json", r#"{"[NOISE]": "x"}"#),
        ("special_tokens_map.json", "<html>"),
        ("added_tokens.json", "{"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(&format!("base/{name}"), text);
        sandbox.refuses(&format!("{RESCORE} lists.jsonl"), 1, name);
    }
}

/// The base of the golden files of PyTorch, with a vocabulary for it.
fn small(sandbox: &Sandbox) -> String {
    let config = json!({
        "model_type": "bert", "vocab_size": 14, "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 10,
        "type_vocab_size": 2,
    });
    for base in ["plain", "base"] {
        let _ = fs::remove_dir_all(sandbox.path(base));
        sandbox.write(&format!("{base}/config.json"), config.to_string());
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\nthe\nsong\n.\nA\na\nb\nc\n";
        sandbox.write(&format!("{base}/vocab.txt"), words);
    }
    r#"{"id":"a","ref":"the song","nbest":[{"text":"playing the song","score":-1},{"text":"the song","score":-2}]}"#.to_owned()
}

/// Trains on the base as safetensors, and scores with it and with the other form of it.
fn same_scores(sandbox: &Sandbox, lists: &str) {
    sandbox.write("train.jsonl", lists);
    sandbox
        .run("train -q --device cpu --epochs 1 --model plain --train train.jsonl --output tuned")
        .done();
    let rescore = |base: &str| {
        let words =
            format!("rescore -q --device cpu --beta 1 --adapter tuned --model {base} train.jsonl");
        sandbox.run(&words)
    };
    // The adapter was trained on other bytes.
    rescore("base").failed(1, "the adapter was trained on another base");
    let inspect = |base: &str| {
        let text = sandbox.run(&format!("inspect {base}")).done();
        let kept = text.lines().filter(|line| line.contains("encoder") || line.contains("layers"));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(inspect("plain").first(), inspect("base").first());
}

#[test]
fn weights_of_pytorch_are_read_whole_and_in_shards() {
    let sandbox = Sandbox::new();
    let lists = small(&sandbox);
    sandbox.write("plain/model.safetensors", sandbox.golden("torch/layouts.safetensors"));
    sandbox.write("base/pytorch_model.bin", sandbox.golden("torch/layouts.bin"));
    same_scores(&sandbox, &lists);
    let pll = |sandbox: &Sandbox, base: &str| {
        let train = "train -q --device cpu --method head --epochs 1 --train train.jsonl";
        sandbox.run(&format!("{train} --model {base} --output of-{base}")).done();
        let words = format!(
            "rescore -q --device cpu --beta 1 --adapter of-{base} --model {base} train.jsonl"
        );
        sandbox.run(&words).done()
    };
    assert_eq!(pll(&sandbox, "base"), pll(&sandbox, "plain"));

    let sandbox = Sandbox::new();
    small(&sandbox);
    sandbox.write("train.jsonl", &lists);
    sandbox.write("plain/model.safetensors", sandbox.golden("torch/whole.safetensors"));
    for (index, shards) in [
        (
            "pytorch_model.bin.index.json",
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ),
        (
            "model.safetensors.index.json",
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
    ] {
        for name in shards.iter().chain([&index]) {
            sandbox.write(&format!("base/{name}"), sandbox.golden(&format!("torch/{name}")));
        }
        assert_eq!(pll(&sandbox, "base"), pll(&sandbox, "plain"), "{index}");
        for folder in ["of-base", "of-plain"] {
            fs::remove_dir_all(sandbox.path(folder)).unwrap();
        }
        fs::remove_file(sandbox.path(&format!("base/{}", shards[1]))).unwrap();
        sandbox.refuses("inspect base", 1, shards[1]);
        fs::remove_file(sandbox.path(&format!("base/{index}"))).unwrap();
    }
}

#[test]
fn a_classifier_is_not_used_and_that_is_said_once() {
    let sandbox = Sandbox::new();
    let lists = small(&sandbox);
    sandbox.write("train.jsonl", lists);
    sandbox.write("base/pytorch_model.bin", sandbox.golden("torch/types.bin"));
    let run = sandbox.run("train --device cpu --method head --epochs 1 --model base --train train.jsonl --output tuned");
    assert_eq!(
        run.stderr
            .matches("`classifier.weight` and the rest of its classifier are not used")
            .count(),
        1,
        "{}",
        run.stderr
    );
    run.done();
}

#[test]
fn an_adapter_of_pytorch_scores_as_its_safetensors() {
    let sandbox = Sandbox::new();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        sandbox.write(
            &format!("adapter/{name}"),
            sandbox.golden(&format!("tiny/adapter_rslora/{name}")),
        );
    }
    let words = format!("{RESCORE} -q lists.jsonl");
    let expected = sandbox.run(&words).done();
    fs::remove_file(sandbox.path("adapter/adapter_model.safetensors")).unwrap();
    sandbox.write("adapter/adapter_model.bin", sandbox.golden("torch/adapter_model.bin"));
    assert_eq!(sandbox.run(&words).done(), expected);
    assert!(sandbox.run("inspect adapter").done().contains("lora_A"));
}
