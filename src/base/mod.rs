//! A pretrained BERT in bytes: configuration, tokenizer and tensors, all checked before anything is
//! computed.

mod config;
mod error;
mod tensor_file;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;
mod weights;

pub use config::BertConfig;
pub use error::BaseError;
pub use tensor_file::{HostTensor, TensorEntry, TensorFault, TensorFile, write_f32};
pub use tokenizer::{BertTokenizer, Encoded, TokenizerFile};
pub use weights::{BaseWeights, expected_tensors};

use sha2::{Digest, Sha256};

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

/// A BERT ready to be built into an encoder.
#[derive(Debug, Clone)]
pub struct Base {
    /// Sizes and constants.
    pub config: BertConfig,
    /// Text to ids.
    pub tokenizer: BertTokenizer,
    /// The encoder's tensors.
    pub weights: BaseWeights,
    /// SHA-256 of `model.safetensors`, 64 hexadecimal digits; an adapter remembers it.
    pub hash: String,
}

impl Base {
    /// Reads and checks a base.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the key, token or tensor at fault.
    pub fn from_files(files: BaseFiles<'_>) -> Result<Self, BaseError> {
        let config = BertConfig::from_json(files.config)?;
        let tokenizer = BertTokenizer::from_file(files.tokenizer, &config)?;
        let hash =
            Sha256::digest(&files.weights).iter().map(|byte| format!("{byte:02x}")).collect();
        let weights = BaseWeights::open(files.weights, &config)?;
        Ok(Self { config, tokenizer, weights, hash })
    }
}
