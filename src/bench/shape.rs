//! Bases with random weights in the shapes of known ones. Their results are meaningless, but their speed is the same.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::base::arch::BERT;
use crate::base::{BaseError, BaseWeights, BertConfig, expected_tensors};

/// Standard deviation of the weights, BERT's `initializer_range`.
const DEVIATION: f64 = 0.02;

/// Shape of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// all-MiniLM-L6-v2: 6 layers of 384.
    MiniLm,
    /// BERT-base: 12 layers of 768.
    BertBase,
    /// 2 layers of 64, for tests.
    Tiny,
}

impl Shape {
    const NAMES: [(&'static str, Self); 3] =
        [("minilm", Self::MiniLm), ("bert-base", Self::BertBase), ("tiny", Self::Tiny)];

    /// The configuration of such a base.
    #[must_use]
    pub fn config(self) -> BertConfig {
        let (layers, hidden, heads, inner, words, positions) = match self {
            Self::MiniLm => (6, 384, 12, 1536, 30_522, 512),
            Self::BertBase => (12, 768, 12, 3072, 30_522, 512),
            Self::Tiny => (2, 64, 4, 128, 200, 64),
        };
        BertConfig {
            architecture: &BERT,
            vocab_size: words,
            embedding_size: None,
            hidden_size: hidden,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: inner,
            max_position_embeddings: positions,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            rotary: None,
            tokenizer_class: None,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, shape)| shape == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape);
        found.ok_or_else(|| format!("unknown shape {name:?}; use minilm, bert-base or tiny"))
    }
}

/// Values in `[-limit, limit)`.
pub(super) fn uniform(rng: &mut ChaCha8Rng, limit: f64) -> impl Iterator<Item = f32> + '_ {
    std::iter::repeat_with(move || {
        ((f64::from(rng.next_u32()) / 2f64.powi(31) - 1.0) * limit) as f32
    })
}

/// Weights as BERT is initialised, but uniform: deviation 0.02, biases 0, weights of layer norms 1.
///
/// # Errors
/// [`BaseError`] if LoRB does not support the base of `config`.
pub fn random_weights(config: &BertConfig, seed: u64) -> Result<BaseWeights, BaseError> {
    config.check()?;
    let tensors = expected_tensors(config);
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in &tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let entry =
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (name, shape) in &tensors {
        let count = shape.iter().product();
        if is_norm_weight(name, shape) {
            bytes.extend(std::iter::repeat_n(1f32.to_le_bytes(), count).flatten());
        } else if name.ends_with(".bias") {
            bytes.resize(bytes.len() + 4 * count, 0);
        } else {
            // A uniform number's deviation is its limit over the root of 3.
            let values = uniform(&mut rng, DEVIATION * libm::sqrt(3.0)).take(count);
            values.for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
    }
    BaseWeights::open(bytes, config)
}

/// The weights of layer norms are the only ones that are vectors.
fn is_norm_weight(name: &str, shape: &[usize]) -> bool {
    name.ends_with(".weight") && shape.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for (name, shape) in Shape::NAMES {
            assert_eq!(shape.to_string(), name);
            assert_eq!(name.parse(), Ok(shape));
            shape.config().check().unwrap();
        }
        assert!("bert-large".parse::<Shape>().unwrap_err().contains("minilm, bert-base or tiny"));
    }

    #[test]
    fn weights_are_those_that_the_encoder_needs() {
        let config = Shape::Tiny.config();
        let mut weights = random_weights(&config, 1).unwrap();
        for (name, shape) in expected_tensors(&config) {
            let tensor = weights.take(&name).unwrap();
            assert_eq!(tensor.shape, shape);
            let square = tensor.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let size = (square / tensor.data.len() as f64).sqrt();
            if is_norm_weight(&name, &shape) {
                assert!(tensor.data.iter().all(|&x| x == 1.0), "{name}");
            } else if name.ends_with(".bias") {
                assert_eq!(size, 0.0, "{name}");
            } else {
                assert!((0.017..0.023).contains(&size), "{name}: {size}");
            }
        }
        let again = random_weights(&config, 1).unwrap().take("embeddings.word_embeddings.weight");
        let other = random_weights(&config, 2).unwrap().take("embeddings.word_embeddings.weight");
        assert_ne!(again.unwrap(), other.unwrap());
    }
}
