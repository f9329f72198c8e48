//! A pretrained encoder in bytes: configuration, tokenizer and tensors, all checked before anything is
//! computed.

pub mod arch;
mod config;
mod error;
mod origin;
mod stream;
mod survey;
mod tensor_file;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;
mod weights;
mod write;

pub use arch::Architecture;
pub use config::BertConfig;
pub use error::BaseError;
pub use origin::Origin;
pub use stream::WeightStream;
pub use tensor_file::{HostTensor, TensorEntry, TensorFault, TensorFile, write_f32};
pub use tokenizer::{BertTokenizer, Encoded, TokenizerFile};
pub use weights::{BaseWeights, expected_tensors};

use sha2::{Digest, Sha256};

use crate::digest::{hex, sha256};

use crate::packed::Precision;

/// The files of a base, in bytes.
#[derive(Debug)]
pub struct BaseFiles<'a> {
    /// `config.json`.
    pub config: &'a [u8],
    /// `tokenizer.json`, or else `vocab.txt`.
    pub tokenizer: TokenizerFile<'a>,
    /// `model.safetensors`; owned, so that it is not held twice.
    pub weights: Vec<u8>,
}

/// A base ready to be built into an encoder.
#[derive(Debug, Clone)]
pub struct Base {
    /// Sizes and constants.
    pub config: BertConfig,
    /// Text to ids.
    pub tokenizer: BertTokenizer,
    /// The encoder's tensors.
    pub weights: BaseWeights,
    /// SHA-256 of `model.safetensors`, 64 hexadecimal digits, or of the file that it was made from
    /// where LoRB wrote it in fewer bits; an adapter remembers it.
    pub hash: String,
}

impl Base {
    /// Reads and checks a base.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the key, token or tensor at fault.
    pub fn from_files(files: BaseFiles<'_>) -> Result<Self, BaseError> {
        let BaseFiles { config, tokenizer, weights } = files;
        let total = Some(weights.len() as u64);
        let mut stream = BaseStream::new(config, tokenizer, Precision::F32, total)?;
        stream.push(&weights)?;
        drop(weights);
        stream.finish()
    }

    /// The same base without the layers above the first `count`: a smaller encoder of the same
    /// pretraining. Its hash is another, so that no adapter is taken for one of the whole base.
    ///
    /// # Errors
    /// [`BaseError::Layers`] for none, or for more than there are.
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

/// A base whose weights arrive piece by piece.
#[derive(Debug)]
pub struct BaseStream {
    config: BertConfig,
    tokenizer: BertTokenizer,
    weights: WeightStream,
    hasher: Sha256,
}

impl BaseStream {
    /// Reads and checks the small files. Linear weights will be kept in `precision`; `length` is that of
    /// `model.safetensors`, where it is known beforehand.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the key or token at fault.
    pub fn new(
        config: &[u8],
        tokenizer: TokenizerFile<'_>,
        precision: Precision,
        length: Option<u64>,
    ) -> Result<Self, BaseError> {
        let config = BertConfig::from_json(config)?;
        let tokenizer = BertTokenizer::from_file(tokenizer, &config)?;
        let weights = WeightStream::new(&config, precision, length);
        Ok(Self { config, tokenizer, weights, hasher: Sha256::new() })
    }

    /// Takes the next bytes of `model.safetensors`.
    ///
    /// # Errors
    /// [`BaseError`] names the first tensor at fault; after an error the stream is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BaseError> {
        self.hasher.update(bytes);
        self.weights.push(bytes)
    }

    /// SHA-256 of the bytes so far, 64 hexadecimal digits.
    #[must_use]
    pub fn file_hash(&self) -> String {
        hex(self.hasher.clone())
    }

    /// The base, once all bytes were taken.
    ///
    /// # Errors
    /// [`BaseError::Tensor`] when bytes are missing.
    pub fn finish(self) -> Result<Base, BaseError> {
        let file_hash = self.file_hash();
        let Self { config, tokenizer, weights, .. } = self;
        let weights = weights.finish()?;
        let hash = weights.origin().map_or(file_hash, |origin| origin.base_sha256.clone());
        Ok(Base { config, tokenizer, weights, hash })
    }
}
