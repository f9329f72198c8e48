//! Errors in a base.

use std::error::Error;
use std::fmt;

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
    /// A file of settings of the tokenizer is not a JSON object.
    #[error("{file}: {what}")]
    TokenizerJson {
        /// Name of the file.
        file: &'static str,
        /// The problem.
        what: String,
    },
    /// A setting of the tokenizer is malformed or not supported.
    #[error("{file}: `{key}` {what}")]
    TokenizerSetting {
        /// Name of the file.
        file: &'static str,
        /// The setting, or the token.
        key: String,
        /// The problem, and what to do.
        what: String,
    },
    /// The tokenizer file is invalid or does not match the base.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The tokenizer is not of BERT's own kind, and this build reads no others: a wasm module without the feature
    /// `tokenizers`.
    #[error("the tokenizer is not of BERT's own kind; this build reads no others")]
    OtherTokenizer,
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
    /// The index of the weights' files is malformed, or does not match them.
    #[error("{file}: {what}")]
    Index {
        /// Name of the index.
        file: &'static str,
        /// The problem.
        what: String,
    },
    /// A base is to be written in more files than readers accept.
    #[error("the weights would be {count} files; at most {limit} are read, so use larger ones")]
    TooManyShards {
        /// Files.
        count: usize,
        /// Maximum.
        limit: usize,
    },
    /// An error in weights that are not in `model.safetensors`.
    #[error("{file}: {error}")]
    Within {
        /// Name of the file.
        file: String,
        /// The error.
        #[source]
        error: Unnamed,
    },
    /// A file of `torch.save` is damaged, or has something else than weights.
    #[cfg(not(target_family = "wasm"))]
    #[error("{file}: {fault}")]
    Torch {
        /// Name of the file.
        file: String,
        /// The problem.
        #[source]
        fault: super::TorchFault,
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

/// How messages about the weights begin.
const WEIGHTS: &str = "model.safetensors: ";

impl BaseError {
    /// The error in a file with another name than `model.safetensors`. Errors that do not name it stay the same.
    pub(super) fn within(self, file: &str) -> Self {
        if !self.to_string().starts_with(WEIGHTS) {
            return self;
        }
        Self::Within { file: file.to_owned(), error: Unnamed(Box::new(self)) }
    }
}

/// An error whose message does not begin with the name of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Unnamed(Box<BaseError>);

impl Unnamed {
    /// The error itself.
    #[must_use]
    pub fn error(&self) -> &BaseError {
        &self.0
    }
}

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.strip_prefix(WEIGHTS).unwrap_or(&text))
    }
}

impl Error for Unnamed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
