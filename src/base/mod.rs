//! A pretrained encoder in bytes: configuration, tokenizer and tensors, all checked before anything is
//! computed.

pub mod arch;
mod config;
mod error;
mod header;
mod index;
mod int4;
mod origin;
mod rotary;
mod stream;
mod survey;
mod tensor_file;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;
#[cfg(not(target_family = "wasm"))]
mod torch;
mod weights;
mod write;

pub use arch::Architecture;
pub use config::BertConfig;
pub use error::{BaseError, Unnamed};
#[cfg(not(target_family = "wasm"))]
pub use index::shard_names;
pub use origin::Origin;
pub use rotary::Rotary;
pub use stream::WeightStream;
pub use tensor_file::{
    HeaderError, HostTensor, TensorEntry, TensorFault, TensorFile, read_header, write_f32,
};
pub use tokenizer::{BertTokenizer, Encoded, Tokenize, TokenizerFiles};
#[cfg(not(target_family = "wasm"))]
pub use torch::{TorchFault, TorchFile};
pub use weights::{BaseWeights, expected_tensors};
pub use write::{Export, LinearFormat, NamedFile};

use sha2::{Digest, Sha256};

use crate::digest::{hex, sha256};

use crate::packed::Format;

/// The files of a base, as bytes.
#[derive(Debug)]
pub struct BaseFiles<'a> {
    /// `config.json`.
    pub config: &'a [u8],
    /// `tokenizer.json` or `vocab.txt`, and the files next to it.
    pub tokenizer: TokenizerFiles<'a>,
    /// `model.safetensors`; owned, so that there is only one copy.
    pub weights: Vec<u8>,
}

/// A base ready to be built into an encoder.
#[derive(Debug, Clone)]
pub struct Base {
    /// Sizes and constants.
    pub config: BertConfig,
    /// The tokenizer.
    pub tokenizer: BertTokenizer,
    /// The encoder's tensors.
    pub weights: BaseWeights,
    /// SHA-256 of `model.safetensors`, 64 hexadecimal digits; of several files, that of their bytes in the order of their
    /// names; for a base written by `lorb export`, that of the original; for one with a merged adapter, a hash of both.
    /// Adapters store it.
    pub hash: String,
}

impl Base {
    /// Reads and validates a base.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the invalid key, token or tensor.
    pub fn from_files(files: BaseFiles<'_>) -> Result<Self, BaseError> {
        let BaseFiles { config, tokenizer, weights } = files;
        let total = Some(weights.len() as u64);
        let mut stream = BaseStream::new(config, tokenizer, Format::F32, total)?;
        stream.push(&weights)?;
        drop(weights);
        stream.finish()
    }

    /// What the user should know about the base: settings of its tokenizer that do not count, and a classifier that LoRB does
    /// not use. One line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let classifier = self.weights.classifier();
        let unused = classifier.map(|name| {
            format!(
                "`{name}` and the rest of its classifier are not used; adapters have a score head of their own, which reads \
                 the encoder's output at [CLS] without the classifier's dense layer"
            )
        });
        self.tokenizer.notes().iter().cloned().chain(unused).collect()
    }

    /// The base with only its first `count` layers: a smaller encoder from the same pretraining. It has another hash,
    /// so that adapters of the whole base do not fit it.
    ///
    /// # Errors
    /// [`BaseError::Layers`] if `count` is 0 or too large.
    pub fn first_layers(mut self, count: usize) -> Result<Self, BaseError> {
        let found = self.config.num_hidden_layers;
        if count == 0 || count > found {
            return Err(BaseError::Layers { wanted: count, found });
        }
        if count < found {
            self.config.num_hidden_layers = count;
            self.weights.keep_layers(count);
            self.hash = sha256(format!("{}, first {count} layers", self.hash));
        }
        Ok(self)
    }
}

/// A base whose weights arrive in chunks.
#[derive(Debug)]
pub struct BaseStream {
    config: BertConfig,
    tokenizer: BertTokenizer,
    weights: WeightStream,
    hasher: Sha256,
    /// Of the current one of several files.
    shard: Option<Sha256>,
}

impl BaseStream {
    /// Reads and validates the small files. Linear weights are stored in `format`; `length` is the length of
    /// `model.safetensors`, if known.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the invalid key or token.
    pub fn new(
        config: &[u8],
        tokenizer: TokenizerFiles<'_>,
        format: Format,
        length: Option<u64>,
    ) -> Result<Self, BaseError> {
        let config = BertConfig::from_json(config)?;
        let tokenizer = BertTokenizer::from_files(tokenizer, &config)?;
        let weights = WeightStream::new(&config, format, length);
        Ok(Self::with(config, tokenizer, weights))
    }

    /// A stream of parts that were read before, of the same base.
    #[must_use]
    pub fn with(config: BertConfig, tokenizer: BertTokenizer, weights: WeightStream) -> Self {
        Self { config, tokenizer, weights, hasher: Sha256::new(), shard: None }
    }

    /// As [`BaseStream::new`], for weights in several files, which `index` names (`model.safetensors.index.json`). Each
    /// file begins with [`BaseStream::begin_shard`], in the order of [`BaseStream::shards`].
    ///
    /// # Errors
    /// As for [`BaseStream::new`], and for an index that is malformed or lacks a tensor of the encoder.
    pub fn sharded(
        config: &[u8],
        tokenizer: TokenizerFiles<'_>,
        format: Format,
        index: &[u8],
    ) -> Result<Self, BaseError> {
        let config = BertConfig::from_json(config)?;
        let tokenizer = BertTokenizer::from_files(tokenizer, &config)?;
        let weights = WeightStream::sharded(&config, format, index)?;
        Ok(Self::with(config, tokenizer, weights))
    }

    /// Names of the files of the weights; none if they are one file.
    #[must_use]
    pub fn shards(&self) -> &[String] {
        self.weights.shards()
    }

    /// Begins the next of several files. `length` is its length, if known.
    ///
    /// # Errors
    /// [`BaseError`] if the file before it is incomplete, or if there is no other one.
    pub fn begin_shard(&mut self, length: Option<u64>) -> Result<(), BaseError> {
        self.shard = Some(Sha256::new());
        self.weights.begin_shard(length)
    }

    /// Processes the next bytes of the weights.
    ///
    /// # Errors
    /// [`BaseError`] names the first invalid tensor; after an error, the stream can no longer be used.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BaseError> {
        self.hasher.update(bytes);
        if let Some(shard) = &mut self.shard {
            shard.update(bytes);
        }
        self.weights.push(bytes)
    }

    /// SHA-256 of the bytes so far, of the current file if there are several; 64 hexadecimal digits.
    #[must_use]
    pub fn file_hash(&self) -> String {
        hex(self.shard.as_ref().unwrap_or(&self.hasher).clone())
    }

    /// The base, after all bytes.
    ///
    /// # Errors
    /// [`BaseError::Tensor`] if bytes are missing.
    pub fn finish(self) -> Result<Base, BaseError> {
        let Self { config, tokenizer, weights, hasher, .. } = self;
        let weights = weights.finish()?;
        let file_hash = hex(hasher);
        let hash = weights.origin().map_or(file_hash, |origin| origin.base_sha256.clone());
        Ok(Base { config, tokenizer, weights, hash })
    }
}
