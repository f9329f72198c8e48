//! Compares scores, losses, gradients and a training trajectory with PyTorch and PEFT.

mod common;

use burn::tensor::{Device, Tensor};
use common::Case;
use lorb::adapter::{self, AdapterFiles};
use lorb::base::{Base, TensorFile};
use lorb::methods::{LORA_A, LORA_B};
use lorb::model::{Adapter, Encoder, SCORE_HEAD, Scorer, Slot, SlotKind, TrainableTensors};
use lorb::nbest::{JsonLines, Utterance};
use lorb::train::{
    Decay, Message, Parts, Pass, TrainConfig, TrainData, TrainInputs, TrainedModel, Trainer,
};
use serde_json::Value;

/// Tolerance for scores.
const SCORE: f64 = 1e-4;
/// Relative tolerance for losses and for norms of gradient tensors.
const GRADIENT: f64 = 1e-3;
/// Relative tolerance for losses and norms of the trajectory, and for norms of tensor changes.
const TRAJECTORY: f64 = 1e-2;
/// Tolerance for a gradient that is 0 up to rounding: that of the head's bias if adding a constant to all scores does
/// not change the loss.
const ROUNDING: f64 = 1e-5;

/// A base with a golden adapter on a device.
struct Golden<'a> {
    name: &'static str,
    base: Base,
    encoder: Encoder,
    adapter: Adapter,
    lists: Vec<Utterance>,
    device: &'a Device,
}

impl<'a> Golden<'a> {
    fn new(case: &Case, adapter: &str, device: &'a Device) -> Self {
        let mut base = case.base();
        let encoder = Encoder::new(&base.config, &mut base.weights, device).expect("an encoder");
        let directory = format!("{}/{adapter}", case.name);
        let files = AdapterFiles {
            config: common::read(format!("{directory}/adapter_config.json")),
            weights: common::read(format!("{directory}/adapter_model.safetensors")),
        };
        let (adapter, _) = adapter::read(&files, &base.config).expect("an adapter");
        let lists = common::read(format!("{}/lists.jsonl", case.name));
        let lists = JsonLines::new(lists.as_slice(), "lists.jsonl")
            .map(|list| list.expect("a list"))
            .collect();
        Self { name: case.name, base, encoder, adapter, lists, device }
    }

    fn index(&self) -> Value {
        common::json(format!("{}/index.json", self.name))
    }

    fn data(&self, config: &TrainConfig) -> TrainData {
        TrainData::prepare(&self.lists, &self.base.tokenizer, config).expect("lists to train on")
    }

    /// All used lists as one batch.
    fn pass(&self, data: &TrainData, config: &TrainConfig, parameters: &[f32]) -> Parts {
        let model = TrainedModel {
            encoder: &self.encoder,
            base: &self.base.config,
            method: &self.adapter.method,
            config,
        };
        let pass = Pass { model, data };
        let lists: Vec<usize> = (0..data.lists.len()).collect();
        let parameters = Tensor::from_floats(parameters, self.device);
        pass.run(&parameters, &lists, lists.len(), None, None).expect("a valid batch")
    }
}

fn host(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32")
}

