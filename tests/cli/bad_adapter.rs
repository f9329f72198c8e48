//! Adapters that cannot be used.

use serde_json::json;

use crate::sandbox::Sandbox;

const RESCORE: &str =
    "rescore --model base --adapter adapter --beta 1 --device cpu -o out.jsonl lists.jsonl";

/// A change that breaks the adapter, and the expected error.
type Case = (fn(&Sandbox), &'static str);

#[test]
fn each_bad_adapter_gives_one_error_and_no_output() {
    let cases: [Case; 12] = [
        (|s| set(s, "target_modules", json!(["gate_proj"])), "gate_proj"),
        (|s| set(s, "r", json!(8)), "has shape"),
        (|s| set(s, "r", json!(0)), "`r`"),
        (|s| set(s, "peft_type", json!("IA3")), "`peft_type`"),
        (|s| set(s, "use_qalora", json!(true)), "`use_qalora`"),
        (|s| s.write("adapter/adapter_config.json", "[]"), "adapter_config.json"),
        (|s| s.write("adapter/adapter_config.json", "{"), "adapter_config.json: not valid JSON"),
        (|s| s.write("adapter/adapter_config.json", ""), "adapter_config.json: the file is empty"),
        (cut, "adapter_model.safetensors: not a complete safetensors file"),
        (put_nan, "has NaN at element"),
        (
            |s| remove(s, "adapter_model.safetensors"),
            "adapter/adapter_model.safetensors: cannot read",
        ),
        (|s| remove(s, "adapter_config.json"), "adapter/adapter_config.json: cannot read"),
    ];
    for (spoil, expected) in cases {
        let sandbox = Sandbox::new();
        spoil(&sandbox);
        sandbox.refuses(RESCORE, 1, expected);
    }
}

#[test]
fn an_adapter_of_another_base_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.run("tune -q --device cpu --model base --adapter adapter --dev lists.jsonl").done();
    let train = "train -q --device cpu --model base --train lists.jsonl --dev lists.jsonl --output mine --epochs 1";
    sandbox.run(train).done();
    // A single bit of one weight makes another base.
    let mut bytes = sandbox.read("base/model.safetensors");
    let end = bytes.len();
    bytes[end - 4] ^= 1;
    sandbox.write("base/model.safetensors", bytes);
    let rescore = RESCORE.replace("--adapter adapter", "--adapter mine");
    sandbox.refuses(&rescore, 1, "--adapter mine: the adapter was trained on another base (base)");
}

#[test]
fn invalid_adapter_paths_are_explained() {
    let sandbox = Sandbox::new();
    let rescore = |adapter: &str| format!("rescore --model base --adapter {adapter} lists.jsonl");
    sandbox.refuses(
        &rescore("nothing"),
        1,
        "--adapter nothing: does not exist; expected an adapter's directory",
    );
    sandbox.refuses(
        &rescore("lists.jsonl"),
        1,
        "--adapter lists.jsonl: is a file; expected an adapter's directory",
    );
    sandbox.refuses(&rescore("base"), 1, "base/adapter_config.json: cannot read: no such file");
    sandbox.refuses(&rescore("adapter"), 1, "no tuned weights; run `lorb tune`, or use --beta");
}

fn set(sandbox: &Sandbox, key: &str, value: serde_json::Value) {
    sandbox.edit_json("adapter/adapter_config.json", |config| config[key] = value);
}

fn cut(sandbox: &Sandbox) {
    let bytes = sandbox.read("adapter/adapter_model.safetensors");
    sandbox.write("adapter/adapter_model.safetensors", &bytes[..bytes.len() - 8]);
}

fn put_nan(sandbox: &Sandbox) {
    let mut bytes = sandbox.read("adapter/adapter_model.safetensors");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    sandbox.write("adapter/adapter_model.safetensors", bytes);
}

fn remove(sandbox: &Sandbox, name: &str) {
    std::fs::remove_file(sandbox.path("adapter").join(name)).unwrap();
}
