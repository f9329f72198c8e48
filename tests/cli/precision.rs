//! `--precision mixed`: refused without f16 in shaders, and otherwise close to f16 weights.

use serde_json::Value;

use crate::gpu;
use crate::sandbox::Sandbox;

#[test]
fn a_device_without_f16_in_shaders_is_refused_with_what_to_use_instead() {
    let sandbox = Sandbox::new();
    let expected = "--precision: CPU: the precision mixed needs a GPU with f16 in shaders \
                    (`shader-f16`), which this device does not have; use --precision f16, which computes in f32";
    for command in [
        "rescore --model base --adapter adapter --beta 1 lists.jsonl",
        "eval --model base --adapter adapter --beta 1 lists.jsonl",
        "train --epochs 1 --model base --train lists.jsonl --output tuned",
        "bench --shape tiny",
    ] {
        sandbox.refuses(&format!("{command} --device cpu --precision mixed"), 2, expected);
    }
    assert!(!sandbox.path("tuned/adapter_config.json").exists());
}

/// Every score of the language model; `None` if there is no software adapter with f16 in shaders.
fn scores(sandbox: &Sandbox, precision: &str) -> Option<Vec<f64>> {
    let run = sandbox.run_with_shaders(&format!(
        "rescore -q --device software --model base --adapter adapter --beta 1 --precision {precision} lists.jsonl"
    ));
    for lacking in ["no software adapter was found", "needs a GPU with f16 in shaders"] {
        if run.stderr.contains(lacking) {
            gpu::not_run(lacking);
            return None;
        }
    }
    let mut all = Vec::new();
    for line in run.done().lines() {
        let list: Value = serde_json::from_str(line).unwrap();
        let hypotheses = list["nbest"].as_array().unwrap();
        let mut found: Vec<_> = hypotheses
            .iter()
            .map(|hypothesis| (hypothesis["text"].to_string(), hypothesis["lm"].as_f64().unwrap()))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        all.extend(found.into_iter().map(|(_, lm)| lm));
    }
    Some(all)
}

#[test]
fn scores_in_mixed_precision_differ_from_f16_weights_by_rounding() {
    let sandbox = Sandbox::new();
    let (Some(half), Some(mixed)) = (scores(&sandbox, "f16"), scores(&sandbox, "mixed")) else {
        return;
    };
    assert_eq!(half.len(), mixed.len());
    let off = half.iter().zip(&mixed).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let most = half.iter().fold(0.0f64, |most, score| most.max(score.abs()));
    // Two layers, each factor of a product rounded by up to 2^-11.
    assert!(off > 0.0 && off < 5e-3 * most.max(1.0), "{off} of {most}");
}
