//! A tiny base in memory, and its errors.

mod config;
mod export;
mod stream;
mod tokenizer;
mod weights;

use std::collections::BTreeMap;

use super::{Base, BaseError, BaseFiles, BertConfig, TokenizerFiles, expected_tensors, write_f32};

/// Two layers of width 8 with two heads, 14 word pieces, 10 positions.
pub(crate) fn tiny_config() -> BertConfig {
    BertConfig::from_json(TINY_CONFIG.as_bytes()).unwrap()
}

pub(crate) const TINY_CONFIG: &str = r#"{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 14,
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 10, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "position_embedding_type": "absolute", "pad_token_id": 0, "is_decoder": false}"#;

/// The same sizes as a DistilBERT.
pub(crate) fn distil_config() -> BertConfig {
    BertConfig::from_json(DISTIL_CONFIG.as_bytes()).unwrap()
}

pub(super) const DISTIL_CONFIG: &str = r#"{"model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"],
    "vocab_size": 14, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 10,
    "activation": "gelu", "attention_dropout": 0.1, "sinusoidal_pos_embds": false, "pad_token_id": 0}"#;

pub(super) const TINY_VOCAB: &str =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\nthe\nsong\n.\nA\na\ncafe\ncafé\n";

/// The tensors of the tiny base, with values that differ everywhere.
pub(super) fn tiny_tensors() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut next = 0.0f32;
    expected_tensors(&tiny_config())
        .into_iter()
        .map(|(name, shape)| {
            let values = (0..shape.iter().product()).map(|_| {
                next += 0.5;
                next
            });
            (name, shape, values.collect())
        })
        .collect()
}

/// A safetensors file of f32 tensors.
pub(super) fn file_of(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_f32(&metadata, tensors.iter().map(|(n, s, v)| (n.clone(), s.as_slice(), v.as_slice())))
        .unwrap()
}

/// A safetensors file of one dtype, from raw bytes.
pub(super) fn raw_file(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let range = [data.len(), data.len() + bytes.len()];
        header.insert(
            (*name).into(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": range}),
        );
        data.extend(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

pub(super) fn load(weights: Vec<u8>) -> Result<Base, BaseError> {
    Base::from_files(BaseFiles {
        config: TINY_CONFIG.as_bytes(),
        tokenizer: TokenizerFiles::vocab(TINY_VOCAB.as_bytes()),
        weights,
    })
}

#[test]
fn a_complete_base_loads() {
    let weights = file_of(&tiny_tensors());
    let base = load(weights.clone()).unwrap();
    assert_eq!(base.config, tiny_config());
    assert_eq!(base.hash.len(), 64);
    assert!(base.weights.ignored().is_empty());
    let mut other = weights;
    *other.last_mut().unwrap() ^= 1;
    assert_ne!(load(other).unwrap().hash, base.hash);
}
