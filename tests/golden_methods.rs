//! Compares all methods other than LoRA with PyTorch: scores and the gradient of each trainable tensor, on the CPU path
//! and on the kernels, with and without gradient checkpointing.

mod common;

use burn::tensor::{Device, Tensor};
use common::Case;
use lorb::adapter::{self, AdapterFiles, AdapterMeta};
use lorb::base::{Base, TensorFile};
use lorb::methods::{
    AdaLora, BitFit, Dora, Full, Head, Houlsby, LORA_A, LORA_B, LORA_E, LoraConfig, MAGNITUDE,
    PREFIX_KEYS, PREFIX_VALUES, Prefix,
};
use lorb::model::{
    Adapter, Encoder, Layout, Method, PackedBatch, Scorer, Slot, SlotKind, Target, TrainableTensors,
};
use lorb::nbest::{JsonLines, Utterance};
use lorb::train::{Pass, TrainConfig, TrainData, TrainedModel};
use serde_json::Value;

/// Tolerance for scores.
const SCORE: f64 = 1e-4;
/// Relative tolerance for norms of gradient tensors; PyTorch in float32 differs by up to 4e-6.
const GRADIENT: f64 = 1e-4;
/// A tensor's gradient below this fraction of the whole gradient is rounding error: biases that shift all scores
/// equally, and biases of keys, which softmax cancels.
const ROUNDING: f64 = 1e-6;

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// A base's golden files, one directory for each method.
fn methods(case: &Case) -> String {
    if case.name == "tiny" { "methods".to_owned() } else { format!("{}/methods", case.name) }
}

fn lists() -> Vec<Utterance> {
    let bytes = common::read("tiny/lists.jsonl");
    JsonLines::new(bytes.as_slice(), "lists.jsonl").map(|list| list.expect("a list")).collect()
}

/// A slot's tensor in PyTorch's files. There, a prefix is one tensor, and a layer's keys and values are blocks of its
/// columns.
fn golden_tensor(file: &TensorFile<Vec<u8>>, slot: &Slot) -> Vec<f32> {
    let read = |name: &str| file.read(name).expect("a golden tensor");
    // AdaLoRA's tensors are parameters, LoRA's are modules.
    let has = |end: &str| file.entries().contains_key(&format!("{}.{end}", slot.module));
    let named = |end: &str| read(&format!("{}.{end}", slot.module)).data;
    let value = match slot.kind {
        LORA_A => return named(if has("lora_A") { "lora_A" } else { "lora_A.weight" }),
        LORA_B => return named(if has("lora_B") { "lora_B" } else { "lora_B.weight" }),
        LORA_E => return named("lora_E"),
        MAGNITUDE => return named("lora_magnitude_vector"),
        SlotKind::BIAS | SlotKind::HEAD_BIAS => return named("bias"),
        PREFIX_KEYS => 0,
        PREFIX_VALUES => 1,
        _ => return named("weight"),
    };
    let layer: usize =
        slot.module.split('.').nth(2).and_then(|layer| layer.parse().ok()).expect("a layer");
    let prompt = read("prompt_embeddings");
    let (width, hidden) = (prompt.shape[1], slot.shape[1]);
    let column = (2 * layer + value) * hidden;
    prompt.data.chunks_exact(width).flat_map(|row| row[column..][..hidden].to_vec()).collect()
}

fn golden_adapter(case: &Case, base: &Base, method: &Method) -> Adapter {
    let layout = Layout::new(&base.config, method).expect("a layout");
    let file = common::tensors(format!("{}/{}/values.safetensors", methods(case), method.name()));
    let mut values = vec![0.0; layout.len()];
    for slot in layout.slots() {
        values[slot.range()].copy_from_slice(&golden_tensor(&file, slot));
    }
    Adapter::from_parameters(&base.config, method.clone(), values).expect("an adapter")
}

