//! Exported bases, and their use in other commands.

use serde_json::Value;

use crate::sandbox::Sandbox;

fn scores(sandbox: &Sandbox, base: &str, more: &str) -> Vec<f64> {
    let command = format!(
        "rescore -q --device cpu --model {base} --adapter adapter --beta 1 {more} lists.jsonl"
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
    sandbox.refuses("export --model base -o small", 2, "--web");
    sandbox.refuses("export --web --model base --precision f32 -o small", 2, "f32");
    sandbox.refuses("export --web --model base -o lists.jsonl", 1, "is a file");
    sandbox.refuses("export --web --model adapter -o small", 1, "this is an adapter");
}
