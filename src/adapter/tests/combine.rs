//! Combined adapters, and adapters merged into a base, against dense updates that are computed here.

use std::collections::BTreeSet;

use burn::tensor::Device;

use crate::adapter::{AdapterMeta, Combination, CombineError, Weighted, combine};
use crate::base::{BaseWeights, BertConfig};
use crate::bench::{Shape, random_weights};
use crate::methods::{
    AdaLora, BitFit, Dora, Full, Head, Houlsby, LORA_A, LORA_B, LoraConfig, Prefix, lora_config,
};
use crate::model::{
    Adapter, Encoder, Method, ModelError, PackedBatch, SCORE_HEAD, SlotKind, Target,
    TrainableTensors, merge_into_base, read,
};
use crate::text::{Conventions, Unit};

fn config() -> BertConfig {
    Shape::Tiny.config()
}

fn base() -> BaseWeights {
    random_weights(&config(), 3).unwrap()
}

fn lora(rank: usize, targets: &[Target], layers: Option<Vec<usize>>, rslora: bool) -> LoraConfig {
    let targets = targets.iter().copied().collect();
    LoraConfig { rank, alpha: 3.0, targets, layers, rslora, ..LoraConfig::default() }
}

/// An adapter whose update is not zero.
fn adapter(method: impl Into<Method>, seed: u64) -> Adapter {
    let mut adapter = Adapter::init_on(&config(), &base(), method, seed).unwrap();
    for (at, value) in adapter.parameters.iter_mut().enumerate() {
        *value += ((at + seed as usize) * 37 % 101) as f32 * 1e-3 - 0.05;
    }
    adapter
}

fn scores(weights: &BaseWeights, adapter: &Adapter) -> Vec<f32> {
    let device = Device::flex();
    let encoder = Encoder::new(&config(), &mut weights.clone(), &device).unwrap();
    let trainable = TrainableTensors::new(&config(), adapter, &device);
    let batch: PackedBatch =
        [&[2, 40, 41, 3][..], &[2, 9, 8, 7, 6, 3], &[2, 3]].into_iter().collect();
    pollster::block_on(read(encoder.forward(&batch, &trainable, None).unwrap().scores)).unwrap()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Adds `weight * scale * B A` to every adapted weight, and returns `weight` times the head.
fn add_dense(weights: &mut BaseWeights, adapter: &Adapter, weight: f64) -> Vec<f32> {
    let scale = f64::from(lora_config(&adapter.method).unwrap().scale());
    for slot in adapter.layout.slots().iter().filter(|slot| slot.kind == LORA_A) {
        let up = adapter.layout.find(&slot.module, LORA_B).unwrap();
        let (a, b) = (adapter.values(slot), adapter.values(up));
        let [rank, inputs] = slot.shape[..] else { panic!("a matrix") };
        let name = format!("{}.weight", slot.module);
        let mut sum = weights.get(&name).unwrap().data;
        for (at, value) in sum.iter_mut().enumerate() {
            let (row, column) = (at / inputs, at % inputs);
            let product: f64 = (0..rank)
                .map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * inputs + column]))
                .sum();
            *value = (f64::from(*value) + weight * scale * product) as f32;
        }
        weights.set(&name, sum).unwrap();
    }
    head_of(adapter).iter().map(|value| (f64::from(*value) * weight) as f32).collect()
}

fn head_of(adapter: &Adapter) -> Vec<f32> {
    let slots = adapter.layout.slots().iter().filter(|slot| slot.module == SCORE_HEAD);
    slots.flat_map(|slot| adapter.values(slot).to_vec()).collect()
}

fn head(values: Vec<f32>) -> Adapter {
    Adapter::from_parameters(&config(), Head, values).unwrap()
}

/// Adapters with other ranks, scales, targets and layers.
fn different() -> [Adapter; 3] {
    [
        adapter(lora(2, &[Target::Query, Target::Value], None, false), 1),
        adapter(lora(3, &[Target::Value, Target::Output], Some(vec![1]), true), 2),
        adapter(lora(1, &Target::ALL, None, false), 5),
    ]
}

fn weighted<'a>(
    adapters: &'a [Adapter],
    meta: &'a AdapterMeta,
    weights: &[f32],
) -> Vec<Weighted<'a>> {
    let names = ["a", "b", "c"];
    let parts = adapters.iter().zip(weights).zip(names);
    parts.map(|((adapter, &weight), name)| Weighted { name, adapter, meta, weight }).collect()
}