fn check_scores(base: &Base, encoder: &Encoder, adapter: &Adapter, index: &Value, device: &Device) {
    let trainable = TrainableTensors::new(&base.config, adapter, device);
    let lists = lists();
    let texts: Vec<Vec<&str>> =
        lists.iter().map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect()).collect();
    let (merged, left) = encoder.clone().merged(trainable.clone());
    for (encoder, trainable) in [(encoder, &trainable), (&merged, &left)] {
        let scorer = Scorer::new(encoder, trainable, &base.tokenizer);
        let scored = pollster::block_on(scorer.score(&texts, |_| ())).expect("scores");
        for (list, found) in lists.iter().zip(&scored.lm) {
            let expected = index["lm"][&list.id].as_array().expect("scores");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let off = (found - number(expected)).abs();
                assert!(off <= SCORE, "{} {}: {found} for {expected}", index["method"], list.id);
            }
        }
    }
}

fn check_gradients(
    case: &Case,
    base: &Base,
    encoder: &Encoder,
    adapter: &Adapter,
    index: &Value,
    device: &Device,
) {
    let kind = adapter.method.name();
    let gradients = common::tensors(format!("{}/{kind}/gradients.safetensors", methods(case)));
    let expected_parameters: usize =
        gradients.entries().values().map(|entry| entry.shape.iter().product::<usize>()).sum();
    assert_eq!(adapter.layout.len(), expected_parameters, "{kind}");
    assert_eq!(index["parameters"], expected_parameters);
    let length = number(&index["gradient_norm"]);
    // LoRB's gradient includes the regulariser.
    let orthogonality = (kind == "adalora")
        .then(|| common::tensors(format!("{}/adalora/orthogonality.safetensors", methods(case))));
    for recompute in [false, true] {
        let config = TrainConfig {
            cor_weight: number(&index["cor_weight"]) as f32,
            first_scale: Some(1.0),
            recompute,
            ..TrainConfig::default()
        };
        let data = TrainData::prepare(&lists(), &base.tokenizer, &config).expect("lists");
        let model =
            TrainedModel { encoder, base: &base.config, method: &adapter.method, config: &config };
        let pass = Pass { model, data: &data };
        let all: Vec<usize> = (0..data.lists.len()).collect();
        let parameters = Tensor::from_floats(adapter.parameters.as_slice(), device);
        let parts = pass.run(&parameters, &all, all.len(), None, None).expect("a valid batch");
        let host = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().expect("f32");
        let ranking = f64::from(host(parts.ranking)[0]);
        assert!((ranking / number(&index["ranking"]) - 1.0).abs() < GRADIENT, "{kind}: {ranking}");
        let found = host(parts.gradient);
        let (mut worst, mut rounding) = (0.0f64, 0);
        for slot in adapter.layout.slots() {
            let mut expected = golden_tensor(&gradients, slot);
            if let (Some(file), LORA_A | LORA_B) = (&orthogonality, slot.kind) {
                let regulariser = golden_tensor(file, slot);
                expected.iter_mut().zip(regulariser).for_each(|(e, r)| *e += 0.5 * r);
            }
            let pairs = found[slot.range()].iter().zip(&expected);
            let off = norm(pairs.map(|(f, e)| f64::from(*f) - f64::from(*e)));
            let size = norm(expected.iter().map(|e| f64::from(*e)));
            let what = format!("{kind} {} {:?}", slot.module, slot.kind);
            if size <= 1e-9 * length {
                assert!(off <= ROUNDING * length, "{what}: {off:e} of {length:e}");
                rounding += 1;
                continue;
            }
            assert!(off <= GRADIENT * size, "{what}: off by {off:e} of {size:e}");
            worst = worst.max(off / size);
        }
        // The head's bias; where biases of the base are trained, also those of every layer's keys and of the
        // last layer norm, which shifts all scores equally.
        let biases = matches!(kind, "bitfit" | "full") && base.config.architecture.has_biases();
        let expected = if biases { base.config.num_hidden_layers + 2 } else { 1 };
        assert_eq!(rounding, expected, "{kind}: tensors without a gradient");
        println!("{kind}, recompute {recompute}: gradients differ by up to {worst:.1e}");
    }
}

