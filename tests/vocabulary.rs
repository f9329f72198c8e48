//! Bases with the vocabulary of multilingual models, on devices with no more than WebGPU's guaranteed limits.
//!
//! The embeddings of such a vocabulary are larger than the largest buffer of these devices. They stay in host memory, and a
//! device gets the rows of each batch. The bases have random weights and two thin layers, and are made here.

mod common;

use burn::tensor::Device;
use half::f16;
use lorb::adapter::AdapterMeta;
use lorb::base::BertConfig;
use lorb::base::{Base, BaseFiles, TokenizerFiles, expected_tensors};
use lorb::methods::{Full, LoraConfig};
use lorb::model::{Adapter, FaultKind, ModelError, Target};
use lorb::nbest::{Hypothesis, Utterance};
use lorb::remedy::Remedy;
use lorb::rescorer::{Options, Rescorer, RescorerError};
use lorb::train::{TrainConfig, TrainError};

/// Tokens of the multilingual MiniLM.
const MULTILINGUAL: usize = 250_037;

/// Largest buffer that every WebGPU device can bind.
const GUARANTEED: usize = 128 << 20;

/// Tolerance relative to the largest score, as for other comparisons of the kernels with the CPU path.
const RELATIVE: f64 = 1e-4;

/// A base of width 384 with the tokens `w5` and up, embeddings of deviation 0.02 in f16 and everything else in f32.
fn base(tokens: usize) -> Base {
    let config = serde_json::json!({
        "model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": tokens, "hidden_size": 384,
        "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 384, "max_position_embeddings": 64,
        "type_vocab_size": 2,
    });
    let config = config.to_string();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let words = (special.len()..tokens).map(|id| format!("w{id}"));
    let vocabulary: Vec<String> = special.into_iter().chain(words).collect();
    let parsed = BertConfig::from_json(config.as_bytes()).expect("a valid configuration");
    Base::from_files(BaseFiles {
        config: config.as_bytes(),
        tokenizer: TokenizerFiles::vocab(vocabulary.join("\n").as_bytes()),
        weights: weights(&parsed),
    })
    .expect("a valid base")
}

fn weights(config: &BertConfig) -> Vec<u8> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    let tensors = expected_tensors(config);
    let is_table = |name: &str| name.contains("word_embeddings");
    for (name, shape) in &tensors {
        let (dtype, size) = if is_table(name) { ("F16", 2) } else { ("F32", 4) };
        let start = end;
        end += size * shape.iter().product::<usize>();
        let entry =
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    // Evenly spread numbers: a multiple of the golden ratio modulo 1.
    let mut count = 0u32;
    let mut uniform = || {
        count = count.wrapping_add(0x9e37_79b9);
        f64::from(count) / 2f64.powi(32) - 0.5
    };
    for (name, shape) in &tensors {
        let norm = name.contains("LayerNorm.weight");
        for _ in 0..shape.iter().product::<usize>() {
            let value = if norm { 1.0 } else { 0.07 * uniform() } as f32;
            if is_table(name) {
                bytes.extend(f16::from_f32(value).to_le_bytes());
            } else {
                bytes.extend(value.to_le_bytes());
            }
        }
    }
    bytes
}

/// Lists with words from the whole vocabulary.
fn lists() -> Vec<Utterance> {
    let text = |list: usize, hypothesis: usize| {
        let word = |place: usize| {
            let id = list * 50_021 + place * 7919 + (hypothesis * place) % 3 * 31 + 5;
            format!("w{}", 5 + id % (MULTILINGUAL - 5))
        };
        (0..3 + 5 * list).map(word).collect::<Vec<_>>().join(" ")
    };
    let utterance = |list: usize| {
        let hypotheses =
            (0..4).map(|i| Hypothesis::new(text(list, i), Some(-(i as f64)))).collect();
        Utterance::new(format!("u{list}"), Some(text(list, 1)), hypotheses)
    };
    let last = Hypothesis::new(format!("w{} w5", MULTILINGUAL - 1), Some(-1.0));
    (0..6).map(utterance).chain([Utterance::new("last", None, vec![last])]).collect()
}

fn scores(base: Base, device: &Device) -> Vec<f64> {
    let mut rescorer = Rescorer::new(base, device).expect("a base that loads");
    let targets = Target::ALL.into();
    let lora = LoraConfig { rank: 4, targets, ..LoraConfig::default() };
    let mut adapter = rescorer.new_adapter(lora, 3).expect("an adapter");
    for (i, number) in adapter.parameters.iter_mut().enumerate() {
        *number += (i * 37 % 101) as f32 * 1e-3 - 0.05;
    }
    rescorer.add_adapter("new", adapter, AdapterMeta::default()).expect("it fits");
    let scored = rescorer.score(&lists(), Options::adapter("new").batch_tokens(100));
    scored.expect("scores").lm.concat()
}

#[test]
fn a_multilingual_vocabulary_scores_within_the_guaranteed_limits() {
    let Some(least) = common::gpu::least() else { return };
    let table = MULTILINGUAL * 384 * 4;
    assert!(table > GUARANTEED, "a table that fits proves nothing");
    let expected = scores(base(MULTILINGUAL), &common::cpu());
    let found = scores(base(MULTILINGUAL), &least);
    assert_eq!(found.len(), 25);
    let most = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let least_score = expected.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(most > 0.0 && most - least_score > 1e-2, "scores differ between texts");
    for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert!((expected - found).abs() <= RELATIVE * most, "{at}: {expected} {found}");
    }
    let usage = least.memory_pool_usage().expect("a GPU reports its memory");
    println!("{} bytes on the device, the table would need {table}", usage.bytes_reserved);
    assert!(usage.bytes_reserved < table as u64 / 4, "{usage:?}");
}

#[test]
fn parameters_that_no_buffer_can_hold_are_refused_with_what_to_do() {
    let Some(least) = common::gpu::least() else { return };
    let base = base(90_000);
    let adapter = Adapter::init_on(&base.config, &base.weights, Full, 1).expect("an adapter");
    assert!(4 * adapter.parameters.len() > GUARANTEED, "parameters that fit prove nothing");
    let mut rescorer = Rescorer::new(base, &least).expect("the base itself loads");
    let check = |error: &ModelError| {
        let ModelError::Device(fault) = error else { panic!("{error:?}") };
        assert_eq!(fault.kind, FaultKind::TooManyParameters);
        let text = fault.to_string();
        assert!(
            text.starts_with("a buffer of the device is too small (method full trains 3"),
            "{text}"
        );
        assert!(text.ends_with("bytes, at most 134217728)"), "{text}");
        assert_eq!(fault.remedies(), [Remedy::FewerParameters, Remedy::UseCpu]);
    };
    let run = rescorer.run(adapter.clone(), &lists(), &[], TrainConfig::default(), None);
    match run {
        Err(RescorerError::Train(TrainError::Model(error))) => check(&error),
        other => panic!("{other:?}"),
    }
    match rescorer.add_adapter("full", adapter, AdapterMeta::default()) {
        Err(RescorerError::Model(error)) => check(&error),
        other => panic!("{other:?}"),
    }
    assert_eq!(rescorer.adapters().count(), 0);
}
