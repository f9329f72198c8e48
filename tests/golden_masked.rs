//! Pseudo-log-likelihood against Transformers' models with a masked-language-model head, on the CPU path and on the
//! kernels.

mod common;

use std::ops::ControlFlow;

use burn::tensor::Device;
use lorb::base::{Base, BaseFiles, TokenizerFiles};
use lorb::methods::Head;
use lorb::model::{
    Adapter, Encoder, MaskedHead, MaskedScorer, MaskedScores, ModelError, TrainableTensors,
};

/// Tolerance for a token's log probability; PyTorch in float32 differs by 3e-6.
const TOKEN: f64 = 2e-5;

/// The tiny BERT under a masked-language-model head.
fn bert() -> Base {
    let (config, tokenizer) =
        (common::read("tiny/config.json"), common::read("tiny/tokenizer.json"));
    let weights = common::read("masked/model.safetensors");
    let tokenizer = TokenizerFiles::json(&tokenizer);
    Base::from_files(BaseFiles { config: &config, tokenizer, weights }).expect("a base that loads")
}

/// Scores texts, counting passes through the encoder.
fn judge(
    base: Base,
    device: &Device,
    texts: &[&str],
    batch_tokens: usize,
) -> (MaskedScores, usize) {
    let Base { config, tokenizer, mut weights, .. } = base;
    assert!(weights.has_masked_head());
    let encoder = Encoder::new(&config, &mut weights, device).expect("an encoder");
    let head = MaskedHead::new(&config, &mut weights, &encoder).expect("a head");
    assert!(!weights.has_masked_head(), "it is taken");
    let adapter = Adapter::init(&config, Head, 0).expect("an adapter");
    let trainable = TrainableTensors::new(&config, &adapter, device);
    let (encoder, head) = (&encoder, &head);
    let scorer =
        MaskedScorer { encoder, trainable: &trainable, head, tokenizer: &tokenizer, batch_tokens };
    let mut passes = 0;
    let scores = pollster::block_on(scorer.score(texts, |done, all| {
        assert!(done <= all);
        passes = done;
        ControlFlow::Continue(())
    }));
    (scores.expect("scores"), passes)
}

fn check(device: &Device) {
    check_base(&bert, "masked/pll.json", device);
    for case in common::bases().iter().filter(|case| case.name != "tiny") {
        check_base(&|| case.base(), &format!("{}/pll.json", case.name), device);
    }
}

fn check_base(base: &dyn Fn() -> Base, expected: &str, device: &Device) {
    let tokenizer = base().tokenizer;
    let rows = common::json(expected);
    let rows = rows.as_array().expect("rows");
    let texts: Vec<&str> = rows.iter().map(|row| row["text"].as_str().expect("a text")).collect();
    for batch_tokens in [1, 300] {
        let (found, _) = judge(base(), device, &texts, batch_tokens);
        for (row, pll) in rows.iter().zip(&found.pll) {
            let tokens = row["tokens"].as_array().expect("tokens").len();
            let off = (pll - row["pll"].as_f64().expect("a number")).abs();
            let most = TOKEN * tokens as f64;
            assert!(off <= most, "{}: {pll} for {}", row["text"], row["pll"]);
        }
        let truncated = |text: &&str| tokenizer.encode(text).expect("tokens").truncated;
        assert_eq!(found.truncated, texts.iter().map(truncated).collect::<Vec<_>>());
        assert!(found.truncated.contains(&true));
    }
}

#[test]
fn the_cpu_path_agrees_with_transformers() {
    check(&common::cpu());
}

#[test]
fn the_kernels_agree_with_transformers() {
    if let Some(device) = common::gpu::software() {
        check(&device);
    }
}

#[test]
fn texts_that_differ_in_a_word_share_the_pass_that_masks_it() {
    let texts = ["turn off the light", "turn off the lights", "turn off the light", ""];
    let (scores, passes) = judge(bert(), &common::cpu(), &texts, 300);
    assert_eq!(passes, 4 + 4 - 1);
    assert_eq!(scores.pll[0], scores.pll[2]);
    assert_ne!(scores.pll[0], scores.pll[1]);
    assert_eq!(scores.pll[3], 0.0);
}

#[test]
fn a_base_without_the_head_reports_the_missing_tensor() {
    let Base { config, mut weights, .. } = common::tiny().base();
    assert!(!weights.has_masked_head());
    let encoder = Encoder::new(&config, &mut weights, &common::cpu()).expect("an encoder");
    let error = MaskedHead::new(&config, &mut weights, &encoder).expect_err("no head");
    assert!(matches!(error, ModelError::Base(_)));
    assert!(error.to_string().contains("cls.predictions."), "{error}");
}