fn lora() -> LoraConfig {
    LoraConfig { rank: 4, alpha: 8.0, targets: Target::ALL.into(), ..LoraConfig::default() }
}

fn adalora() -> Method {
    AdaLora { lora: lora(), target_rank: 2 }.into()
}

fn dora() -> Method {
    Dora(lora()).into()
}

fn check(device: &Device) {
    for case in common::bases() {
        check_methods(&case, device);
    }
}

/// Every method with golden files in this test's directories.
fn all_methods() -> [Method; 7] {
    [
        Head.into(),
        BitFit.into(),
        Full.into(),
        Houlsby { width: 5 }.into(),
        Prefix { length: 3 }.into(),
        dora(),
        adalora(),
    ]
}

/// The methods that suit a base. ModernBERT has no biases, and its rotary positions give none to virtual tokens.
fn methods_for(case: &Case) -> Vec<Method> {
    let config = case.base().config;
    let suits = |method: &Method| {
        let suits = case.name != "modernbert" || !matches!(method.name(), "bitfit" | "prefix");
        assert_eq!(method.validate(&config).is_ok(), suits, "{} {}", case.name, method.name());
        suits
    };
    all_methods().into_iter().filter(suits).collect()
}

fn check_methods(case: &Case, device: &Device) {
    for method in methods_for(case) {
        let mut base = case.base();
        let encoder = Encoder::new(&base.config, &mut base.weights, device).expect("an encoder");
        let index = common::json(format!("{}/{}/index.json", methods(case), method.name()));
        let adapter = golden_adapter(case, &base, &method);
        check_scores(&base, &encoder, &adapter, &index, device);
        check_gradients(case, &base, &encoder, &adapter, &index, device);
    }
}

#[test]
fn methods_on_the_cpu() {
    check(&common::cpu());
}

#[test]
fn methods_on_a_software_gpu() {
    common::gpu::software().inspect(check);
}

/// A text's score on the CPU path is the same, bit for bit, in batches of any size, in reversed lists, and without the
/// other lists: for every method, with separate and with merged adapters.
#[test]
fn a_score_on_the_cpu_does_not_depend_on_other_texts() {
    let device = common::cpu();
    for case in common::bases() {
        for method in methods_for(&case) {
            let mut base = case.base();
            let encoder =
                Encoder::new(&base.config, &mut base.weights, &device).expect("an encoder");
            let adapter = golden_adapter(&case, &base, &method);
            let trainable = TrainableTensors::new(&base.config, &adapter, &device);
            let (merged, left) = encoder.clone().merged(trainable.clone());
            for (encoder, trainable) in [(&encoder, &trainable), (&merged, &left)] {
                let what = format!("{} {}", case.name, method.name());
                check_independence(&Scorer::new(encoder, trainable, &base.tokenizer), &what);
            }
        }
    }
}

fn check_independence(scorer: &Scorer, what: &str) {
    let lists = lists();
    let texts: Vec<Vec<&str>> =
        lists.iter().map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect()).collect();
    let score = |texts: &[Vec<&str>], batch_tokens: usize| {
        let scorer = Scorer { batch_tokens, ..*scorer };
        pollster::block_on(scorer.score(texts, |_| ())).expect("scores").lm
    };
    let expected = score(&texts, 2048);
    for batch_tokens in [1, 20, 33, 64, 150] {
        assert_eq!(score(&texts, batch_tokens), expected, "{what}, {batch_tokens} tokens");
    }
    let reversed: Vec<Vec<&str>> =
        texts.iter().rev().map(|list| list.iter().rev().copied().collect()).collect();
    let mut found = score(&reversed, 2048);
    found.reverse();
    found.iter_mut().for_each(|list| list.reverse());
    assert_eq!(found, expected, "{what}, reversed");
    for (list, expected) in texts.iter().zip(&expected) {
        assert_eq!(&score(std::slice::from_ref(list), 2048)[0], expected, "{what}, one list");
    }
}

