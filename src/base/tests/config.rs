use super::{TINY_CONFIG, tiny_config};
use crate::base::arch::BERT;
use crate::base::{BaseError, BertConfig, Rotary};

/// The tiny configuration with one key set, or removed with `None`.
fn with(key: &str, value: Option<serde_json::Value>) -> Result<BertConfig, BaseError> {
    let mut map: serde_json::Map<_, _> = serde_json::from_str(TINY_CONFIG).unwrap();
    match value {
        Some(value) => map.insert(key.into(), value),
        None => map.remove(key),
    };
    BertConfig::from_json(&serde_json::to_vec(&map).unwrap())
}

#[test]
fn sizes_are_read() {
    let config = tiny_config();
    assert_eq!((config.vocab_size, config.hidden_size, config.num_hidden_layers), (14, 8, 2));
    assert_eq!(
        (config.intermediate_size, config.num_attention_heads, config.max_tokens()),
        (12, 2, 10)
    );
    assert_eq!(config.layer_norm_eps, 1e-12);
}

#[test]
fn missing_values_take_berts_defaults() {
    assert_eq!(with("max_position_embeddings", None).unwrap().max_position_embeddings, 512);
    assert_eq!(with("type_vocab_size", None).unwrap().type_vocab_size, 2);
    assert_eq!(with("layer_norm_eps", None).unwrap().layer_norm_eps, 1e-12);
    assert_eq!(with("hidden_act", None).unwrap(), tiny_config());
    assert_eq!(with("model_type", None).unwrap().architecture, &BERT);
}

#[test]
fn every_invalid_value_is_reported_with_its_key() {
    let cases = [
        ("hidden_act", Some("gelu_new".into())),
        ("hidden_act", Some("relu".into())),
        ("hidden_act", Some(1.into())),
        ("position_embedding_type", Some("relative_key".into())),
        ("is_decoder", Some(true.into())),
        ("add_cross_attention", Some(true.into())),
        ("quantization_config", Some(serde_json::json!({"bits": 4}))),
        ("vocab_size", None),
        ("vocab_size", Some(0.into())),
        ("vocab_size", Some((1u64 << 40).into())),
        ("hidden_size", Some("8".into())),
        ("hidden_size", Some((-8).into())),
        ("hidden_size", Some(8.5.into())),
        ("num_hidden_layers", Some(5000.into())),
        ("num_attention_heads", Some(3.into())),
        ("intermediate_size", None),
        ("max_position_embeddings", Some(1.into())),
        ("layer_norm_eps", Some(0.into())),
        ("layer_norm_eps", Some("1e-12".into())),
        ("model_type", Some(serde_json::json!(["bert"]))),
    ];
    for (key, value) in cases {
        let message = with(key, value.clone()).unwrap_err().to_string();
        assert!(message.contains(&format!("`{key}`")), "{key} {value:?}: {message}");
    }
}

#[test]
fn damaged_json_is_an_error_wherever_it_is_cut() {
    let empty = BertConfig::from_json(b"").unwrap_err().to_string();
    assert_eq!(empty, "config.json: the file is empty");
    for end in 1..TINY_CONFIG.len() {
        let error = BertConfig::from_json(&TINY_CONFIG.as_bytes()[..end]).unwrap_err();
        assert!(error.to_string().starts_with("config.json: not valid JSON"), "{error}");
    }
    for bad in ["[]", "3", "null", "\"bert\""] {
        assert!(matches!(BertConfig::from_json(bad.as_bytes()), Err(BaseError::ConfigJson(_))));
    }
    assert!(BertConfig::from_json(&[0xff, 0xfe]).is_err());
}

/// ModernBERT's configuration as older versions of Transformers wrote it, with some keys set.
fn modern(changes: serde_json::Value) -> Result<BertConfig, BaseError> {
    let mut map = serde_json::json!({
        "model_type": "modernbert", "vocab_size": 14, "hidden_size": 8, "num_hidden_layers": 4,
        "num_attention_heads": 2, "intermediate_size": 12, "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "local_attention": 128,
        "position_embedding_type": "absolute"
    });
    let changes = changes.as_object().unwrap().clone();
    map.as_object_mut().unwrap().extend(changes);
    BertConfig::from_json(&serde_json::to_vec(&map).unwrap())
}

#[test]
fn rotary_positions_are_read_from_the_keys_of_all_versions() {
    let old = modern(serde_json::json!({})).unwrap();
    let expected = Rotary {
        global_theta: 160_000.0,
        local_theta: 10_000.0,
        reach: 64,
        local: vec![false, true, true, false],
    };
    assert_eq!(old.rotary, Some(expected));
    assert_eq!((old.max_tokens(), old.layer_norm_eps, old.type_vocab_size), (8192, 1e-5, 0));
    let kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"];
    let new = modern(serde_json::json!({
        "layer_types": kinds, "global_attn_every_n_layers": null,
        "global_rope_theta": null, "local_rope_theta": null,
        "rope_parameters": {
            "full_attention": {"rope_theta": 160000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        },
    }));
    assert_eq!(new.unwrap(), old);
    // Transformers' defaults.
    let rope = serde_json::json!({"full_attention": null});
    assert_eq!(modern(serde_json::json!({"rope_parameters": rope})).unwrap(), old);
}

#[test]
fn other_computations_of_modernbert_are_refused_by_their_key() {
    let kinds = |first: &str| serde_json::json!([first, first, first, first]);
    for (key, value) in [
        ("attention_bias", serde_json::json!(true)),
        ("mlp_bias", true.into()),
        ("norm_bias", 1.into()),
        ("hidden_activation", "relu".into()),
        ("num_attention_heads", 8.into()),
        ("layer_types", serde_json::json!(["full_attention"])),
        ("layer_types", kinds("chunked_attention")),
        ("layer_types", 4.into()),
        ("global_attn_every_n_layers", 0.into()),
        ("global_rope_theta", 0.into()),
        ("local_rope_theta", "1e4".into()),
        ("local_attention", (-1).into()),
        ("rope_scaling", serde_json::json!({"rope_type": "yarn"})),
        ("rope_parameters", serde_json::json!({"full_attention": {"rope_type": "yarn"}})),
        ("rope_parameters", serde_json::json!({"sliding_attention": {"rope_theta": -1.0}})),
    ] {
        let message = modern(serde_json::json!({key: value})).unwrap_err().to_string();
        assert!(message.contains(&format!("`{key}`")), "{key}: {message}");
    }
}
