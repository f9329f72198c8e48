//! Training: files, messages, interruption.

use lorb::methods::{METHODS, Settings};

use serde_json::Value;

use crate::sandbox::Sandbox;

const TRAIN: &str = "train --device cpu --model base --train lists.jsonl --dev lists.jsonl --output new --batch-tokens 40 --lora-target-modules query,dense --lora-dropout 0.1";

#[test]
fn train_writes_an_adapter_for_the_other_commands() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&format!("{TRAIN} --epochs 2 --log-json log.jsonl"));
    assert!(run.stderr.contains("device: CPU") && run.stderr.contains("adapter written to new"));
    let table = run.done();
    assert!(table.contains("first pass") && table.contains("rescored") && table.contains("oracle"));
    let mut names: Vec<_> = std::fs::read_dir(sandbox.path("new"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);
    let messages: Vec<Value> =
        sandbox.text("log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages[0]["type"], "started");
    assert_eq!(messages[0]["usable"], 4);
    assert_eq!(messages.last().unwrap()["type"], "finished");
    let steps = messages.iter().filter(|m| m["type"] == "step").count();
    assert_eq!(messages[0]["steps"], steps);
    sandbox.run("rescore -q --device cpu --model base --adapter new lists.jsonl").done();
    let report = sandbox.run("eval -q --device cpu --model base --adapter new lists.jsonl").done();
    assert!(table.ends_with(&report), "{table}{report}");
    let again = sandbox.run("inspect new --model base").done();
    assert!(again.contains("trained on this base     yes"), "{again}");
}

#[test]
fn the_same_seed_gives_the_same_adapter() {
    let sandbox = Sandbox::new();
    let weights = |flags: &str| {
        sandbox.run(&format!("{TRAIN} -q --overwrite --epochs 1 {flags}")).done();
        sandbox.read("new/adapter_model.safetensors")
    };
    let first = weights("--seed 3");
    assert_eq!(weights("--seed 3"), first);
    assert_ne!(weights("--seed 4"), first);
}

#[test]
fn every_method_trains_and_rescores() {
    let train = "train -q --device cpu --model base --train lists.jsonl --dev lists.jsonl --output new --overwrite --epochs 1";
    for info in METHODS {
        let (sandbox, method) = (Sandbox::new(), info.name);
        let size = info.size.filter(|_| !info.low_rank);
        let small = size.map(|size| format!("--{} 3", size.flag)).unwrap_or_default();
        let table = sandbox.run(&format!("{train} --method {method} {small}")).done();
        let report =
            sandbox.run("eval -q --device cpu --model base --adapter new lists.jsonl").done();
        assert!(table.ends_with(&report), "{method}: {table}{report}");
        let built = (info.build)(&Settings::new()).expect("a method");
        let kept = built.finished_method().unwrap_or(built);
        let kind = kept.name();
        let inspected = sandbox.run("inspect new --model base").done();
        assert!(inspected.contains(&format!("method                   {kind}")), "{inspected}");
    }
}

#[test]
fn pseudo_log_likelihoods_are_added_to_lists_and_learnt() {
    let sandbox = Sandbox::new();
    sandbox.write("base/model.safetensors", sandbox.golden("masked/model.safetensors"));
    let golden: Value = serde_json::from_slice(&sandbox.golden("masked/pll.json")).unwrap();
    let rows = golden.as_array().unwrap();
    let texts: Vec<Value> =
        rows.iter().map(|row| serde_json::json!({"text": row["text"], "score": -1.0})).collect();
    sandbox.write("golden.jsonl", serde_json::json!({"id": "u", "nbest": texts}).to_string());
    let rescore = "rescore -q --model base --pll --device cpu";
    let scored = sandbox.run(&format!("{rescore} --beta 0 golden.jsonl")).done();
    let scored: Value = serde_json::from_str(&scored).unwrap();
    for (row, found) in rows.iter().zip(scored["nbest"].as_array().unwrap()) {
        // With beta 0, the order stays.
        assert_eq!(row["text"], found["text"]);
        let [expected, found] = [&row["pll"], &found["lm"]].map(|value| value.as_f64().unwrap());
        assert!((found - expected).abs() <= 1e-3, "{found} for {expected}");
    }
    // Lists without references are enough to learn from.
    let lists = sandbox.text("lists.jsonl").replace("\"ref\"", "\"spoken\"");
    sandbox.write("unlabelled.jsonl", lists);
    let again = format!("{rescore} --beta 0 unlabelled.jsonl -o scored.jsonl");
    sandbox.run(&again).done();
    let train = "train -q --device cpu --model base --dev lists.jsonl --output new --batch-tokens 40 --epochs 2";
    sandbox.run(&format!("{train} --train scored.jsonl --objective md")).done();
    let inspected = sandbox.run("inspect new --model base").done();
    assert!(inspected.contains("md"), "{inspected}");
    sandbox.run(&format!("{train} --train lists.jsonl --objective mwer --overwrite")).done();

    sandbox.refuses(
        &format!("{train} --train lists.jsonl --md-weight 0.1 --overwrite"),
        1,
        "hypothesis 1 has no teacher's score, which MD learns: `lm`, with a `total`, as rescoring writes them; write the scores of a teacher with `lorb rescore --pll",
    );
    sandbox.refuses(
        &format!("{train} --train scored.jsonl --objective md --md-weight 0.1 --overwrite"),
        2,
        "--md-weight",
    );
    sandbox.refuses(&format!("{rescore} lists.jsonl"), 2, "--beta");
    sandbox.refuses(&format!("{rescore} --beta 1 --adapter adapter lists.jsonl"), 2, "--adapter");
    sandbox.refuses("rescore --model base lists.jsonl", 2, "--adapter");
    let sandbox = Sandbox::new();
    let lacks = "--model base: --pll needs a base with a masked-language-model head";
    sandbox.refuses(&format!("{rescore} --beta 1 lists.jsonl"), 1, lacks);
}

#[test]
fn settings_of_another_method_are_rejected() {
    let sandbox = Sandbox::new();
    let train = "train --device cpu --model base --train lists.jsonl --output new";
    for (flags, what) in [
        ("--method full --lora-r 4", "--lora-r does not apply to --method full"),
        ("--method lorb --prefix-length 4", "--prefix-length does not apply to --method lorb"),
        ("--method dora --lora-dropout 0.1", "--lora-dropout is 0.1; expected 0 with DoRA"),
        ("--method prefix --prefix-length 0", "--prefix-length is 0; expected 1 to 64"),
        ("--method houlsby --adapter-width 33", "--adapter-width is 33; expected 1 to 32"),
    ] {
        sandbox.refuses(&format!("{train} {flags}"), 2, what);
    }
    sandbox.refuses(
        &format!("{train} --budget 0.001%"),
        2,
        "--budget: a budget of 0.0010 % of the base's 34752 parameters is too small for lora",
    );
}

#[test]
fn an_adapter_is_replaced_only_with_overwrite() {
    let sandbox = Sandbox::new();
    let words = format!("{TRAIN} -q --epochs 1");
    sandbox.run(&words).done();
    sandbox.refuses(
        &words,
        1,
        "--output new: contains an adapter; choose another directory, or replace it with --overwrite",
    );
    sandbox.refuses(
        &format!("{words} --resume"),
        1,
        "--resume: no checkpoint.safetensors in new; its run has finished",
    );
    sandbox.run(&format!("{words} --overwrite")).done();
}

#[test]
fn training_without_dev_lists_warns_and_gives_a_usable_adapter() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(
        "train --device cpu --model base --train lists.jsonl --output new --epochs 1 --beta 2 --first-scale 0.5",
    );
    assert!(run.stderr.contains("warning: without a development set"), "{}", run.stderr);
    assert_eq!(run.done(), "");
    let json = "eval -q --json --device cpu --model base --adapter new lists.jsonl";
    let report: Value = serde_json::from_str(&sandbox.run(json).done()).unwrap();
    assert_eq!(report["weights"]["beta"], 4.0, "in rescoring, the first pass has weight 1");
}