/// PEFT's files contain the values that were used for the gradients. It writes no prefix for DistilBERT, see
/// golden/README.md.
#[test]
fn adapters_of_peft_load() {
    for case in common::bases() {
        let base = case.base();
        let prefix = (case.name == "tiny").then(|| Method::from(Prefix { length: 3 }));
        for method in prefix.into_iter().chain([dora(), adalora()]) {
            let directory = format!("{}/{}/adapter", methods(&case), method.name());
            let files = AdapterFiles {
                config: common::read(format!("{directory}/adapter_config.json")),
                weights: common::read(format!("{directory}/adapter_model.safetensors")),
            };
            let (read, meta) = adapter::read(&files, &base.config).expect("an adapter");
            assert_eq!(meta.base_name.as_deref(), Some(case.name));
            assert_eq!(read, golden_adapter(&case, &base, &method));
        }
    }
}

/// Every method's adapter of either base is read back from its files unchanged.
#[test]
fn adapters_are_written_and_read_back() {
    for case in common::bases() {
        let base = case.base();
        for method in methods_for(&case) {
            let adapter = golden_adapter(&case, &base, &method);
            let files = adapter::write(&adapter, &AdapterMeta::default()).expect("files");
            let (read, _) = adapter::read(&files, &base.config).expect("an adapter");
            assert_eq!(read, adapter, "{} {}", case.name, method.name());
        }
    }
}

/// One layer of ModernBERT is query, key and value, so an adapter of some of them is read back as one of all, with the
/// same values.
#[test]
fn names_of_one_layer_mean_the_same_adapter() {
    let case = common::bases().into_iter().find(|case| case.name == "modernbert").expect("a base");
    let base = case.base();
    for targets in [vec![Target::Query, Target::Value], vec![Target::Key, Target::Output]] {
        let lora = LoraConfig { rank: 2, targets: targets.into_iter().collect(), ..lora() };
        let adapter = Adapter::init(&base.config, lora, 3).expect("an adapter");
        let files = adapter::write(&adapter, &AdapterMeta::default()).expect("files");
        let (read, _) = adapter::read(&files, &base.config).expect("an adapter");
        assert_eq!(read.parameters, adapter.parameters);
        assert_eq!(read.layout, adapter.layout);
        let again = adapter::write(&read, &AdapterMeta::default()).expect("files");
        assert_eq!(again, files);
    }
}

/// An untrained adapter of any method except a prefix does not change the base's `[CLS]`.
#[test]
fn a_new_adapter_does_not_change_the_base() {
    common::bases().iter().for_each(check_new);
}

fn check_new(case: &Case) {
    for method in methods_for(case).into_iter().filter(|method| method.name() != "prefix") {
        let mut base = case.base();
        let adapter = Adapter::init_on(&base.config, &base.weights, method, 1).expect("an adapter");
        let device = common::cpu();
        let encoder = Encoder::new(&base.config, &mut base.weights, &device).expect("an encoder");
        let batch: PackedBatch = [&[2u32, 9, 8, 3][..], &[2, 30, 3]].into_iter().collect();
        let cls = |trainable: &TrainableTensors| -> Vec<f32> {
            let cls = encoder.forward(&batch, trainable, None).expect("a valid batch").cls;
            cls.into_data().try_into_vec().expect("f32")
        };
        let bare = cls(&TrainableTensors::bare(&base.config, &device));
        let found = cls(&TrainableTensors::new(&base.config, &adapter, &device));
        for (found, bare) in found.iter().zip(&bare) {
            assert!((found - bare).abs() < 1e-5, "{}: {found} {bare}", adapter.method.name());
        }
    }
}
