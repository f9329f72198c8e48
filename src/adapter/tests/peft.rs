//! Directories as PEFT writes them.

use serde_json::json;

use super::{adapter, fault, with_setting, with_tensors};
use crate::adapter::{
    AdapterError, AdapterFiles, AdapterMeta, ReadOptions, read, read_with, write,
};
use crate::base::tests::tiny_config;
use crate::base::{TensorFile, write_f32};
use crate::model::{SCORE_HEAD, SlotKind, Target};

fn files(targets: &[Target], layers: Option<Vec<usize>>) -> AdapterFiles {
    write(&adapter(targets, layers), &AdapterMeta::default()).unwrap()
}

fn without_head(files: &AdapterFiles) -> AdapterFiles {
    with_tensors(files, |tensors| tensors.retain(|t| !t.0.contains("score")))
}

#[test]
fn metadata_may_be_absent() {
    let mut files = files(&[Target::Query], None);
    let file = TensorFile::open(files.weights.as_slice()).unwrap();
    let tensors: Vec<_> =
        file.entries().keys().map(|n| (n.clone(), file.read(n).unwrap())).collect();
    let views = tensors.iter().map(|(n, t)| (n.clone(), t.shape.as_slice(), t.data.as_slice()));
    files.weights = write_f32(&Default::default(), views).unwrap();
    let (read, meta) = read(&files, &tiny_config()).unwrap();
    assert_eq!((read, meta), (adapter(&[Target::Query], None), AdapterMeta::default()));
}

#[test]
fn a_model_that_wraps_the_encoder_as_bert_loads() {
    let files = with_tensors(&files(&[Target::Key, Target::Intermediate], None), |tensors| {
        for tensor in tensors {
            tensor.0 =
                tensor.0.replace("base_model.model.encoder", "base_model.model.bert.encoder");
        }
    });
    assert_eq!(
        read(&files, &tiny_config()).unwrap().0,
        adapter(&[Target::Key, Target::Intermediate], None)
    );
}

#[test]
fn a_pattern_is_derived_from_the_tensors() {
    let some = files(&[Target::Query, Target::Output], Some(vec![1]));
    let some = with_setting(&some, "layers_to_transform", None);
    let some = with_setting(
        &some,
        "target_modules",
        Some(json!(r".*layer\.1\..*(query|(?<!attention\.)output\.dense)")),
    );
    assert_eq!(
        read(&some, &tiny_config()).unwrap().0,
        adapter(&[Target::Query, Target::Output], Some(vec![1]))
    );

    let uneven = with_tensors(&files(&[Target::Query, Target::Key], None), |tensors| {
        tensors.retain(|t| !t.0.contains("layer.1.attention.self.key"));
    });
    let message = fault(&with_setting(&uneven, "target_modules", Some(json!(".*"))));
    assert!(message.contains("encoder.layer.1.attention.self.key"), "{message}");

    let half = with_tensors(&files(&[Target::Query], None), |tensors| {
        tensors.retain(|t| !t.0.contains("layer.1.attention.self.query.lora_B"));
    });
    let message = fault(&with_setting(&half, "target_modules", Some(json!(".*query"))));
    assert!(
        message.contains("layer.1.attention.self.query.lora_B.weight` is missing"),
        "{message}"
    );

    let bare = with_tensors(&files(&[Target::Query], None), |tensors| {
        tensors.retain(|t| t.0.contains("score"));
    });
    let message = fault(&with_setting(&bare, "target_modules", Some(json!(".*query"))));
    assert!(message.contains("`target_modules`"), "{message}");

    let beyond = with_tensors(&files(&[Target::Query], None), |tensors| {
        for tensor in tensors {
            tensor.0 = tensor.0.replace("layer.1", "layer.7");
        }
    });
    let message = fault(&with_setting(&beyond, "target_modules", Some(json!(".*query"))));
    assert!(
        message.contains("layer.7.attention.self.query") && message.contains("layers 0 to 1"),
        "{message}"
    );
}

#[test]
fn an_untrained_pooler_is_ignored_and_a_trained_one_rejected() {
    let pooler = |b: f32| {
        let files = with_tensors(&files(&Target::ALL, None), |tensors| {
            tensors.push((
                "base_model.model.pooler.dense.lora_A.weight".into(),
                vec![2, 8],
                vec![0.5; 16],
            ));
            tensors.push((
                "base_model.model.pooler.dense.lora_B.weight".into(),
                vec![8, 2],
                vec![b; 16],
            ));
        });
        with_setting(&files, "target_modules", Some(json!(["dense", "value", "key", "query"])))
    };
    assert_eq!(read(&pooler(0.0), &tiny_config()).unwrap().0, adapter(&Target::ALL, None));
    let message = fault(&pooler(0.1));
    assert!(
        message.contains("base_model.model.pooler.dense.lora_B.weight` would be unused"),
        "{message}"
    );
}

#[test]
fn an_adapter_without_score_head_loads_only_on_request() {
    let files = without_head(&files(&[Target::Query], None));
    let error = read(&files, &tiny_config()).unwrap_err();
    assert_eq!(error, AdapterError::NoScoreHead);
    assert!(error.to_string().contains("modules_to_save"), "{error}");
    let fresh =
        |seed| read_with(&files, &tiny_config(), ReadOptions { new_head: Some(seed) }).unwrap().0;
    let expected = adapter(&[Target::Query], None);
    let head = expected.layout.find(SCORE_HEAD, SlotKind::HEAD_WEIGHT).unwrap().range();
    assert_eq!(fresh(1).parameters[..head.start], expected.parameters[..head.start]);
    assert_eq!(fresh(1), fresh(1));
    assert_ne!(fresh(1).parameters[head.clone()], fresh(2).parameters[head]);
}

#[test]
fn a_head_needs_a_weight_and_may_lack_a_bias() {
    let without = |tensor: &str| {
        with_tensors(&files(&[Target::Query], None), |tensors| {
            tensors.retain(|other| other.0 != format!("base_model.model.score.{tensor}"));
        })
    };
    for options in [ReadOptions::default(), ReadOptions { new_head: Some(1) }] {
        for tensor in ["weight", "bias"] {
            let message = read_with(&without(tensor), &tiny_config(), options).unwrap_err();
            let expected = format!("base_model.model.score.{tensor}` is missing");
            assert!(message.to_string().contains(&expected), "{message}");
        }
        // As PEFT writes it, without LoRB's metadata.
        let mut bare = without("bias");
        let file = TensorFile::open(bare.weights.as_slice()).unwrap();
        let tensors: Vec<_> =
            file.entries().keys().map(|n| (n.clone(), file.read(n).unwrap())).collect();
        let views = tensors.iter().map(|(n, t)| (n.clone(), t.shape.as_slice(), t.data.as_slice()));
        bare.weights = write_f32(&Default::default(), views).unwrap();
        let (found, _) = read_with(&bare, &tiny_config(), options).unwrap();
        let bias = found.layout.find(SCORE_HEAD, SlotKind::HEAD_BIAS).unwrap().range();
        let mut expected = adapter(&[Target::Query], None);
        expected.parameters[bias].fill(0.0);
        assert_eq!(found, expected);
    }
}
