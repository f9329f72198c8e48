use super::{TINY_CONFIG, tiny_config};
use crate::base::arch::BERT;
use crate::base::{BaseError, BertConfig};

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
