//! MD: the scores of a teacher are learnt, with or without references, beside another objective or instead of it.

use burn::tensor::{Device, Tensor};

use super::tiny::{Setup, base, finish, lists};
use crate::model::{Adapter, Encoder, Method};
use crate::nbest::Utterance;
use crate::train::{Message, Objective, Pass, TrainConfig, TrainData, TrainError, TrainedModel};

/// Lists with a teacher that counts words about the weather, far from 0.
fn taught(count: usize) -> Vec<Utterance> {
    let mut lists = lists(count, 1);
    for hypothesis in lists.iter_mut().flat_map(|list| &mut list.hypotheses) {
        let weather = |word: &&str| ["rain", "sun", "cold", "warm", "weather"].contains(word);
        let wrong = hypothesis.text.split(' ').filter(weather).count();
        hypothesis.lm = Some(-80.0 - 2.0 * wrong as f64);
    }
    lists
}

fn without_references(lists: Vec<Utterance>) -> Vec<Utterance> {
    lists.into_iter().map(|list| Utterance { reference: None, ..list }).collect()
}

fn prepare(lists: &[Utterance], config: &TrainConfig) -> Result<TrainData, TrainError> {
    TrainData::prepare(lists, &base().tokenizer, config)
}

fn config(objective: Objective, md_weight: f32) -> TrainConfig {
    TrainConfig { objective, md_weight, ..TrainConfig::default() }
}

/// The ranking loss and the gradient of all lists in one batch.
fn parts(config: &TrainConfig) -> (f64, Vec<f64>) {
    let device = Device::flex();
    let data = prepare(&taught(8), config).unwrap();
    let mut base = base();
    let method = Method::from(super::tiny::lora(0.0));
    let adapter = Adapter::init(&base.config, method.clone(), 5).unwrap();
    let values: Vec<f32> = (adapter.parameters.iter().enumerate())
        .map(|(i, value)| value + 0.02 * ((i * 7 % 13) as f32 / 6.0 - 1.0))
        .collect();
    let encoder = Encoder::new(&base.config, &mut base.weights, &device).unwrap();
    let model = TrainedModel { encoder: &encoder, base: &base.config, method: &method, config };
    let all: Vec<usize> = (0..data.lists.len()).collect();
    let parameters = Tensor::from_floats(values.as_slice(), &device);
    let parts = Pass { model, data: &data }.run(&parameters, &all, all.len(), None, None).unwrap();
    let values = |tensor: Tensor<1>| -> Vec<f64> {
        let values: Vec<f32> = tensor.into_data().try_into_vec().unwrap();
        values.into_iter().map(f64::from).collect()
    };
    (values(parts.ranking)[0], values(parts.gradient))
}

#[test]
fn a_mixed_loss_is_the_weighted_sum() {
    // MD also learns lists with equal errors; these lists have none.
    assert!(prepare(&taught(8), &config(Objective::Md, 0.0)).unwrap().lists.len() <= 8);
    let md = parts(&config(Objective::Md, 0.0));
    for objective in [Objective::Mwer, Objective::Mwed] {
        let plain = parts(&config(objective, 0.0));
        let mixed = parts(&config(objective, 0.25));
        let expected = plain.0 + 0.25 * md.0;
        assert!((mixed.0 - expected).abs() < 1e-5 * expected.abs(), "{} {expected}", mixed.0);
        let largest = mixed.1.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(largest > 0.0);
        for ((mixed, plain), md) in mixed.1.iter().zip(&plain.1).zip(&md.1) {
            assert!((mixed - plain - 0.25 * md).abs() < 1e-5 * largest, "{mixed} {plain} {md}");
        }
    }
}

#[test]
fn a_teachers_scores_are_learnt_without_references() {
    let config =
        TrainConfig { epochs: 40, lr: 1e-2, batch_tokens: 256, ..config(Objective::Md, 0.0) };
    let setup = Setup::new(without_references(taught(40)), vec![], config);
    let mut trainer = setup.trainer().unwrap();
    let losses: Vec<f64> = finish(&mut trainer)
        .iter()
        .filter_map(|message| match message {
            Message::Step { ranking, .. } => Some(*ranking),
            _ => None,
        })
        .collect();
    let tenth = losses.len() / 10;
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..tenth]), mean(&losses[losses.len() - tenth..]));
    assert!(last < 0.5 * first, "{first} to {last}");
}

#[test]
fn lists_without_references_calibrate_nothing() {
    let lists = without_references(taught(40));
    let data = prepare(&lists, &config(Objective::Md, 0.0)).unwrap();
    assert_eq!((data.lists.len(), data.first_scale, data.counts.no_reference), (40, 1.0, 0));
    assert!(data.lists.iter().all(|list| list.errors.iter().all(|errors| *errors == 0)));
    // Lists with references do, as for the other objectives.
    let labelled = prepare(&taught(40), &config(Objective::Md, 0.0)).unwrap();
    let mwer = prepare(&taught(40), &config(Objective::Mwer, 0.0)).unwrap();
    assert_eq!(labelled.first_scale, mwer.first_scale);
    assert_ne!(mwer.first_scale, 1.0);
    // The others still need them.
    let refused = prepare(&lists, &config(Objective::Mwer, 0.1));
    assert!(matches!(refused, Err(TrainError::NoUsableList { without_reference: 40, .. })));
}

#[test]
fn the_teachers_scores_belong_to_the_data() {
    let md = config(Objective::Md, 0.0);
    let mut lists = taught(8);
    let before = prepare(&lists, &md).unwrap().fingerprint();
    lists[1].hypotheses[1].lm = Some(-7.0);
    assert_ne!(prepare(&lists, &md).unwrap().fingerprint(), before);
    lists[1].hypotheses[1].lm = None;
    let id = lists[1].id.clone();
    for config in [md, config(Objective::Mwer, 0.1)] {
        let error = prepare(&lists, &config).unwrap_err();
        assert_eq!(error, TrainError::NoTeacherScore { id: id.clone(), hypothesis: 1 });
    }
    prepare(&lists, &config(Objective::Mwer, 0.0)).unwrap();
}
