use serde_json::json;

use super::{adapter, as_saved_by_peft, fault, with_setting, with_tensors, written};
use crate::adapter::{AdapterFiles, AdapterMeta, read, write};
use crate::base::tests::tiny_config;
use crate::methods::lora_config;
use crate::model::Target;

#[test]
fn every_setting_that_changes_scores_is_rejected_by_name() {
    let cases = [
        ("peft_type", json!("IA3")),
        ("peft_type", json!("lora")),
        ("fan_in_fan_out", json!(true)),
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("lora_bias", json!(true)),
        ("rank_pattern", json!({"query": 0})),
        ("rank_pattern", json!({"query": 1.5})),
        ("rank_pattern", json!({"query": [true, 1]})),
        ("rank_pattern", json!({"(query|value)": 4})),
        ("rank_pattern", json!(["query"])),
        ("alpha_pattern", json!({"query": -4})),
        ("alpha_pattern", json!({".*query": 4})),
        ("megatron_config", json!({"a": 1})),
        ("layer_replication", json!([[0, 1]])),
        ("use_qalora", json!(true)),
        ("target_parameters", json!(["a.weight"])),
        ("trainable_token_indices", json!([1])),
        ("arrow_config", json!({"top_k": 3})),
        ("kasa_config", json!({"beta": 1})),
        ("velora_config", json!({"num_groups": 1})),
        ("use_bdlora", json!({"nblocks": 2})),
        ("monteclora_config", json!({"num_samples": 2})),
        ("alora_invocation_tokens", json!([1, 2])),
        ("some_setting_of_tomorrow", json!(0.5)),
        ("another_of_tomorrow", json!("on")),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("loftq")),
        ("modules_to_save", json!(["score", "pooler"])),
        ("modules_to_save", json!("score")),
        ("r", json!(0)),
        ("r", json!(-1)),
        ("r", json!(2.5)),
        ("r", json!(9)),
        ("lora_alpha", json!("16")),
        ("lora_alpha", json!(0)),
        ("lora_alpha", json!(1e300)),
        ("lora_dropout", json!(1.0)),
        ("use_rslora", json!(1)),
        ("target_modules", json!([])),
        ("target_modules", json!(null)),
        ("target_modules", json!([1])),
        ("target_modules", json!({"query": 1})),
        ("exclude_modules", json!(3)),
        ("layers_to_transform", json!([-1])),
        ("layers_to_transform", json!("0")),
        ("layers_to_transform", json!([0, 2])),
        ("layers_pattern", json!("h")),
        ("layers_pattern", json!(["blocks"])),
    ];
    for (key, value) in cases {
        let message = fault(&with_setting(&written(), key, Some(value.clone())));
        assert!(message.contains(&format!("`{key}`")), "{key} {value}: {message}");
        assert!(message.starts_with("adapter_config.json: "), "{message}");
    }
}

#[test]
fn settings_that_do_not_change_scores_are_accepted() {
    let cases = [
        ("task_type", json!("FEATURE_EXTRACTION")),
        ("task_type", json!("SEQ_CLS")),
        ("peft_version", json!("0.21.2")),
        ("auto_mapping", json!({"base_model_class": "BertModel"})),
        ("init_lora_weights", json!("gaussian")),
        ("init_lora_weights", json!(false)),
        ("modules_to_save", json!(["classifier", "score"])),
        ("modules_to_save", json!(null)),
        ("megatron_core", json!("megatron.core")),
        ("corda_config", json!({"a": 1})),
        ("eva_config", json!({"rho": 2.0})),
        ("lora_ga_config", json!({"scale": "stable"})),
        ("rank_pattern", json!({"dense": 3})),
        ("alpha_pattern", json!({"dense": 3, "^encoder.layer.0.attention": 1})),
        ("qalora_group_size", json!(16)),
        ("some_setting_of_tomorrow", json!(null)),
        ("another_of_tomorrow", json!(false)),
        ("layers_pattern", json!("layer")),
        ("layers_pattern", json!(["layers", "layer"])),
        ("layers_to_transform", json!([])),
        ("layers_to_transform", json!([1, 0])),
        ("target_modules", json!(["value", "query"])),
        ("target_modules", json!(["self.value", "attention.self.query", "classifier"])),
        ("target_modules", json!("all-linear")),
        ("target_modules", json!(".*(query|value)")),
        ("exclude_modules", json!(["key", "dense"])),
        ("exclude_modules", json!(".*key")),
    ];
    let expected = read(&written(), &tiny_config()).unwrap().0;
    for (key, value) in cases {
        let mut files = with_setting(&written(), key, Some(value.clone()));
        if value == json!("all-linear") {
            files = with_setting(&files, "exclude_modules", Some(json!(["key", "dense"])));
        }
        assert_eq!(read(&files, &tiny_config()).unwrap().0, expected, "{key} {value}");
    }
}

