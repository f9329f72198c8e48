//! What can be wrong with a base.

use super::TensorFault;

/// Why a base cannot be used. Each message names the file's part at fault; the door that owns the
/// files adds the path.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BaseError {
    /// `config.json` is no JSON object.
    #[error("config.json: not valid JSON: {0}")]
    ConfigJson(String),
    /// A value of `config.json` is missing, malformed or not supported.
    #[error("config.json: `{key}` {what}")]
    Config {
        /// The key at fault.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The architecture is none that LoRB computes.
    #[error(
        "config.json: model_type {model_type:?} is not supported: {why}. Use a base of model_type {known}"
    )]
    Architecture {
        /// The model type stated.
        model_type: String,
        /// Why LoRB does not compute it.
        why: &'static str,
        /// The model types that LoRB computes.
        known: String,
    },
    /// The tokenizer file cannot be read, or does not suit the base.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The tokenizer gave an id that has no row in the token embedding.
    #[error(
        "tokenizer: token {token:?} has id {id}, but the base has {vocab_size} embeddings; are tokenizer and weights of one model?"
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
    /// A tensor that the encoder needs is not there.
    #[error("model.safetensors: tensor `{name}` is missing{hint}")]
    MissingTensor {
        /// Name without prefix.
        name: String,
        /// What was found instead, or empty.
        hint: String,
    },
    /// A tensor has values that half precision cannot hold.
    #[error(
        "tensor `{name}` has a value beyond 65504, which f16 cannot hold; keep this base in f32"
    )]
    TooLarge {
        /// Name without prefix.
        name: String,
    },
    /// A tensor was taken before: its memory is released.
    #[error("tensor `{name}` was taken before")]
    Taken {
        /// Name without prefix.
        name: String,
    },
    /// Layers were asked for that are not there.
    #[error("it has {found} layers; its first {wanted} cannot be taken, but 1 to {found} can")]
    Layers {
        /// Layers asked for.
        wanted: usize,
        /// Layers of the base.
        found: usize,
    },
    /// Two tensors of the file stand for one of the encoder's.
    #[error("model.safetensors: tensors `{first}` and `{second}` both stand for `{name}`")]
    Ambiguous {
        /// Name without prefix.
        name: String,
        /// One name in the file.
        first: String,
        /// The other name in the file.
        second: String,
    },
    /// A tensor has another shape than `config.json` demands.
    #[error(
        "model.safetensors: tensor `{name}` has shape {found:?}; config.json asks for {expected:?}"
    )]
    Shape {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the configuration gives.
        expected: Vec<usize>,
    },
    /// The file holds a tensor of the encoder that `config.json` does not account for.
    #[error(
        "model.safetensors: tensor `{name}` belongs to no part of the encoder that config.json describes ({hint})"
    )]
    Unexpected {
        /// Name in the file.
        name: String,
        /// What was expected.
        hint: String,
    },
}