const WEIGHTS: [f32; 3] = [0.5, -0.25, 0.75];

#[test]
fn cat_is_the_sum_of_the_dense_updates() {
    let (adapters, meta) = (different(), AdapterMeta::default());
    let mut dense = base();
    let mut sum = vec![0.0; config().hidden_size + 1];
    for (adapter, weight) in adapters.iter().zip(WEIGHTS) {
        let head = add_dense(&mut dense, adapter, f64::from(weight));
        sum.iter_mut().zip(head).for_each(|(sum, value)| *sum += value);
    }
    let expected = scores(&dense, &head(sum));
    let parts = weighted(&adapters, &meta, &WEIGHTS);
    let (combined, _) = combine(&config(), &parts, Combination::Cat).unwrap();
    let lora = lora_config(&combined.method).unwrap();
    assert_eq!((lora.rank, lora.scale(), lora.targets.len()), (6, 1.0, 6));
    let found = scores(&base(), &combined);
    assert!(furthest(&found, &expected) < 1e-5, "{found:?} {expected:?}");
    for adapter in &adapters {
        assert!(furthest(&found, &scores(&base(), adapter)) > 1e-3, "an update has no effect");
    }
    // Of the full rank, svd is the same sum; of a lower one, it is not.
    let svd = |rank| combine(&config(), &parts, Combination::Svd(rank)).unwrap().0;
    assert!(furthest(&scores(&base(), &svd(Some(6))), &expected) < 1e-4);
    let lower = svd(None);
    assert_eq!(lora_config(&lower.method).unwrap().rank, 3);
    assert!(furthest(&scores(&base(), &lower), &expected) > 1e-5);
}

/// The formula of PEFT 0.21: `A = sum sqrt(w s) A_i`, the same for B, with the scale 1.
#[test]
fn linear_adds_the_factors_with_the_roots_of_weight_and_scale() {
    let meta = AdapterMeta::default();
    let targets = [Target::Query, Target::Value];
    let adapters =
        [adapter(lora(2, &targets, None, false), 1), adapter(lora(2, &targets, None, true), 2)];
    let weights = [0.25, 0.75];
    let parts = weighted(&adapters, &meta, &weights);
    let (combined, _) = combine(&config(), &parts, Combination::Linear).unwrap();
    assert_eq!(lora_config(&combined.method).unwrap().scale(), 1.0);
    for slot in combined.layout.slots() {
        for (at, value) in combined.values(slot).iter().enumerate() {
            let term = |part: &Weighted<'_>| {
                let own = part.adapter.layout.find(&slot.module, slot.kind).unwrap();
                let scale = lora_config(&part.adapter.method).unwrap().scale();
                let factor = match slot.kind {
                    SlotKind::HEAD_WEIGHT | SlotKind::HEAD_BIAS => part.weight,
                    _ => (part.weight * scale).sqrt(),
                };
                factor * part.adapter.values(own)[at]
            };
            let expected: f32 = parts.iter().map(term).sum();
            assert!((value - expected).abs() < 1e-6, "{slot:?} {at}: {value} {expected}");
        }
    }
}

#[test]
fn what_adapters_have_in_common_survives() {
    let adapters = different();
    let meta = AdapterMeta {
        weights: Some(crate::score::Weights::new(2.0, 1.0)),
        base_hash: Some("ab".repeat(32)),
        base_name: Some("a base".into()),
        objective: Some("mwer".into()),
        ..AdapterMeta::default()
    };
    let other = AdapterMeta { objective: Some("mwed".into()), base_hash: None, ..meta.clone() };
    let mut parts = weighted(&adapters, &meta, &WEIGHTS);
    parts[0].meta = &other;
    let (_, found) = combine(&config(), &parts, Combination::Cat).unwrap();
    assert_eq!(found.weights, None, "tuned weights belong to one adapter");
    assert_eq!((found.base_hash, found.objective), (meta.base_hash.clone(), None));
    assert_eq!(found.base_name.as_deref(), Some("a base"));
}