/// Adapters of BertForSequenceClassification and others with one output: their classifier is not LoRB's head.
#[test]
fn a_classifier_behind_a_dense_layer_is_refused_with_the_reason() {
    let reason = "so no score head on the encoder's output at [CLS] gives the same scores";
    for (saved, tensors) in [
        (json!(["classifier", "score"]), &["classifier.weight", "classifier.bias"][..]),
        (json!(["classifier"]), &["classifier.out_proj.weight", "classifier.dense.weight"]),
        (json!(["classifier"]), &["pre_classifier.weight"]),
        (json!(["pre_classifier", "classifier"]), &[]),
        (json!(["pooler", "classifier"]), &[]),
    ] {
        let files = with_setting(&written(), "task_type", Some(json!("SEQ_CLS")));
        let files = with_setting(&files, "modules_to_save", Some(saved.clone()));
        let files = with_tensors(&files, |all| {
            all.retain(|(name, ..)| !name.contains(".score."));
            for name in tensors {
                all.push((format!("base_model.model.{name}"), vec![1, 8], vec![0.5; 8]));
            }
        });
        let message = fault(&files);
        assert!(message.contains(reason), "{saved} {tensors:?}: {message}");
    }
}

#[test]
fn missing_settings_take_pefts_defaults() {
    let mut files = as_saved_by_peft(&written());
    for key in ["lora_alpha", "lora_dropout", "use_rslora", "bias", "init_lora_weights"] {
        files = with_setting(&files, key, None);
    }
    let adapter = read(&files, &tiny_config()).unwrap().0;
    let config = lora_config(&adapter.method).unwrap();
    assert_eq!((config.alpha, config.dropout, config.rslora), (8.0, 0.0, false));
}

#[test]
fn targets_that_do_not_exist_in_bert_are_reported() {
    let message =
        fault(&with_setting(&written(), "target_modules", Some(json!(["q_proj", "v_proj"]))));
    assert!(message.contains("q_proj, v_proj"), "{message}");
}

#[test]
fn full_names_select_single_modules() {
    let adapter = adapter(&[Target::Output], Some(vec![1]));
    let files = write(&adapter, &AdapterMeta::default()).unwrap();
    let files = with_setting(&files, "exclude_modules", None);
    let files = with_setting(&files, "layers_to_transform", None);
    for name in ["encoder.layer.1.output.dense", "bert.encoder.layer.1.output.dense"] {
        let files = with_setting(&files, "target_modules", Some(json!([name])));
        assert_eq!(read(&files, &tiny_config()).unwrap().0, adapter);
    }
}

#[test]
fn layers_together_with_a_pattern_are_rejected_as_in_peft() {
    let files = with_setting(&written(), "target_modules", Some(json!(".*query")));
    let message = fault(&with_setting(&files, "layers_to_transform", Some(json!([0]))));
    assert!(message.contains("`layers_to_transform`"), "{message}");
}

#[test]
fn damaged_json_is_an_error_wherever_it_is_cut() {
    let whole = written();
    let length = whole.config.len() - 1;
    let empty = fault(&AdapterFiles { config: Vec::new(), ..whole.clone() });
    assert_eq!(empty, "adapter_config.json: the file is empty");
    for end in 1..length {
        let mut files = whole.clone();
        files.config.truncate(end);
        assert!(fault(&files).starts_with("adapter_config.json: not valid JSON"), "{end}");
    }
    for bad in ["[]", "1", "null", "\"LORA\""] {
        let mut files = whole.clone();
        files.config = bad.into();
        assert!(fault(&files).starts_with("adapter_config.json: not valid JSON"));
    }
    assert!(fault(&with_setting(&whole, "peft_type", None)).contains("`peft_type` is missing"));
}
