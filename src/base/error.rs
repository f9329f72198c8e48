//! Errors in a base.

use super::TensorFault;
use crate::foreign::Foreign;

/// Why a base cannot be used. Each message names the invalid part of the file; the caller adds the path.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BaseError {
    /// `config.json` is not a JSON object.
    #[error("config.json: not valid JSON: {0}")]
    ConfigJson(String),
    /// A value of `config.json` is missing, malformed or not supported.
    #[error("config.json: `{key}` {what}")]
    Config {
        /// The invalid key.
        key: &'static str,
        /// The problem.
        what: String,
    },
    /// LoRB does not support the architecture.
    #[error(
        "config.json: model_type {model_type:?} is not supported: {why}. Use a base of model_type {known}"
    )]
    Architecture {
        /// The model type in the file.
        model_type: String,
        /// Why LoRB does not support it.
        why: &'static str,
        /// The model types that LoRB supports.
        known: String,
    },
    /// A file of text is of another kind.
    #[error("{file}: {what}")]
    Foreign {
        /// Name of the file.
        file: &'static str,
        /// What it is instead.
        #[source]
        what: Foreign,
    },
    /// The tensors that the encoder does not use are too large.
    #[error(
        "model.safetensors: {bytes} bytes belong to tensors that the encoder does not use, such as `{name}`; expected at most \
         {limit}"
    )]
    TooMuchUnused {
        /// Bytes of these tensors.
        bytes: u64,
        /// The largest of them.
        name: String,
        /// Maximum.
        limit: u64,
    },
    /// The tokenizer file is invalid or does not match the base.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The tokenizer has an id without a row in the token embedding.
    #[error(
        "tokenizer: token {token:?} has id {id}, but the base has {vocab_size} embeddings; do tokenizer and weights belong to the same model?"
    )]
    VocabularyTooLarge {
        /// The word piece.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the token embedding.
        vocab_size: usize,
    },
    /// The container of the weights is damaged, or a tensor in it cannot be read.
    #[error("model.safetensors: {0}")]
    Tensor(#[from] TensorFault),
    /// The `lorb` section of the weights' metadata is malformed.
    #[error("model.safetensors: metadata `lorb`: {0}")]
    Metadata(String),
    /// A tensor of the encoder is missing.
    #[error("model.safetensors: tensor `{name}` is missing{hint}")]
    MissingTensor {
        /// Name without prefix.
        name: String,
        /// What was found instead, or empty.
        hint: String,
    },
    /// A tensor has values that f16 cannot represent.
    #[error(
        "tensor `{name}` has a value beyond 65504, which f16 cannot represent; use f32 for this base"
    )]
    TooLarge {
        /// Name without prefix.
        name: String,
    },
    /// A tensor was already taken and its memory released.
    #[error("tensor `{name}` was already taken")]
    Taken {
        /// Name without prefix.
        name: String,
    },
    /// More layers were requested than the base has, or none.
    #[error("it has {found} layers, so its first {wanted} cannot be used; expected 1 to {found}")]
    Layers {
        /// Requested layers.
        wanted: usize,
        /// Layers of the base.
        found: usize,
    },
    /// Two tensors of the file have the same meaning.
    #[error("model.safetensors: tensors `{first}` and `{second}` both mean `{name}`")]
    Ambiguous {
        /// Name without prefix.
        name: String,
        /// One name in the file.
        first: String,
        /// The other name in the file.
        second: String,
    },
    /// A tensor's shape does not match `config.json`.
    #[error(
        "model.safetensors: tensor `{name}` has shape {found:?}; config.json requires {expected:?}"
    )]
    Shape {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape required by the configuration.
        expected: Vec<usize>,
    },
    /// The file has an encoder tensor that is not part of the configuration.
    #[error(
        "model.safetensors: tensor `{name}` is not part of the encoder described by config.json ({hint})"
    )]
    Unexpected {
        /// Name in the file.
        name: String,
        /// What was expected.
        hint: String,
    },
}