#[test]
fn a_checkpoint_of_another_run_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.write("new/checkpoint.safetensors", "cut");
    let words = format!("{TRAIN} -q --epochs 1");
    sandbox.refuses(
        &words,
        1,
        "contains the checkpoint of an unfinished run; continue with --resume",
    );
    sandbox.refuses(
        &format!("{words} --resume"),
        1,
        "new/checkpoint.safetensors: not a complete safetensors file",
    );
    sandbox.write("new/checkpoint.safetensors", sandbox.read("base/model.safetensors"));
    sandbox.refuses(&format!("{words} --resume"), 1, "it is not a checkpoint of a training run");
}

/// Ctrl-C in the middle, then `--resume`: the adapter equals that of an uninterrupted run, and the messages show that
/// the run was resumed.
#[test]
#[cfg(unix)]
fn an_interrupted_run_resumes_bit_for_bit() {
    let sandbox = Sandbox::new();
    let straight =
        TRAIN.replace("--output new", "--output straight") + " --epochs 400 --evals-per-epoch 1";
    sandbox.run(&format!("{straight} -q")).done();

    let words = TRAIN.to_owned() + " --epochs 400 --evals-per-epoch 1";
    let seen = sandbox.interrupted(&words, &["step ", "dev WER"]);
    assert!(seen.contains("error: interrupted at step "), "{seen}");
    assert!(seen.contains(" --resume\n"), "{seen}");
    assert!(!sandbox.path("new/adapter_model.safetensors").exists());

    let other = words.replace("--epochs 400", "--epochs 399");
    sandbox.refuses(&format!("{other} --resume -q"), 1, "epochs");
    let run = sandbox.run(&format!("{words} --resume"));
    assert!(run.stderr.contains(" steps already done"), "{}", run.stderr);
    run.done();
    assert!(!sandbox.path("new/checkpoint.safetensors").exists());
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let both =
            [sandbox.read(&format!("new/{file}")), sandbox.read(&format!("straight/{file}"))];
        assert!(both[0] == both[1], "{file} differs from the uninterrupted run's");
    }
}

