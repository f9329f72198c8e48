use std::collections::BTreeSet;

use super::*;
use crate::base::tests::distil_config;
use crate::base::{BaseError, BertConfig, expected_tensors};

#[test]
fn a_model_type_belongs_to_one_architecture() {
    let types: Vec<_> = ARCHITECTURES.iter().flat_map(|known| known.model_types).collect();
    assert_eq!(types.len(), types.iter().collect::<BTreeSet<_>>().len());
    for known in ARCHITECTURES {
        for name in known.model_types {
            assert_eq!(Architecture::of_model_type(name), Some(known));
            assert!(UNSUPPORTED.iter().all(|(types, _)| !types.contains(name)), "{name}");
        }
        for class in known.classes {
            assert_eq!(Architecture::of_class(&format!("{class}ForMaskedLM")), Some(known));
            assert_eq!(Architecture::of_class(&format!("{class}Model")), Some(known));
        }
    }
    for other in ["RobertaPreLayerNormModel", "BertGenerationEncoder", "AlbertModel"] {
        assert_eq!(Architecture::of_class(other), None, "{other}");
    }
}

#[test]
fn other_architectures_are_refused_with_the_reason() {
    let unsupported = UNSUPPORTED.iter().flat_map(|(types, why)| types.iter().map(|t| (*t, *why)));
    for (name, why) in unsupported.chain([("new", "LoRB does not support this architecture")]) {
        let error =
            BertConfig::from_json(format!(r#"{{"model_type": {name:?}}}"#).as_bytes()).unwrap_err();
        assert!(matches!(&error, BaseError::Architecture { model_type, .. } if model_type == name));
        let message = error.to_string();
        assert!(message.contains(&format!("{name:?}")) && message.contains(why), "{message}");
        for known in ARCHITECTURES.iter().flat_map(|known| known.model_types) {
            assert!(message.contains(&format!("{known:?}")), "{message}");
        }
    }
}

#[test]
fn names_are_consistent() {
    for known in ARCHITECTURES {
        for LinearName { path, peft } in known.linears() {
            let module = known.module(11, path);
            assert_eq!(known.split(&module), Some((11, path)));
            assert!(path == peft || path.ends_with(&format!(".{peft}")), "{path} {peft}");
            assert!(known.is_of_encoder(&module), "{module}");
            assert!(known.is_linear(&format!("{module}.weight"), &[8, 8]));
            assert!(!known.is_linear(&format!("{module}.bias"), &[8]));
        }
        let pefts: BTreeSet<_> = known.linears().into_iter().map(|linear| linear.peft).collect();
        assert_eq!(pefts.len(), if known.joins_projections() { 4 } else { 6 }, "{known:?}");
        for other in [known.masked_head.bias, known.masked_head.dense, "score"] {
            assert!(!known.is_of_encoder(other), "{other}");
        }
        let wrapped = format!("{}.{}", known.attribute, known.embeddings.words);
        assert_eq!(known.without_attribute(&wrapped), known.embeddings.words);
    }
    for bad in ["encoder.layer.01.x", "encoder.layer.+1.x", "encoder.layer.1", "pooler.dense"] {
        assert_eq!(BERT.split(bad), None, "{bad}");
    }
}

#[test]
fn distilbert_reads_its_own_keys() {
    let config = distil_config();
    assert_eq!(config.architecture, &DISTILBERT);
    assert_eq!((config.hidden_size, config.intermediate_size), (8, 12));
    assert_eq!((config.num_hidden_layers, config.num_attention_heads), (2, 2));
    assert_eq!((config.type_vocab_size, config.layer_norm_eps), (0, 1e-12));
    for (text, key) in [
        (r#"{"model_type": "distilbert", "vocab_size": 14, "hidden_size": 8}"#, "dim"),
        (
            r#"{"model_type": "distilbert", "vocab_size": 14, "dim": 9, "n_layers": 1, "n_heads": 2,
                "hidden_dim": 8}"#,
            "n_heads",
        ),
        (r#"{"model_type": "distilbert", "activation": "relu"}"#, "activation"),
    ] {
        match BertConfig::from_json(text.as_bytes()) {
            Err(BaseError::Config { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn distilbert_has_no_token_types() {
    // Words, positions and a norm in the embeddings, 16 tensors per layer.
    let tensors = expected_tensors(&distil_config());
    assert_eq!(tensors.len(), 4 + 2 * 16);
    assert!(tensors.iter().all(|(name, _)| !name.contains("type")));
    assert!(tensors.iter().any(|(name, _)| name == "transformer.layer.1.attention.q_lin.weight"));
}

#[test]
fn robertas_positions_start_after_the_padding_id() {
    let text = |padding: &str, positions: usize| {
        format!(
            r#"{{"model_type": "xlm-roberta", "vocab_size": 14, "hidden_size": 8, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": {positions},
                "type_vocab_size": 1{padding}}}"#
        )
    };
    for padding in ["", r#", "pad_token_id": 1"#] {
        let config = BertConfig::from_json(text(padding, 12).as_bytes()).unwrap();
        assert_eq!((config.architecture, config.max_tokens()), (&ROBERTA, 10));
        let tensors = expected_tensors(&config);
        assert!(
            tensors.contains(&("embeddings.position_embeddings.weight".to_owned(), vec![12, 8]))
        );
    }
    let refused = |text: String, key: &str| match BertConfig::from_json(text.as_bytes()) {
        Err(BaseError::Config { key: found, .. }) => assert_eq!(found, key),
        other => panic!("{other:?}"),
    };
    refused(text(r#", "pad_token_id": 0"#, 12), "pad_token_id");
    refused(text("", 3), "max_position_embeddings");
}

#[test]
fn electras_embeddings_may_be_narrower_than_its_layers() {
    let config = |embedding: usize| {
        let text = format!(
            r#"{{"model_type": "electra", "vocab_size": 14, "embedding_size": {embedding}, "hidden_size": 8,
                "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
                "max_position_embeddings": 10}}"#
        );
        BertConfig::from_json(text.as_bytes())
    };
    let shape = |config: &BertConfig, name: &str| {
        let tensors = expected_tensors(config).into_iter();
        tensors.filter(|(known, _)| known == name).map(|(_, shape)| shape).next()
    };
    let (narrow, equal) = (config(6).unwrap(), config(8).unwrap());
    assert_eq!(shape(&narrow, "embeddings.word_embeddings.weight"), Some(vec![14, 6]));
    assert_eq!(shape(&narrow, "embeddings.LayerNorm.bias"), Some(vec![6]));
    assert_eq!(shape(&narrow, "embeddings_project.weight"), Some(vec![8, 6]));
    assert_eq!(shape(&narrow, "encoder.layer.0.attention.self.query.weight"), Some(vec![8, 8]));
    assert_eq!(shape(&equal, "embeddings_project.weight"), None);
    for bad in [0, (1 << 24) + 1] {
        let error = config(bad).unwrap_err();
        assert!(matches!(error, BaseError::Config { key: "embedding_size", .. }), "{error}");
    }
}
