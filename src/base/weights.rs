//! The encoder's tensors in `model.safetensors`, by the names of Transformers' BertModel.

use std::collections::{BTreeMap, BTreeSet};

use super::stream::WeightStream;
use super::{BaseError, BertConfig, HostTensor, Origin, TensorEntry};
use crate::packed::{Packed, Precision};

/// Every tensor that the encoder needs, with its shape, in order of computation. Linear weights are
/// `[out, in]`.
#[must_use]
pub fn expected_tensors(config: &BertConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut tensors = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![config.vocab_size, hidden]),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![config.max_position_embeddings, hidden],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![config.type_vocab_size, hidden],
        ),
    ];
    let mut pair = |name: String, weight: Vec<usize>| {
        let bias = vec![weight[0]];
        tensors.push((format!("{name}.weight"), weight));
        tensors.push((format!("{name}.bias"), bias));
    };
    pair("embeddings.LayerNorm".to_owned(), vec![hidden]);
    for layer in 0..config.num_hidden_layers {
        let parts = [
            ("attention.self.query", vec![hidden, hidden]),
            ("attention.self.key", vec![hidden, hidden]),
            ("attention.self.value", vec![hidden, hidden]),
            ("attention.output.dense", vec![hidden, hidden]),
            ("attention.output.LayerNorm", vec![hidden]),
            ("intermediate.dense", vec![inner, hidden]),
            ("output.dense", vec![hidden, inner]),
            ("output.LayerNorm", vec![hidden]),
        ];
        for (part, weight) in parts {
            pair(format!("encoder.layer.{layer}.{part}"), weight);
        }
    }
    tensors
}

/// The tensors of BERT's masked-language head, which not every base has. The rows that tokens are told
/// apart by are the word embeddings, as in every BERT that ties the two.
pub(super) fn masked_head_tensors(config: &BertConfig) -> [(&'static str, Vec<usize>); 5] {
    let hidden = config.hidden_size;
    [
        ("cls.predictions.transform.dense.weight", vec![hidden, hidden]),
        ("cls.predictions.transform.dense.bias", vec![hidden]),
        ("cls.predictions.transform.LayerNorm.weight", vec![hidden]),
        ("cls.predictions.transform.LayerNorm.bias", vec![hidden]),
        ("cls.predictions.bias", vec![config.vocab_size]),
    ]
}

/// The encoder's tensors in host memory, checked against the configuration.
#[derive(Debug, Clone)]
pub struct BaseWeights {
    tensors: BTreeMap<String, (Vec<usize>, Packed)>,
    taken: BTreeSet<String>,
    ignored: Vec<String>,
    entries: BTreeMap<String, TensorEntry>,
    origin: Option<Origin>,
}

impl BaseWeights {
    /// Opens `model.safetensors` and checks that it holds every tensor of the encoder in the right
    /// shape, in f32, f16 or bf16, or linear weights in 8 bits as LoRB writes them, finite throughout.
    ///
    /// Names may carry the prefix `bert.`; `LayerNorm.gamma` and `LayerNorm.beta` of old files
    /// stand for weight and bias. A masked-language head is kept where it is whole; other heads, the
    /// pooler and stored position ids are left aside, see [`BaseWeights::ignored`].
    ///
    /// # Errors
    /// [`BaseError`] names the first tensor at fault. A tensor of the encoder that the
    /// configuration does not account for is an error too: leaving out a layer in silence would
    /// change every score.
    pub fn open(bytes: Vec<u8>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut stream = WeightStream::new(config, Precision::F32, Some(bytes.len() as u64));
        stream.push(&bytes)?;
        drop(bytes);
        stream.finish()
    }

    pub(super) fn new(
        tensors: BTreeMap<String, (Vec<usize>, Packed)>,
        ignored: Vec<String>,
        entries: BTreeMap<String, TensorEntry>,
        origin: Option<Origin>,
    ) -> Self {
        Self { tensors, taken: BTreeSet::new(), ignored, entries, origin }
    }

    /// Hands a tensor over in full; each can be taken once.
    ///
    /// # Errors
    /// [`BaseError::Taken`] the second time, [`BaseError::MissingTensor`] for a name that is none
    /// of the encoder's.
    pub fn take(&mut self, name: &str) -> Result<HostTensor, BaseError> {
        let (shape, packed) = self.remove(name)?;
        Ok(HostTensor { shape, data: packed.into_f32() })
    }

    /// Hands a tensor over as it is kept; each can be taken once.
    ///
    /// # Errors
    /// As for [`BaseWeights::take`].
    pub fn take_packed(&mut self, name: &str) -> Result<Packed, BaseError> {
        self.remove(name).map(|(_, packed)| packed)
    }

    /// A copy of a tensor in full, which stays where it is.
    ///
    /// # Errors
    /// As for [`BaseWeights::take`].
    pub fn get(&self, name: &str) -> Result<HostTensor, BaseError> {
        match self.tensors.get(name) {
            Some((shape, packed)) => {
                Ok(HostTensor { shape: shape.clone(), data: packed.clone().into_f32() })
            }
            None => Err(self.absent(name)),
        }
    }

    fn absent(&self, name: &str) -> BaseError {
        let name = name.to_owned();
        if self.taken.contains(&name) {
            BaseError::Taken { name }
        } else {
            BaseError::MissingTensor { name, hint: String::new() }
        }
    }

    fn remove(&mut self, name: &str) -> Result<(Vec<usize>, Packed), BaseError> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(self.absent(name));
        };
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }

    /// Drops what a base of fewer layers has not.
    pub(super) fn keep_layers(&mut self, count: usize) {
        let layer = |name: &str| -> Option<usize> {
            name.strip_prefix("encoder.layer.")?.split('.').next()?.parse().ok()
        };
        self.tensors.retain(|name, _| layer(name).is_none_or(|layer| layer < count));
    }

    /// Whether the file has BERT's masked-language head, whole and not taken yet.
    #[must_use]
    pub fn has_masked_head(&self) -> bool {
        self.tensors.contains_key("cls.predictions.bias")
    }

    /// Names in the file that are not used: other heads, pooler, stored position ids.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Every tensor of the file by its stored name, with type and shape.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// The base that this one was made from, where LoRB wrote it in fewer bits.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}