fn scalar(tensor: Tensor<1>) -> f64 {
    f64::from(host(tensor)[0])
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

fn assert_near(found: f64, expected: f64, relative: f64, what: &str) {
    let off = (found - expected).abs() / expected.abs();
    assert!(off <= relative, "{what}: {found} for {expected}, off by {off:.1e}");
}

/// The key of a slot in an adapter file.
fn key(slot: &Slot) -> String {
    let tensor = match slot.kind {
        LORA_A => "lora_A.weight",
        LORA_B => "lora_B.weight",
        SlotKind::HEAD_WEIGHT => "weight",
        SlotKind::HEAD_BIAS => "bias",
        other => unreachable!("LoRA has no {other:?}"),
    };
    format!("base_model.model.{}.{tensor}", slot.module)
}

/// Compares all tensors except those selected by `skip`; returns the largest relative difference.
fn compare(
    adapter: &Adapter,
    found: &[f32],
    expected: impl Fn(&Slot, &str) -> Vec<f64>,
    relative: f64,
    skip: impl Fn(&Slot) -> bool,
) -> f64 {
    let mut worst = 0.0f64;
    for slot in adapter.layout.slots().iter().filter(|slot| !skip(slot)) {
        let name = key(slot);
        let expected = expected(slot, &name);
        let found = &found[slot.range()];
        assert_eq!(found.len(), expected.len(), "{name}");
        let off = norm(found.iter().zip(&expected).map(|(&f, e)| f64::from(f) - e));
        let size = norm(expected.iter().copied());
        assert!(size > 0.0 && off <= relative * size, "{name}: off by {off:e} of {size:e}");
        worst = worst.max(off / size);
    }
    worst
}

fn file_values(file: &TensorFile<Vec<u8>>, name: &str) -> Vec<f64> {
    file.read(name).expect("a golden tensor").data.iter().map(|&v| f64::from(v)).collect()
}

fn check_scores(case: &Case, adapter: &str, suffix: &str, device: &Device) {
    let golden = Golden::new(case, adapter, device);
    let trainable = TrainableTensors::new(&golden.base.config, &golden.adapter, device);
    let mut scorer = Scorer::new(&golden.encoder, &trainable, &golden.base.tokenizer);
    scorer.batch_tokens = 100;
    let texts: Vec<Vec<&str>> = golden
        .lists
        .iter()
        .map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect())
        .collect();
    let mut told = Vec::new();
    let scored = pollster::block_on(scorer.score(&texts, |done| told.push(done))).expect("scores");
    assert!(told.is_sorted() && told.len() > 1 && told.last() == Some(&26), "{told:?}");
    let expected = common::json(format!("{}/scores{suffix}.json", golden.name));
    for (list, expected) in scored.lm.iter().zip(expected.as_array().expect("a list")) {
        let expected: Vec<f64> =
            expected["lm"].as_array().expect("scores").iter().map(number).collect();
        assert_eq!(list.len(), expected.len());
        for (found, expected) in list.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= SCORE,
                "{}: score {found} for {expected}",
                golden.name
            );
        }
    }
}

fn check_gradients(case: &Case, adapter: &str, suffix: &str, objectives: &[&str], device: &Device) {
    let golden = Golden::new(case, adapter, device);
    let index = golden.index();
    for objective in objectives {
        let what = format!("{} {adapter} {objective}", golden.name);
        let losses = &index["adapters"][adapter]["losses"][objective];
        let config = TrainConfig {
            objective: objective.trim_end_matches("_cor").parse().expect("an objective"),
            cor_weight: number(&losses["cor_weight"]) as f32,
            label_smoothing: number(&index["label_smoothing"]) as f32,
            first_scale: Some(1.0),
            ..TrainConfig::default()
        };
        let data = golden.data(&config);
        assert_eq!(data.lists.len(), index["lists"]["used_lists"].as_array().expect("names").len());
        assert_eq!(data.sequences.len() as u64, index["lists"]["correlation_texts"]);
        let parts = golden.pass(&data, &config, &golden.adapter.parameters);
        assert_near(scalar(parts.ranking), number(&losses["ranking"]), GRADIENT, &what);
        if config.cor_weight > 0.0 {
            assert_near(scalar(parts.correlation), number(&losses["correlation"]), GRADIENT, &what);
        }
        let gradient = host(parts.gradient);
        let length = norm(gradient.iter().map(|&g| f64::from(g)));
        assert_near(length, number(&losses["gradient_norm"]), GRADIENT, &what);
        let file =
            common::tensors(format!("{}/gradients_{objective}{suffix}.safetensors", golden.name));
        assert_eq!(file.entries().len(), golden.adapter.layout.slots().len());
        // Adding a constant to all scores changes only MWED.
        let bias_is_rounding = *objective != "mwed";
        let skip = |slot: &Slot| bias_is_rounding && slot.kind == SlotKind::HEAD_BIAS;
        let worst =
            compare(&golden.adapter, &gradient, |_, name| file_values(&file, name), GRADIENT, skip);
        if bias_is_rounding {
            let bias = golden.adapter.layout.find(SCORE_HEAD, SlotKind::HEAD_BIAS).expect("a bias");
            assert!(
                f64::from(gradient[bias.offset].abs()) <= ROUNDING * length,
                "{what}: bias {}",
                gradient[bias.offset]
            );
        }
        println!("{what}: gradients differ by up to {worst:.1e}");
    }
}