#[test]
fn training_starts_from_an_adapter_with_or_without_a_score_head() {
    let sandbox = Sandbox::new();
    let words = "train -q --device cpu --model base --train lists.jsonl --output new --epochs 1 --init-adapter";
    sandbox.run(&format!("{words} adapter")).done();
    let text = sandbox.run("inspect new --model base").done();
    assert!(text.contains("rank                     4\n"), "{text}");
    sandbox.refuses(&format!("{words} adapter --overwrite --lora-r 2"), 2, "cannot be used with");
    sandbox.refuses(
        &format!("{words} base --overwrite"),
        1,
        "base/adapter_config.json: cannot read",
    );
    sandbox.refuses(
        &format!("{words} nowhere --overwrite"),
        1,
        "--init-adapter nowhere: does not exist",
    );
    // PEFT writes an adapter of a bare encoder without a score head.
    let file =
        lorb::base::TensorFile::open(sandbox.read("adapter/adapter_model.safetensors")).unwrap();
    let tensors: Vec<_> = file
        .entries()
        .keys()
        .filter(|name| !name.contains(".score."))
        .map(|name| (name.clone(), file.read(name).unwrap()))
        .collect();
    let parts =
        tensors.iter().map(|(name, t)| (name.clone(), t.shape.as_slice(), t.data.as_slice()));
    let bytes = lorb::base::write_f32(file.metadata(), parts).unwrap();
    sandbox.write("adapter/adapter_model.safetensors", bytes);
    sandbox
        .edit_json("adapter/adapter_config.json", |config| config["modules_to_save"] = Value::Null);
    let rescore = "rescore --device cpu --model base --adapter adapter --beta 1 lists.jsonl";
    sandbox.refuses(rescore, 1, "no score head");
    sandbox.run(&format!("{words} adapter --overwrite")).done();
    sandbox.run(&rescore.replace("--adapter adapter", "--adapter new")).done();
}
