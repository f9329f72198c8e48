//! The encoder's tensors in `model.safetensors`, by the names of Transformers' BertModel.

use std::collections::{BTreeMap, BTreeSet};

use super::{BaseError, BertConfig, HostTensor, TensorEntry, TensorFile};

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

/// The encoder's tensors, checked against the configuration when opened and converted one by one.
///
/// The file's bytes are kept until this is dropped, and only one tensor at a time is held beside
/// them.
#[derive(Debug, Clone)]
pub struct BaseWeights {
    file: TensorFile<Vec<u8>>,
    /// Name without prefix -> name in the file.
    waiting: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    ignored: Vec<String>,
}

impl BaseWeights {
    /// Opens `model.safetensors` and checks that it holds every tensor of the encoder in the right
    /// shape, in f32, f16 or bf16, finite throughout.
    ///
    /// Names may carry the prefix `bert.`; `LayerNorm.gamma` and `LayerNorm.beta` of old files
    /// stand for weight and bias. Heads, the pooler and stored position ids are left aside, see
    /// [`BaseWeights::ignored`].
    ///
    /// # Errors
    /// [`BaseError`] names the first tensor at fault. A tensor of the encoder that the
    /// configuration does not account for is an error too: leaving out a layer in silence would
    /// change every score.
    pub fn open(bytes: Vec<u8>, config: &BertConfig) -> Result<Self, BaseError> {
        let file = TensorFile::open(bytes)?;
        let expected: BTreeMap<_, _> = expected_tensors(config).into_iter().collect();
        let mut waiting = BTreeMap::new();
        let mut ignored = Vec::new();
        for stored in file.entries().keys() {
            let name = plain_name(stored);
            if !expected.contains_key(&name) {
                refuse_unknown(stored, &name, config)?;
                ignored.push(stored.clone());
            } else if let Some(first) = waiting.insert(name.clone(), stored.clone()) {
                return Err(BaseError::Ambiguous { name, first, second: stored.clone() });
            }
        }
        for (name, shape) in expected_tensors(config) {
            let Some(stored) = waiting.get(&name) else {
                return Err(BaseError::MissingTensor { hint: near_miss(&file, &name), name });
            };
            let found = &file.entries()[stored].shape;
            if *found != shape {
                return Err(BaseError::Shape {
                    name: stored.clone(),
                    found: found.clone(),
                    expected: shape,
                });
            }
        }
        for stored in waiting.values() {
            file.check(stored)?;
        }
        Ok(Self { file, waiting, taken: BTreeSet::new(), ignored })
    }

    /// Converts the tensor to f32 and hands it over; each can be taken once.
    ///
    /// # Errors
    /// [`BaseError::Taken`] the second time, [`BaseError::MissingTensor`] for a name that is none
    /// of the encoder's.
    pub fn take(&mut self, name: &str) -> Result<HostTensor, BaseError> {
        let Some(stored) = self.waiting.remove(name) else {
            let name = name.to_owned();
            return Err(if self.taken.contains(&name) {
                BaseError::Taken { name }
            } else {
                BaseError::MissingTensor { name, hint: String::new() }
            });
        };
        self.taken.insert(name.to_owned());
        Ok(self.file.read(&stored)?)
    }

    /// Names in the file that the encoder does not use: heads, pooler, stored position ids.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Every tensor of the file by its stored name, with type and shape.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        self.file.entries()
    }
}

/// The name as BertModel has it: without the prefix of models with heads, and with today's names of
/// LayerNorm.
fn plain_name(stored: &str) -> String {
    let name = stored.strip_prefix("bert.").unwrap_or(stored);
    for (old, new) in
        [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
    {
        if let Some(head) = name.strip_suffix(old) {
            return format!("{head}{new}");
        }
    }
    name.to_owned()
}

/// Lets pass what lies beside the encoder; a tensor of the encoder itself must be known.
fn refuse_unknown(stored: &str, name: &str, config: &BertConfig) -> Result<(), BaseError> {
    let buffer = matches!(name, "embeddings.position_ids" | "embeddings.token_type_ids");
    if buffer || !(name.starts_with("embeddings.") || name.starts_with("encoder.")) {
        return Ok(());
    }
    let hint = format!("num_hidden_layers is {}", config.num_hidden_layers);
    Err(BaseError::Unexpected { name: stored.to_owned(), hint })
}

/// What the file holds under another prefix in place of a missing tensor, to put into the message.
fn near_miss(file: &TensorFile<Vec<u8>>, name: &str) -> String {
    let tail = format!(".{name}");
    match file.entries().keys().find(|k| k.ends_with(&tail)) {
        Some(other) => {
            format!(", though `{other}` is there; LoRB reads names with the prefix `bert.` or none")
        }
        None => String::new(),
    }
}