fn check_trajectory(case: &Case, device: &Device) {
    let golden = Golden::new(case, "adapter", device);
    let trajectory = common::json(format!("{}/trajectory.json", golden.name));
    let steps = trajectory["steps"].as_u64().expect("a count") as usize;
    let config = TrainConfig {
        objective: trajectory["objective"].as_str().expect("a name").parse().expect("an objective"),
        cor_weight: number(&trajectory["cor_weight"]) as f32,
        lr: number(&trajectory["lr"]),
        weight_decay: number(&trajectory["weight_decay"]),
        clip_norm: number(&trajectory["max_norm"]),
        warmup: number(&trajectory["warmup"]) / steps as f64,
        decay: Decay::Linear,
        // All lists in one batch: one step per epoch.
        batch_tokens: usize::MAX / 64,
        epochs: steps,
        first_scale: Some(1.0),
        ..TrainConfig::default()
    };
    let inputs = TrainInputs {
        encoder: golden.encoder.clone(),
        base: &golden.base.config,
        base_hash: &golden.base.hash,
        tokenizer: &golden.base.tokenizer,
        adapter: golden.adapter.clone(),
        train: &golden.lists,
        dev: &[],
    };
    let mut trainer = Trainer::new(inputs, config.clone()).expect("a trainer");
    assert_eq!(trainer.steps(), steps);
    let mut done = 0;
    while let Some(message) = pollster::block_on(trainer.next()).expect("a step") {
        let Message::Step { step, loss, ranking, correlation, gradient_norm, lr, .. } = message
        else {
            continue;
        };
        let expected = &trajectory["steps_done"][done];
        done += 1;
        assert_eq!(step, done);
        let what = |part: &str| format!("{}, step {step}, {part}", golden.name);
        assert_near(lr, number(&expected["lr"]), 1e-12, &what("learning rate"));
        assert_near(loss, number(&expected["loss"]), TRAJECTORY, &what("loss"));
        assert_near(ranking, number(&expected["ranking"]), TRAJECTORY, &what("ranking"));
        let correlation = correlation.expect("its weight is not 0");
        assert_near(
            correlation,
            number(&expected["correlation"]),
            TRAJECTORY,
            &what("correlation"),
        );
        assert_near(
            gradient_norm,
            number(&expected["gradient_norm"]),
            TRAJECTORY,
            &what("gradient norm"),
        );
    }
    assert_eq!(done, steps);
    let last = pollster::block_on(trainer.parameters()).expect("parameters");
    let parts = golden.pass(&golden.data(&config), &config, &last);
    let after = &trajectory["after"];
    assert_near(scalar(parts.ranking), number(&after["ranking"]), TRAJECTORY, "ranking afterwards");
    assert_near(
        scalar(parts.correlation),
        number(&after["correlation"]),
        TRAJECTORY,
        "correlation afterwards",
    );

    // Ten steps change little, so compare the change, not the values. The bias follows rounding error.
    let start = &golden.adapter.parameters;
    let change: Vec<f32> = last.iter().zip(start).map(|(after, before)| after - before).collect();
    let file = common::tensors(format!("{}/trajectory.safetensors", golden.name));
    let expected = |slot: &Slot, name: &str| {
        let after = file_values(&file, name);
        after
            .iter()
            .zip(golden.adapter.values(slot))
            .map(|(after, &before)| after - f64::from(before))
            .collect()
    };
    let is_bias = |slot: &Slot| slot.kind == SlotKind::HEAD_BIAS;
    let worst = compare(&golden.adapter, &change, expected, TRAJECTORY, is_bias);
    println!("{}: the change over ten steps differs by up to {worst:.1e}", golden.name);
}

const ALL: [&str; 4] = ["mwer", "mwed", "mwer_cor", "listwise"];

fn check_small(device: &Device) {
    for case in common::bases() {
        check_scores(&case, "adapter", "", device);
        check_scores(&case, "adapter_rslora", "_rslora", device);
        check_gradients(&case, "adapter", "", &ALL, device);
        check_gradients(&case, "adapter_rslora", "_rslora", &["mwer_cor"], device);
        check_trajectory(&case, device);
    }
}

fn check_minilm(case: &Case, device: &Device) {
    check_scores(case, "adapter", "", device);
    check_gradients(case, "adapter", "", &ALL, device);
    check_trajectory(case, device);
}

#[test]
fn small_bases_on_the_cpu() {
    check_small(&common::cpu());
}

#[test]
fn small_bases_on_a_software_gpu() {
    common::gpu::software().inspect(check_small);
}

#[test]
fn small_bases_within_the_limits_of_every_webgpu_device() {
    common::gpu::least().inspect(check_small);
}

#[test]
fn minilm_on_the_cpu() {
    common::minilm().inspect(|case| check_minilm(case, &common::cpu()));
}

#[test]
fn minilm_on_a_software_gpu() {
    if let (Some(case), Some(gpu)) = (common::minilm(), common::gpu::software()) {
        check_minilm(&case, &gpu);
    }
}
