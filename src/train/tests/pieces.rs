//! A list that is larger than a batch has the same gradient in pieces.

use burn::tensor::{Device, Tensor};

use super::tiny::{Setup, base, finish, lists};
use crate::methods::{METHODS, Settings};
use crate::model::{Adapter, Encoder, Method};
use crate::train::data::TrainData;
use crate::train::{Pass, TrainConfig, TrainedModel, batches};

/// A number of tokens that no list of the test fits in, but every text.
const SMALL: usize = 12;

/// The list with the most tokens, and the data that it is in.
fn longest(config: &TrainConfig) -> (TrainData, usize) {
    let data = TrainData::prepare(&lists(30, 1), &base().tokenizer, config).unwrap();
    let tokens = |at: &usize| -> usize {
        data.lists[*at].sequences.iter().map(|&s| data.sequences[s].len()).sum()
    };
    let at = (0..data.lists.len()).max_by_key(tokens).unwrap();
    assert!(tokens(&at) > 2 * SMALL);
    (data, at)
}

/// Loss, correlation and gradient of the longest list.
fn parts(method: &Method, config: &TrainConfig, dropout: Option<u64>) -> [Vec<f32>; 3] {
    let device = Device::flex();
    let mut base = base();
    let adapter = Adapter::init_on(&base.config, &base.weights, method.clone(), 5).unwrap();
    let values: Vec<f32> = (adapter.parameters.iter().enumerate())
        .map(|(i, value)| value + 0.02 * ((i * 7 % 13) as f32 / 6.0 - 1.0))
        .collect();
    let encoder = Encoder::new(&base.config, &mut base.weights, &device).unwrap();
    let (data, at) = longest(config);
    let model = TrainedModel { encoder: &encoder, base: &base.config, method, config };
    let pass = Pass { model, data: &data };
    let parameters = Tensor::from_floats(values.as_slice(), &device);
    let parts = pass.run(&parameters, &[at], 2, dropout, None).unwrap();
    [parts.ranking, parts.correlation, parts.gradient]
        .map(|tensor| tensor.into_data().try_into_vec().unwrap())
}

fn config(batch_tokens: usize, recompute: bool) -> TrainConfig {
    TrainConfig { batch_tokens, recompute, cor_weight: 0.1, ..TrainConfig::default() }
}

#[test]
fn pieces_have_the_gradient_of_the_whole_for_every_method() {
    for info in METHODS {
        let mut settings = Settings::new();
        if let Some(size) = info.size {
            settings = settings.with(size, 2);
        }
        let method = (info.build)(&settings).unwrap();
        let whole = parts(&method, &config(usize::MAX, false), None);
        assert!(whole[2].iter().any(|value| *value != 0.0), "{}", info.name);
        for recompute in [false, true] {
            let pieces = parts(&method, &config(SMALL, recompute), None);
            for (whole, pieces) in whole.iter().zip(&pieces) {
                let largest = whole.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                let off = whole.iter().zip(pieces).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert_eq!(whole.len(), pieces.len());
                // The order of the sums differs.
                assert!(off <= 1e-5 * largest, "{off} of {largest}: {} {recompute}", info.name);
            }
        }
    }
}

#[test]
fn both_passes_of_a_piece_drop_the_same_inputs() {
    let method = Method::from(super::tiny::lora(0.3));
    let with = |recompute, seed| parts(&method, &config(SMALL, recompute), Some(seed));
    assert!(with(false, 3) == with(true, 3));
    assert!(with(false, 3) != with(false, 4));
}

#[test]
fn a_run_on_lists_larger_than_a_batch_is_reproducible() {
    let config = TrainConfig { epochs: 1, ..config(SMALL, false) };
    let setup = Setup::new(lists(12, 1), vec![], config);
    let run = || {
        let mut trainer = setup.trainer().unwrap();
        let messages = finish(&mut trainer);
        (messages, pollster::block_on(trainer.parameters()).unwrap())
    };
    assert!(run() == run());
    let data = TrainData::prepare(&setup.train, &setup.base.tokenizer, &setup.config).unwrap();
    assert_eq!(batches(&data, 0, 0, SMALL).len(), data.lists.len());
}
