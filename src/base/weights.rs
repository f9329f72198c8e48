//! The encoder's tensors in `model.safetensors`, by the names of its architecture in Transformers.

use std::collections::{BTreeMap, BTreeSet};

use super::arch::{Architecture, MaskedHeadNames};
use super::stream::WeightStream;
use super::{BaseError, BertConfig, HostTensor, Origin, TensorEntry};
use crate::packed::{Format, Packed};

/// Every tensor that the encoder needs, with its shape, in order of computation. Linear weights are
/// `[out, in]`.
#[must_use]
pub fn expected_tensors(config: &BertConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let width = config.embedding_width();
    let architecture = config.architecture;
    let (embeddings, layer) = (&architecture.embeddings, &architecture.layer);
    let tables = [
        (Some(embeddings.words), config.vocab_size),
        (embeddings.positions, config.max_position_embeddings),
        (embeddings.types, config.type_vocab_size),
    ];
    let mut tensors = Vec::new();
    for (module, rows) in tables {
        tensors.extend(module.map(|module| (format!("{module}.weight"), vec![rows, width])));
    }
    let mut pair = |module: String, weight: Vec<usize>| {
        let bias = vec![weight[0]];
        tensors.push((format!("{module}.weight"), weight));
        if architecture.has_biases() {
            tensors.push((format!("{module}.bias"), bias));
        }
    };
    pair(embeddings.norm.to_owned(), vec![width]);
    if let Some(module) = config.projection() {
        pair(module.to_owned(), vec![hidden, width]);
    }
    let mut parts = match architecture.joins_projections() {
        true => vec![(layer.query.path, vec![3 * hidden, hidden])],
        false => [layer.query, layer.key, layer.value]
            .map(|projection| (projection.path, vec![hidden, hidden]))
            .to_vec(),
    };
    let gated = if architecture.has_gate() { 2 * inner } else { inner };
    parts.extend([
        (layer.attention_output.path, vec![hidden, hidden]),
        (layer.attention_norm, vec![hidden]),
        (layer.intermediate.path, vec![gated, hidden]),
        (layer.output.path, vec![hidden, inner]),
        (layer.output_norm, vec![hidden]),
    ]);
    for index in 0..config.num_hidden_layers {
        for (path, weight) in &parts {
            if *path != layer.attention_norm || architecture.has_attention_norm(index) {
                pair(architecture.module(index, path), weight.clone());
            }
        }
    }
    if let Some(module) = architecture.last_norm() {
        pair(module.to_owned(), vec![hidden]);
    }
    tensors
}

/// The tensors of the masked-language-model head, which is optional. The rows that tokens are told
/// apart by are the word embeddings, as in every base that ties the two.
pub(super) fn masked_head_tensors(config: &BertConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, width) = (config.hidden_size, config.embedding_width());
    let MaskedHeadNames { dense, norm, bias } = config.architecture.masked_head;
    let mut tensors = vec![
        (format!("{dense}.weight"), vec![width, hidden]),
        (format!("{norm}.weight"), vec![width]),
        (bias.to_owned(), vec![config.vocab_size]),
    ];
    if config.architecture.has_biases() {
        tensors.extend([dense, norm].map(|module| (format!("{module}.bias"), vec![width])));
    }
    tensors
}

/// The encoder's tensors in host memory, validated against the configuration.
#[derive(Debug, Clone)]
pub struct BaseWeights {
    architecture: &'static Architecture,
    tensors: BTreeMap<String, (Vec<usize>, Packed)>,
    taken: BTreeSet<String>,
    ignored: Vec<String>,
    entries: BTreeMap<String, TensorEntry>,
    origin: Option<Origin>,
}

impl BaseWeights {
    /// Opens `model.safetensors` and checks that it contains every tensor of the encoder with the right shape and
    /// finite values, in f64, f32, f16 or bf16, or int8 linear weights as LoRB writes them.
    ///
    /// Names may have one prefix, such as that of models with a head (`bert.`) or of modules around them (`module.`,
    /// `0.auto_model.`); BERT's old suffixes `LayerNorm.gamma` and
    /// `LayerNorm.beta` mean weight and bias. A complete masked-language-model head is kept; other heads, the pooler
    /// and stored position ids are ignored, see [`BaseWeights::ignored`].
    ///
    /// # Errors
    /// [`BaseError`] names the first invalid tensor. An encoder tensor outside the configuration is also an error,
    /// because silently ignoring a layer would change every score.
    pub fn open(bytes: Vec<u8>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut stream = WeightStream::new(config, Format::F32, Some(bytes.len() as u64));
        stream.push(&bytes)?;
        drop(bytes);
        stream.finish()
    }

    pub(super) fn new(
        architecture: &'static Architecture,
        tensors: BTreeMap<String, (Vec<usize>, Packed)>,
        ignored: Vec<String>,
        entries: BTreeMap<String, TensorEntry>,
        origin: Option<Origin>,
    ) -> Self {
        Self { architecture, tensors, taken: BTreeSet::new(), ignored, entries, origin }
    }

    /// Takes a tensor as f32; each can be taken only once.
    ///
    /// # Errors
    /// [`BaseError::Taken`] the second time, [`BaseError::MissingTensor`] for an unknown name.
    pub fn take(&mut self, name: &str) -> Result<HostTensor, BaseError> {
        let (shape, packed) = self.remove(name)?;
        Ok(HostTensor { shape, data: packed.into_f32() })
    }

    /// Takes a tensor in its stored format; each can be taken only once.
    ///
    /// # Errors
    /// As for [`BaseWeights::take`].
    pub fn take_packed(&mut self, name: &str) -> Result<Packed, BaseError> {
        self.remove(name).map(|(_, packed)| packed)
    }

    /// Copies a tensor as f32 without taking it.
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

    /// Replaces the values of a tensor, row-major; it is then stored in f32.
    ///
    /// # Errors
    /// As for [`BaseWeights::take`], and [`BaseError::Shape`] for another number of values.
    pub fn set(&mut self, name: &str, values: Vec<f32>) -> Result<(), BaseError> {
        let Some((shape, packed)) = self.tensors.get_mut(name) else {
            return Err(self.absent(name));
        };
        if shape.iter().product::<usize>() != values.len() {
            let (name, found, expected) = (name.to_owned(), vec![values.len()], shape.clone());
            return Err(BaseError::Shape { name, found, expected });
        }
        *packed = Packed::new(values, shape.last().copied().unwrap_or(1), Format::F32);
        Ok(())
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

    /// Drops the layers after the first `count`.
    pub(super) fn keep_layers(&mut self, count: usize) {
        let layer = |name: &str| self.architecture.split(name).map(|(layer, _)| layer);
        self.tensors.retain(|name, _| layer(name).is_none_or(|layer| layer < count));
    }

    /// Whether the file has the masked-language-model head, whole and not taken yet.
    #[must_use]
    pub fn has_masked_head(&self) -> bool {
        self.tensors.contains_key(self.architecture.masked_head.bias)
    }

    /// Unused names in the file: other heads, pooler, stored position ids.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The weight of a sequence classifier that the file has, by its stored name.
    pub(super) fn classifier(&self) -> Option<&str> {
        let heads = ["classifier.weight", "score.weight", "classifier.out_proj.weight"];
        let is_head = |name: &&String| {
            let whole = |head: &str| {
                name.strip_suffix(head).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            heads.into_iter().any(whole)
        };
        self.ignored.iter().find(is_head).map(String::as_str)
    }

    /// All tensors of the file by stored name, with type and shape.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// The original of an exported base.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}
