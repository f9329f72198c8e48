//! Compares the kernels with the CPU path where there are no golden files: dropout, whose masks every device computes,
//! and adapters that are merged into the base. Also checks which kernels a part of a base uses.

mod common;

use burn::tensor::{Device, Tensor};
use lorb::base::BertConfig;
use lorb::bench::{Shape, random_weights};
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Encoder, PackedBatch, Target, TrainableTensors};
use lorb::ops::wgsl::launched;

/// Tolerance relative to the largest element, for several consecutive f32 kernels on either side.
const RELATIVE: f64 = 1e-4;

/// A software adapter, and one with WebGPU's guaranteed minimum limits.
fn gpus() -> Vec<Device> {
    [common::gpu::software(), common::gpu::least()].into_iter().flatten().collect()
}

fn batch() -> PackedBatch {
    let long: Vec<u32> = (2..60).collect();
    [&[2, 40, 41, 3][..], &[2, 9, 8, 7, 6, 3], &[2, 3], &long].into_iter().collect()
}

/// An encoder of the smallest shape, and an adapter without zeros.
fn model(lora: LoraConfig, device: &Device) -> (BertConfig, Encoder, Adapter) {
    let config = Shape::Tiny.config();
    let mut weights = random_weights(&config, 3).expect("a random base");
    let encoder = Encoder::new(&config, &mut weights, device).expect("an encoder");
    let mut adapter = Adapter::init(&config, lora, 5).expect("an adapter");
    for (i, number) in adapter.parameters.iter_mut().enumerate() {
        *number += (i * 37 % 101) as f32 * 1e-3 - 0.05;
    }
    (config, encoder, adapter)
}

fn host(tensor: Tensor<1>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_into_vec().expect("f32");
    values.into_iter().map(f64::from).collect()
}

fn assert_near(what: &str, expected: &[f64], found: &[f64]) {
    assert_eq!(expected.len(), found.len(), "{what}");
    let most = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    assert!(most > 0.0, "{what}: all values are zero");
    for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
        let off = (expected - found).abs();
        assert!(off <= RELATIVE * most, "{what}: element {i} is {found}, expected {expected}");
    }
}

/// Scores, and the gradient of their sum with respect to all parameters.
fn trained(seed: Option<u64>, device: &Device) -> [Vec<f64>; 2] {
    let targets = Target::ALL.into();
    let lora = LoraConfig { rank: 3, dropout: 0.3, targets, ..LoraConfig::default() };
    let (config, encoder, adapter) = model(lora, device);
    let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), device);
    let trainable = TrainableTensors::tracked(&config, &adapter.method, &flat);
    let out = encoder.forward(&batch(), &trainable, seed).expect("a valid batch");
    let scores = host(out.scores.clone().inner());
    // Start from ones for every score: burn's own sums need features that not every device has.
    [scores, host(trainable.gradient(&out.scores.backward()))]
}

#[test]
fn dropout_is_the_same_on_every_device() {
    let with = |seed| trained(seed, &common::cpu());
    let expected = with(Some(11));
    for other in [None, Some(12)] {
        assert_ne!(expected, with(other), "the mask must have an effect");
    }
    for device in gpus() {
        let [scores, gradient] = trained(Some(11), &device);
        assert_near("scores", &expected[0], &scores);
        assert_near("gradient", &expected[1], &gradient);
    }
}

#[test]
fn an_id_outside_the_embedding_is_an_error_on_every_device() {
    for device in [common::cpu()].into_iter().chain(gpus()) {
        let (config, encoder, adapter) = model(LoraConfig::default(), &device);
        let trainable = TrainableTensors::new(&config, &adapter, &device);
        let rows = config.vocab_size as u32;
        for (ids, part) in
            [(vec![2, rows, 3], format!("the id {rows}")), (vec![2, u32::MAX], "the id -1".into())]
        {
            let batch: PackedBatch = [ids.as_slice()].into_iter().collect();
            let error = encoder.forward(&batch, &trainable, None).unwrap_err().to_string();
            assert!(error.contains(&part), "{error}");
        }
        let long = vec![2; config.max_position_embeddings + 1];
        let batch: PackedBatch = [long.as_slice()].into_iter().collect();
        let error = encoder.forward(&batch, &trainable, None).unwrap_err().to_string();
        assert!(
            error.contains(&format!("the position {}", config.max_position_embeddings)),
            "{error}"
        );
    }
}

#[test]
fn merged_adapters_score_the_same_on_every_device() {
    let score = |merge: bool, device: &Device| {
        let targets = [Target::Query, Target::Value, Target::Intermediate, Target::Output];
        let lora = LoraConfig { rank: 3, targets: targets.into(), ..LoraConfig::default() };
        let (config, mut encoder, adapter) = model(lora, device);
        let mut trainable = TrainableTensors::new(&config, &adapter, device);
        if merge {
            (encoder, trainable) = encoder.merged(trainable);
        }
        host(encoder.forward(&batch(), &trainable, None).expect("a valid batch").scores)
    };
    let expected = score(false, &common::cpu());
    for device in gpus() {
        assert_near("merged", &expected, &score(true, &device));
    }
}

#[test]
fn the_ends_of_a_base_use_every_kernel_of_the_whole() {
    for device in gpus() {
        for num_hidden_layers in [1, 2, 4] {
            let config = BertConfig { num_hidden_layers, ..Shape::Tiny.config() };
            let mut weights = random_weights(&config, 3).expect("a random base");
            let whole = Encoder::new(&config, &mut weights, &device).expect("an encoder");
            let adapter = Adapter::init(&config, LoraConfig::default(), 5).expect("an adapter");
            let trainable = TrainableTensors::new(&config, &adapter, &device);
            let taken = |encoder: &Encoder, trainable: &TrainableTensors| {
                drop(launched());
                let scores =
                    host(encoder.forward(&batch(), trainable, None).expect("a valid batch").scores);
                (scores, launched())
            };
            let (ends, of_ends) = whole.first_and_last_layer(&trainable);
            assert_eq!(
                ends.stages(&batch(), None).expect("a valid batch").layers(),
                num_hidden_layers.min(2)
            );
            let (expected, kernels) = taken(&whole, &trainable);
            let (scores, found) = taken(&ends, &of_ends);
            assert!(!kernels.is_empty());
            assert_eq!(found, kernels);
            assert_eq!(scores == expected, num_hidden_layers <= 2);
        }
    }
}