#[test]
fn adapters_that_do_not_fit_together_are_refused_with_the_difference() {
    let meta = AdapterMeta { base_hash: Some("ab".repeat(32)), ..AdapterMeta::default() };
    let elsewhere = AdapterMeta { base_hash: Some("cd".repeat(32)), ..AdapterMeta::default() };
    let unknown = AdapterMeta::default();
    let by_character = AdapterMeta {
        conventions: Conventions { unit: Unit::Char, ..Conventions::default() },
        ..meta.clone()
    };
    let adapters = different();
    let all = |how| {
        let parts = weighted(&adapters, &meta, &WEIGHTS);
        move |change: &dyn Fn(&mut Vec<Weighted<'_>>)| {
            let mut parts = parts.clone();
            change(&mut parts);
            combine(&config(), &parts, how).unwrap_err().to_string()
        }
    };
    let cat = all(Combination::Cat);
    let message = all(Combination::Linear)(&|parts| parts[1].weight = 1.0);
    assert!(
        message.starts_with("a has rank 2, b has rank 3; the combination `linear`"),
        "{message}"
    );
    let message = all(Combination::Linear)(&|_| {});
    assert!(message.contains("the weight of b is -0.25; expected 0 or more"), "{message}");
    let message = cat(&|parts| parts[2].weight = f32::NAN);
    assert!(message.contains("the weight of c is NaN"), "{message}");
    let mut two = weighted(&adapters, &unknown, &WEIGHTS);
    (two[1].meta, two[2].meta) = (&meta, &elsewhere);
    let error = combine(&config(), &two, Combination::Cat).unwrap_err();
    assert!(
        matches!(&error, CombineError::Base { first, other, .. } if first == "b" && other == "c")
    );
    let mut two = weighted(&adapters, &meta, &WEIGHTS);
    two[1].meta = &by_character;
    let message = combine(&config(), &two, Combination::Cat).unwrap_err().to_string();
    assert!(
        message.starts_with("a compares texts with ") && message.contains(", b with "),
        "{message}"
    );
    for method in [
        Method::from(Dora(lora(2, &[Target::Query], None, false))),
        AdaLora { lora: lora(2, &[Target::Query], None, false), target_rank: 1 }.into(),
        Head.into(),
    ] {
        let name = method.name();
        let mixed = [adapter(method, 1), adapters[0].clone()];
        let parts = weighted(&mixed, &meta, &WEIGHTS);
        let error = combine(&config(), &parts, Combination::Cat).unwrap_err();
        assert_eq!(error, CombineError::Method { name: "a".into(), method: name });
    }
    assert_eq!(combine(&config(), &[], Combination::Cat).unwrap_err(), CombineError::None);
    let wide = [
        adapter(lora(config().hidden_size, &[Target::Query], None, false), 1),
        adapters[0].clone(),
    ];
    let parts = weighted(&wide, &meta, &WEIGHTS);
    let error = combine(&config(), &parts, Combination::Cat).unwrap_err();
    assert!(matches!(error, CombineError::Model(ModelError::Lora { setting: "r", .. })), "{error}");
    // An adapter of a base with other sizes.
    let other = BertConfig { hidden_size: 2 * config().hidden_size, ..config() };
    let parts = weighted(&adapters, &unknown, &WEIGHTS);
    let error = combine(&other, &parts, Combination::Cat).unwrap_err();
    assert!(matches!(error, CombineError::Model(ModelError::ParameterCount { .. })), "{error}");
}

#[test]
fn a_merged_adapter_leaves_only_its_head() {
    let two = || lora(2, &[Target::Query, Target::Value, Target::Output], None, false);
    for method in [
        Method::from(two()),
        lora(2, &Target::ALL, Some(vec![0]), true).into(),
        Dora(two()).into(),
        AdaLora { lora: two(), target_rank: 1 }.into(),
        Full.into(),
        BitFit.into(),
        Head.into(),
    ] {
        let name = method.name();
        let adapter = adapter(method, 4);
        let mut merged = base();
        merge_into_base(&config(), &mut merged, &adapter).unwrap();
        let (found, expected) =
            (scores(&merged, &head(head_of(&adapter))), scores(&base(), &adapter));
        assert!(furthest(&found, &expected) < 1e-5, "{name}: {found:?} {expected:?}");
    }
    let distinct: BTreeSet<_> = [Method::from(Prefix { length: 2 }), Houlsby { width: 3 }.into()]
        .into_iter()
        .map(|method| {
            let adapter = adapter(method, 4);
            let error = merge_into_base(&config(), &mut base(), &adapter).unwrap_err();
            assert!(matches!(error, ModelError::NotMergeable { .. }), "{error}");
            error.to_string()
        })
        .collect();
    assert_eq!(distinct.len(), 2, "each names its method");
}
