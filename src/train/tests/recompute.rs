//! Gradient checkpointing gives the same results as training without it.

use burn::tensor::{Device, Tensor};

use super::tiny::{Setup, finish, lists};
use crate::methods::LoraConfig;
use crate::model::{Encoder, Target};
use crate::test_gpu;
use crate::train::data::TrainData;
use crate::train::{Pass, TrainConfig, TrainedModel};

fn setup(dropout: f32, layers: Option<Vec<usize>>, cor_weight: f32) -> Setup {
    let config = TrainConfig {
        batch_tokens: 150,
        accumulate: 2,
        lr: 3e-3,
        epochs: 2,
        cor_weight,
        ..TrainConfig::default()
    };
    let mut setup = Setup::new(lists(30, 1), lists(10, 2), config);
    setup.lora = LoraConfig { dropout, layers, targets: Target::ALL.into(), ..setup.lora };
    setup
}

/// Loss, correlation and gradient of one batch, with factors B that are not 0.
fn batch(setup: &Setup, device: &Device, recompute: bool) -> [Vec<f32>; 3] {
    let inputs = setup.inputs();
    let mut base = super::tiny::base();
    let encoder = Encoder::new(&base.config, &mut base.weights, device).unwrap();
    let config = TrainConfig { recompute, ..setup.config.clone() };
    let data = TrainData::prepare(&setup.train, &setup.base.tokenizer, &config).unwrap();
    let values: Vec<f32> = (inputs.adapter.parameters.iter().enumerate())
        .map(|(i, value)| value + 0.05 * ((i * 7 % 13) as f32 / 6.0 - 1.0))
        .collect();
    let model = TrainedModel {
        encoder: &encoder,
        base: &setup.base.config,
        method: &inputs.adapter.method,
        config: &config,
    };
    let pass = Pass { model, data: &data };
    let parameters = Tensor::from_floats(values.as_slice(), device);
    let lists: Vec<usize> = (0..data.lists.len()).collect();
    let parts = pass.run(&parameters, &lists, 2 * lists.len(), Some(3), None).unwrap();
    [parts.ranking, parts.correlation, parts.gradient]
        .map(|tensor| tensor.into_data().try_into_vec().unwrap())
}

/// All cases: with and without dropout and correlation, all layers and some of them.
fn cases() -> Vec<Setup> {
    let layers = [None, Some(vec![1]), Some(vec![0]), Some(vec![2]), Some(vec![1, 2])];
    let mut cases = Vec::new();
    for layers in layers {
        cases.push(setup(0.0, layers.clone(), 0.0));
        cases.push(setup(0.2, layers, 0.1));
    }
    cases
}

#[test]
fn a_batch_gives_the_same_bits_on_the_cpu() {
    for setup in cases() {
        let expected = batch(&setup, &Device::flex(), false);
        let zeros = expected[2].iter().filter(|value| **value == 0.0).count();
        assert!(
            10 * zeros < expected[2].len(),
            "{zeros} zeros in the gradient make this test weak"
        );
        assert!(batch(&setup, &Device::flex(), true) == expected, "{:?}", setup.lora);
    }
}

#[test]
fn a_batch_gives_the_same_up_to_rounding_on_the_gpu_path() {
    let Some(device) = test_gpu::software() else { return };
    for setup in cases() {
        let expected = batch(&setup, &device, false);
        let found = batch(&setup, &device, true);
        for (expected, found) in expected.iter().zip(&found) {
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let off = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(expected.len(), found.len());
            assert!(off <= 1e-5 * largest, "{off} of {largest}: {:?}", setup.lora);
        }
    }
}

#[test]
fn a_run_gives_the_same_bits_and_resumes_from_the_others_checkpoint() {
    let run = |recompute: bool| {
        let mut setup = setup(0.1, None, 0.05);
        setup.config.recompute = recompute;
        let mut trainer = setup.trainer().unwrap();
        let messages = finish(&mut trainer);
        (messages, pollster::block_on(trainer.parameters()).unwrap())
    };
    let (messages, parameters) = run(false);
    assert!(run(true) == (messages, parameters.clone()));

    let mut setup = setup(0.1, None, 0.05);
    let mut first = setup.trainer().unwrap();
    while first.step() < 2 {
        pollster::block_on(first.next()).unwrap().unwrap();
    }
    setup.config.recompute = true;
    let mut second = setup.resume(&pollster::block_on(first.checkpoint()).unwrap()).unwrap();
    finish(&mut second);
    assert!(pollster::block_on(second.parameters()).unwrap() == parameters);
}
