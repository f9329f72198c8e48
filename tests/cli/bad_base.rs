//! Bases that cannot be used.

use serde_json::json;

use crate::sandbox::Sandbox;

const RESCORE: &str =
    "rescore --model base --adapter adapter --beta 1 --device cpu -o out.jsonl lists.jsonl";

/// A change that breaks the base, and the expected error.
type Case = (fn(&Sandbox), &'static str);

#[test]
fn each_bad_base_gives_one_error_and_no_output() {
    let cases: [Case; 22] = [
        (|s| cut(s, 0.5), "--model base: model.safetensors: not a complete safetensors file"),
        (|s| cut(s, 0.0), "model.safetensors: the file is empty; download it again"),
        (
            |s| s.write("base/model.safetensors", "<html>"),
            "model.safetensors: this is an HTML page",
        ),
        (|s| rename_dtype(s, "I32"), "has dtype I32; LoRB reads F64, F32, F16 and BF16"),
        (put_nan, "has NaN at element"),
        (
            |s| {
                rename_tensor(
                    s,
                    "encoder.layer.1.output.dense.bias",
                    "encoder.layer.1.output.dense.bios",
                );
            },
            "output.dense.bios",
        ),
        (
            |s| rename_tensor(s, "embeddings.word_embeddings.weight", "cls.word_embeddings.weight"),
            "tensor `embeddings.word_embeddings.weight` is missing",
        ),
        (|s| set(s, "hidden_size", json!(64)), "has shape"),
        (|s| set(s, "num_hidden_layers", json!(2)), "is not part of the encoder"),
        (
            |s| set(s, "num_hidden_layers", json!(4)),
            "tensor `encoder.layer.3.attention.self.query.weight` is missing",
        ),
        (|s| set(s, "model_type", json!("albert")), "model_type \"albert\" is not supported"),
        (|s| set(s, "hidden_act", json!("relu")), "`hidden_act` is \"relu\""),
        (|s| set(s, "num_attention_heads", json!(5)), "`num_attention_heads` is 5"),
        (|s| set(s, "vocab_size", json!("many")), "`vocab_size` is \"many\""),
        (|s| s.write("base/config.json", "{"), "config.json: not valid JSON"),
        (|s| s.write("base/tokenizer.json", "{}"), "tokenizer.json cannot be read"),
        (|s| remove(s, "base/config.json"), "--model base: no config.json found"),
        (|s| remove(s, "base/model.safetensors"), "--model base: no model.safetensors found"),
        (only_pytorch, "pytorch_model.bin: not a complete archive of torch.save"),
        (
            |s| {
                remove(s, "base/model.safetensors");
                s.write("base/pytorch_model.bin", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.");
            },
            "pytorch_model.bin: this is a Python pickle, which may run code when it is read; convert it to safetensors",
        ),
        (no_tokenizer, "--model base: no tokenizer.json and no vocab.txt found"),
        (bad_lowercase, "`do_lower_case` is \"yes\""),
    ];
    for (spoil, expected) in cases {
        let sandbox = Sandbox::new();
        spoil(&sandbox);
        sandbox.refuses(RESCORE, 1, expected);
    }
}

#[test]
fn invalid_base_names_are_explained() {
    let sandbox = Sandbox::new();
    let rescore = |model: &str| format!("rescore --model {model} --adapter adapter lists.jsonl");
    sandbox.refuses(
        &rescore("lists.jsonl"),
        1,
        "--model lists.jsonl: is a file; expected a directory",
    );
    sandbox.refuses(&rescore("adapter"), 1, "this is an adapter, use --model for its base");
    sandbox.refuses(&rescore("./no/such/folder"), 1, "neither a directory nor a hub id");
    sandbox.refuses(&rescore("owner/name"), 1, "HF_HUB_OFFLINE forbids downloading it");
    sandbox.refuses(&rescore("base --revision main"), 2, "--revision: base is a directory");
    sandbox.refuses(
        &rescore("owner/name --revision ../x"),
        2,
        "--revision ../x: expected a branch",
    );
}

#[test]
fn a_base_in_the_hub_cache_is_found_offline() {
    let sandbox = Sandbox::new();
    let snapshot = "hub/hub/models--owner--name/snapshots/0123456789abcdef0123456789abcdef01234567";
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        sandbox.write(&format!("{snapshot}/{file}"), sandbox.read(&format!("base/{file}")));
    }
    sandbox
        .write("hub/hub/models--owner--name/refs/main", "0123456789abcdef0123456789abcdef01234567");
    let words = "rescore -q --device cpu --adapter adapter --beta 1 lists.jsonl --model";
    let here = sandbox.run(&format!("{words} base")).done();
    assert_eq!(sandbox.run(&format!("{words} owner/name")).done(), here);
    let commit = format!("{words} owner/name --revision 0123456789abcdef0123456789abcdef01234567");
    assert_eq!(sandbox.run(&commit).done(), here);
    let message = "not complete in the hub's cache";
    sandbox.refuses(&format!("{words} owner/name --revision v2"), 1, message);
}

fn cut(sandbox: &Sandbox, part: f64) {
    let bytes = sandbox.read("base/model.safetensors");
    let length = (bytes.len() as f64 * part) as usize;
    sandbox.write("base/model.safetensors", &bytes[..length]);
}

/// Rewrites the header without changing its length.
fn edit_header(sandbox: &Sandbox, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = sandbox.read("base/model.safetensors");
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let place = place.unwrap_or_else(|| panic!("no {from} in the header"));
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    sandbox.write("base/model.safetensors", bytes);
}

fn rename_dtype(sandbox: &Sandbox, to: &str) {
    edit_header(sandbox, "\"F32\"", &format!("\"{to}\""));
}

fn rename_tensor(sandbox: &Sandbox, from: &str, to: &str) {
    let mut to = format!("\"{to}\"");
    let from = format!("\"{from}\"");
    // Spaces after the name keep the header's length.
    to.push_str(&" ".repeat(from.len() - to.len()));
    edit_header(sandbox, &from, &to);
}

fn put_nan(sandbox: &Sandbox) {
    let mut bytes = sandbox.read("base/model.safetensors");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    sandbox.write("base/model.safetensors", bytes);
}

fn set(sandbox: &Sandbox, key: &str, value: serde_json::Value) {
    sandbox.edit_json("base/config.json", |config| config[key] = value);
}

fn remove(sandbox: &Sandbox, name: &str) {
    std::fs::remove_file(sandbox.path(name)).unwrap();
}

fn only_pytorch(sandbox: &Sandbox) {
    remove(sandbox, "base/model.safetensors");
    sandbox.write("base/pytorch_model.bin", "pickle");
}

fn no_tokenizer(sandbox: &Sandbox) {
    remove(sandbox, "base/tokenizer.json");
    remove(sandbox, "base/vocab.txt");
}

fn bad_lowercase(sandbox: &Sandbox) {
    remove(sandbox, "base/tokenizer.json");
    sandbox.write("base/tokenizer_config.json", r#"{"do_lower_case":"yes"}"#);
}
