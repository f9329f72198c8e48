//! Exported bases, and their use in other commands.

use serde_json::Value;

use crate::sandbox::Sandbox;

fn scores(sandbox: &Sandbox, base: &str, more: &str) -> Vec<f64> {
    scores_with(sandbox, base, "adapter", more)
}

fn scores_with(sandbox: &Sandbox, base: &str, adapter: &str, more: &str) -> Vec<f64> {
    let command = format!(
        "rescore -q --device cpu --model {base} --adapter {adapter} --beta 1 {more} lists.jsonl"
    );
    let output = sandbox.run(&command).done();
    let mut found: Vec<(String, f64)> = Vec::new();
    for line in output.lines() {
        let list: Value = serde_json::from_str(line).unwrap();
        for hypothesis in list["nbest"].as_array().unwrap() {
            let key = format!("{} {}", list["id"], hypothesis["text"]);
            found.push((key, hypothesis["lm"].as_f64().unwrap()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, lm)| lm).collect()
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn an_exported_base_scores_like_the_rounded_original() {
    let sandbox = Sandbox::new();
    let full = scores(&sandbox, "base", "");
    for precision in ["f16", "int8"] {
        let command =
            format!("export --web -q --model base --precision {precision} -o small --overwrite");
        assert_eq!(sandbox.run(&command).done(), "");
        for file in ["config.json", "tokenizer.json"] {
            assert_eq!(
                sandbox.read(&format!("small/{file}")),
                sandbox.read(&format!("base/{file}"))
            );
        }
        let size = |base: &str| sandbox.read(&format!("{base}/model.safetensors")).len();
        assert!(size("small") < size("base"));
        // The same linear weights; the embeddings are rounded too.
        let rounded = scores(&sandbox, "base", &format!("--precision {precision}"));
        let exported = scores(&sandbox, "small", &format!("--precision {precision}"));
        assert!(furthest(&rounded, &exported) < 2e-3, "{precision}");
        assert!(furthest(&full, &exported) > 0.0, "{precision}: nothing was rounded");
    }
}

#[test]
fn an_exported_base_has_the_identity_of_its_original() {
    let sandbox = Sandbox::new();
    let trained =
        "train -q --device cpu --epochs 1 --model base --train lists.jsonl --output tuned";
    sandbox.run(trained).done();
    sandbox.run("export --web -q --model base --precision int8 -o small").done();
    sandbox.run("export --web -q --model small --precision f16 -o again").done();
    for base in ["small", "again"] {
        // The adapter stores its base and is rejected on another.
        let command =
            format!("rescore -q --device cpu --model {base} --adapter tuned --beta 1 lists.jsonl");
        assert_eq!(
            sandbox.run(&command).done().lines().count(),
            sandbox.text("lists.jsonl").lines().count()
        );
    }
}

#[test]
fn invalid_exports_are_rejected() {
    let sandbox = Sandbox::new();
    sandbox.refuses("export --model base --precision mixed -o small", 2, "mixed");
    sandbox.refuses("export --model base --shards 10parsecs -o small", 2, "such as 10MB");
    sandbox.refuses(
        "export --model base -o small --check lists.jsonl",
        2,
        "--check: needs --adapter",
    );
    sandbox.refuses("export --model base --check-adapter adapter -o small", 2, "--check");
    sandbox.refuses("export --model base --adapter base -o small", 1, "adapter_config.json");
    sandbox.refuses(
        "export --model base --adapter adapter -o adapter",
        1,
        "is the directory of --adapter",
    );
    sandbox.refuses("export --model base --shards 1 -o lists.jsonl", 1, "is a file");
    sandbox.refuses("export --web --model base -o lists.jsonl", 1, "is a file");
    sandbox.refuses("export --web --model adapter -o small", 1, "this is an adapter");
}

#[test]
fn a_base_in_4_bits_is_the_smallest_and_scores_close_to_the_original() {
    let sandbox = Sandbox::new();
    for precision in ["int8", "int4"] {
        let command = format!("export -q --model base --precision {precision} -o {precision}");
        assert_eq!(sandbox.run(&command).done(), "");
    }
    let size = |base: &str| sandbox.read(&format!("{base}/model.safetensors")).len();
    assert!(size("int4") < size("int8"), "{} {}", size("int4"), size("int8"));
    let full = scores(&sandbox, "base", "");
    let found = scores(&sandbox, "int4", "");
    assert!(furthest(&full, &found) > 1e-3, "nothing was rounded");
    // The random weights of this base are more sensitive than trained ones.
    let check = "export -q --device cpu --model base --precision int4 --check-adapter adapter --check lists.jsonl -o other";
    let report = sandbox.run(check).done();
    let correlation = report.lines().find(|line| line.starts_with("correlation")).unwrap();
    let correlation: f64 = correlation.split_whitespace().last().unwrap().parse().unwrap();
    assert!((0.9..0.9999).contains(&correlation), "{report}");
    // In memory it is what the precision asks for.
    let f16 = scores(&sandbox, "int4", "--precision f16");
    assert!(furthest(&found, &f16) < 2e-3);
    assert!(furthest(&found, &scores(&sandbox, "int4", "--precision int8")) < 0.05);
    // Embeddings on request.
    sandbox.run("export -q --model base --precision int4 --embeddings f16 -o larger").done();
    assert!(size("larger") > size("int4"));
    assert!(sandbox.run("inspect int4").done().contains("U8 ["));
}

#[test]
fn shards_are_read_again_and_listed_with_their_hashes() {
    let sandbox = Sandbox::new();
    let export = "export --model base --precision f32 --shards 40kB -o parts";
    let run = sandbox.run(export);
    assert!(run.stderr.contains("files"), "{}", run.stderr);
    run.done();
    let manifest: Value = serde_json::from_slice(&sandbox.read("parts/manifest.json")).unwrap();
    let files = manifest["files"].as_object().unwrap();
    let shards = files.keys().filter(|name| name.ends_with(".safetensors")).count();
    assert!(shards > 1 && files.contains_key("model.safetensors.index.json"), "{files:?}");
    for (name, entry) in files {
        let bytes = sandbox.read(&format!("parts/{name}"));
        assert_eq!(entry["bytes"], bytes.len(), "{name}");
        assert_eq!(entry["sha256"], lorb::digest::sha256(&bytes).as_str(), "{name}");
        assert!(
            bytes.len() <= 40_000 || !name.ends_with(".safetensors"),
            "{name}: {}",
            bytes.len()
        );
    }
    let on_disk = std::fs::read_dir(sandbox.path("parts")).unwrap();
    let on_disk = on_disk
        .filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(on_disk.count(), files.len() + 1);
    assert_eq!(scores(&sandbox, "base", ""), scores(&sandbox, "parts", ""));
    // One file in their place would leave them behind, with the list of their hashes.
    let single = "export -q --model base -o parts --overwrite";
    sandbox.refuses(single, 1, "contains manifest.json, which the new base does not have");
    sandbox.run("export -q --model base -o single").done();
    let again = "export -q --model base --shards 40kB -o single --overwrite";
    sandbox.refuses(again, 1, "contains model.safetensors, which the new base does not have");
}

#[test]
fn a_merged_adapter_and_its_head_score_as_before() {
    let sandbox = Sandbox::new();
    let full = scores(&sandbox, "base", "");
    sandbox.run("tune -q --device cpu --model base --adapter adapter --dev lists.jsonl").done();
    let export = "export --device cpu --model base --adapter adapter --check lists.jsonl";
    let report = sandbox.run(&format!("{export} --precision f32 -o merged")).done();
    assert!(report.contains("correlation (Pearson)  1.000000"), "{report}");
    assert!(report.contains("largest difference     0.00000"), "{report}");
    let merged = scores_with(&sandbox, "merged", "merged/adapter", "");
    assert!(furthest(&full, &merged) < 1e-5);
    // The tuned weights came along, but an adapter of the original does not fit: it would count twice.
    sandbox
        .run("rescore -q --device cpu --model merged --adapter merged/adapter lists.jsonl")
        .done();
    let train = "train -q --device cpu --epochs 1 --model base --train lists.jsonl --output tuned";
    sandbox.run(train).done();
    let wrong = "rescore -q --device cpu --model merged --adapter tuned lists.jsonl";
    sandbox.run(wrong).failed(1, "trained on another base");
    // Rounding after merging; every export of a merged base is the same base.
    let report = sandbox.run(&format!("{export} --precision int4 -o small")).done();
    assert!(!report.contains("correlation (Pearson)  1.000000"), "{report}");
    let rate = report.lines().find(|line| line.starts_with("WER")).unwrap();
    assert!(rate.contains("written"), "{report}");
    let again = "rescore -q --device cpu --model small --adapter merged/adapter lists.jsonl";
    sandbox.run(again).done();
    let occupied = "export -q --model base --adapter adapter -o small";
    sandbox.refuses(occupied, 1, "replace its base with --overwrite");
}

#[test]
fn a_check_without_merging_uses_one_adapter_for_both() {
    let sandbox = Sandbox::new();
    let export = "export -q --device cpu --model base --precision int8 --check-adapter adapter --check lists.jsonl -o small";
    let report = sandbox.run(export).done();
    assert!(report.contains("lm scores of ") && report.contains("mean difference"), "{report}");
    assert!(!sandbox.path("small/adapter").exists());
    let lists = sandbox.text("lists.jsonl");
    let count: usize = lists
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["nbest"].as_array().unwrap().len())
        .sum();
    assert!(report.contains(&format!("lm scores of {count} hypotheses")), "{report}");
}

#[test]
fn adapters_are_combined_and_refused_with_what_differs() {
    let sandbox = Sandbox::new();
    let train = |seed: u32, more: &str| {
        let command = format!(
            "train -q --device cpu --epochs 1 --seed {seed} --lora-r 2 --model base --train lists.jsonl --dev lists.jsonl {more}"
        );
        sandbox.run(&command).done();
    };
    train(1, "--output a");
    train(2, "--output b");
    let merge = "merge-adapters a b --model base";
    let run = sandbox.run(&format!("{merge} --weights 0.5,-0.5 --output cat"));
    assert!(run.stderr.contains("2 adapters combined by cat, rank 4"), "{}", run.stderr);
    assert!(run.stderr.contains("run `lorb tune`"), "{}", run.stderr);
    assert_eq!(run.done(), "");
    sandbox.run("rescore -q --device cpu --model base --adapter cat --beta 1 lists.jsonl").done();
    sandbox.refuses("rescore -q --model base --adapter cat lists.jsonl", 1, "no tuned weights");
    sandbox.run(&format!("{merge} --mode svd --rank 3 --output svd")).done();
    sandbox.refuses(&format!("{merge} --output cat"), 1, "replace it with --overwrite");
    sandbox.run(&format!("{merge} --mode linear --overwrite --output cat")).done();
    sandbox.refuses(
        &format!("{merge} --mode linear --weights 1,-1 --output c"),
        1,
        "expected 0 or more",
    );
    sandbox.refuses(&format!("{merge} --weights 1 --output c"), 2, "1 weights for 2 adapters");
    sandbox.refuses(&format!("{merge} --rank 3 --output c"), 2, "needs --mode svd");
    sandbox.refuses(&format!("{merge} --output a --overwrite"), 1, "is the directory of ADAPTER");
    train(3, "--unit char --output char");
    sandbox.refuses("merge-adapters a char --model base --output c", 1, "compares texts with");
    sandbox.refuses("merge-adapters a --model base --output c", 2, "ADAPTER");
}
