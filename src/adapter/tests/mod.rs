//! Round trips of adapters, and their errors.

mod combine;
mod damage;
mod meta;
mod methods;
mod peft;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{AdapterError, AdapterFiles, AdapterMeta, read, write};
use crate::base::tests::tiny_config;
use crate::base::{TensorFile, write_f32};
use crate::methods::LoraConfig;
use crate::model::{Adapter, Target};

/// A named tensor with its shape and values.
pub(super) type Tensor = (String, Vec<usize>, Vec<f32>);

/// Rank 2 on the given targets, all values other than 0 and different.
pub(super) fn adapter(targets: &[Target], layers: Option<Vec<usize>>) -> Adapter {
    let config = LoraConfig {
        rank: 2,
        alpha: 3.5,
        dropout: 0.1,
        targets: targets.iter().copied().collect(),
        rslora: true,
        layers,
    };
    let mut adapter = Adapter::init(&tiny_config(), config, 3).unwrap();
    for (i, value) in adapter.parameters.iter_mut().enumerate() {
        *value = (i as f32 + 1.0) * 0.37;
    }
    adapter
}

pub(super) fn written() -> AdapterFiles {
    write(&adapter(&[Target::Query, Target::Value], None), &AdapterMeta::default()).unwrap()
}

pub(super) fn fault(files: &AdapterFiles) -> String {
    read(files, &tiny_config()).unwrap_err().to_string()
}

/// The files with one setting changed, or removed with `None`.
pub(super) fn with_setting(files: &AdapterFiles, key: &str, value: Option<Value>) -> AdapterFiles {
    let mut map: Map<_, _> = serde_json::from_slice(&files.config).unwrap();
    match value {
        Some(value) => map.insert(key.into(), value),
        None => map.remove(key),
    };
    AdapterFiles { config: serde_json::to_vec(&map).unwrap(), weights: files.weights.clone() }
}

/// The files with their tensors changed.
pub(super) fn with_tensors(
    files: &AdapterFiles,
    change: impl FnOnce(&mut Vec<Tensor>),
) -> AdapterFiles {
    let file = TensorFile::open(files.weights.as_slice()).unwrap();
    let mut tensors: Vec<Tensor> = file
        .entries()
        .keys()
        .map(|name| {
            let tensor = file.read(name).unwrap();
            (name.clone(), tensor.shape, tensor.data)
        })
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(n, s, v)| (n.clone(), s.as_slice(), v.as_slice()));
    AdapterFiles {
        config: files.config.clone(),
        weights: write_f32(file.metadata(), views).unwrap(),
    }
}

/// The files without LoRB's metadata.
pub(super) fn as_saved_by_peft(files: &AdapterFiles) -> AdapterFiles {
    let file = TensorFile::open(files.weights.as_slice()).unwrap();
    let tensors: Vec<_> =
        file.entries().keys().map(|name| (name.clone(), file.read(name).unwrap())).collect();
    let views = tensors.iter().map(|(n, t)| (n.clone(), t.shape.as_slice(), t.data.as_slice()));
    let plain = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let weights = write_f32(&plain, views).unwrap();
    AdapterFiles { config: files.config.clone(), weights }
}

#[test]
fn every_set_of_targets_round_trips() {
    for bits in 1u32..64 {
        let targets: Vec<_> = Target::ALL
            .into_iter()
            .enumerate()
            .filter(|(i, _)| bits >> i & 1 == 1)
            .map(|t| t.1)
            .collect();
        for layers in [None, Some(vec![1])] {
            let adapter = adapter(&targets, layers);
            let meta =
                AdapterMeta { base_name: Some("some/base".into()), ..AdapterMeta::default() };
            let files = write(&adapter, &meta).unwrap();
            assert_eq!(files, write(&adapter, &meta).unwrap());
            assert_eq!(read(&files, &tiny_config()).unwrap(), (adapter, meta));
        }
    }
}

#[test]
fn settings_are_written_in_common_notation() {
    let text = String::from_utf8(written().config).unwrap();
    for line in [
        "\"lora_alpha\": 3.5",
        "\"lora_dropout\": 0.1",
        "\"r\": 2",
        "\"use_rslora\": true",
        "\"task_type\": null",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn tensors_have_pefts_names_and_shapes() {
    let files = write(&adapter(&[Target::Output], Some(vec![0])), &AdapterMeta::default()).unwrap();
    let file = TensorFile::open(files.weights.as_slice()).unwrap();
    let shapes: Vec<_> =
        file.entries().iter().map(|(n, e)| (n.as_str(), e.shape.as_slice())).collect();
    assert_eq!(
        shapes,
        [
            ("base_model.model.encoder.layer.0.output.dense.lora_A.weight", &[2, 12][..]),
            ("base_model.model.encoder.layer.0.output.dense.lora_B.weight", &[8, 2]),
            ("base_model.model.score.bias", &[1]),
            ("base_model.model.score.weight", &[1, 8]),
        ]
    );
    assert_eq!(file.metadata()["format"], "pt");
}

#[test]
fn non_finite_values_are_not_written() {
    let mut adapter = adapter(&[Target::Key], None);
    adapter.parameters[1] = f32::NAN;
    let error = write(&adapter, &AdapterMeta::default()).unwrap_err();
    assert!(
        error.to_string().contains("encoder.layer.0.attention.self.key.lora_A.weight` has NaN"),
        "{error}"
    );
    adapter.parameters.pop();
    assert!(matches!(write(&adapter, &AdapterMeta::default()), Err(AdapterError::Unwritable(_))));
}
