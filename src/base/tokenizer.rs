//! The base's tokenizer.

mod added;
mod bert;
mod file;
// It needs the `tokenizers` crate.
#[cfg(any(not(target_family = "wasm"), feature = "tokenizers"))]
mod general;
#[cfg(all(target_family = "wasm", not(feature = "tokenizers")))]
#[path = "tokenizer/absent.rs"]
mod general;
mod given;
mod normalize;
mod read;
mod settings;
mod template;
#[cfg(test)]
mod tests;
mod vocabulary;
mod word_piece;

#[cfg(not(target_family = "wasm"))]
use std::collections::HashMap;
use std::sync::Arc;

use super::{BaseError, BertConfig};
use given::Given;
pub use given::Tokenize;
use read::Read;

/// The files of a tokenizer, as bytes: `json`, `vocab`, `vocab_json` with `merges` or `sentence_piece`, and what the base has
/// of the others. The class of the tokenizer decides which of them it reads without a `json`.
///
/// The others count as in Transformers: whether text is lower-cased, for example, follows from `tokenizer_config.json` or its
/// defaults, even if `tokenizer.json` says something else.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`.
    pub json: Option<&'a [u8]>,
    /// `vocab.txt`, one word piece per line; not used if there is a `tokenizer.json`.
    pub vocab: Option<&'a [u8]>,
    /// `vocab.json`, the pieces of a byte-level BPE and their ids; not used if there is a `tokenizer.json`.
    pub vocab_json: Option<&'a [u8]>,
    /// `merges.txt`, the merges of the same tokenizer.
    pub merges: Option<&'a [u8]>,
    /// `sentencepiece.bpe.model`, the pieces of a Unigram tokenizer; not used if there is a `tokenizer.json`.
    pub sentence_piece: Option<&'a [u8]>,
    /// `tokenizer_config.json`.
    pub config: Option<&'a [u8]>,
    /// `special_tokens_map.json`.
    pub special_tokens: Option<&'a [u8]>,
    /// `added_tokens.json`.
    pub added_tokens: Option<&'a [u8]>,
}

impl<'a> TokenizerFiles<'a> {
    /// Only a `tokenizer.json`.
    #[must_use]
    pub fn json(bytes: &'a [u8]) -> Self {
        Self { json: Some(bytes), ..Self::default() }
    }

    /// Only a `vocab.txt`.
    #[must_use]
    pub fn vocab(bytes: &'a [u8]) -> Self {
        Self { vocab: Some(bytes), ..Self::default() }
    }

    /// The names of all files.
    pub const NAMES: [&'static str; 8] = [
        "tokenizer.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ];

    /// The files that `file` returns for their names.
    #[must_use]
    pub fn named(file: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let [json, vocab, vocab_json, merges, sentence_piece, config, special_tokens, added_tokens] =
            Self::NAMES.map(file);
        Self {
            json,
            vocab,
            vocab_json,
            merges,
            sentence_piece,
            config,
            special_tokens,
            added_tokens,
        }
    }
}

/// A tokenised text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `[CLS]`, word pieces, `[SEP]`: 2 to `max_tokens` ids below `vocab_size`.
    pub ids: Vec<u32>,
    /// Whether the text was truncated.
    pub truncated: bool,
}

/// Maps text to word-piece ids.
#[derive(Debug, Clone)]
pub struct BertTokenizer(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Read(Box<Read>),
    Given(Given),
}

impl BertTokenizer {
    /// Reads a tokenizer and checks it against the base: every id that it can produce has a row in the token
    /// embedding. Truncation and padding settings of `tokenizer.json` are ignored: LoRB packs without padding and truncates
    /// at the base's limit, or at `model_max_length` if that is less.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the vocabulary is malformed, has parts that LoRB does not support, or lacks the tokens
    /// around a text, [`BaseError::TokenizerJson`] and [`BaseError::TokenizerSetting`] for the other files,
    /// [`BaseError::VocabularyTooLarge`] when an id has no row in the token embedding, and
    /// [`BaseError::OtherTokenizer`] in a build without the feature `tokenizers` on wasm.
    pub fn from_files(files: TokenizerFiles<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        Ok(Self(Kind::Read(Box::new(Read::from_files(files, config)?))))
    }

    /// A tokenizer that the caller provides, for the base with this configuration.
    #[must_use]
    pub fn given(tokenizer: Arc<dyn Tokenize>, config: &BertConfig) -> Self {
        Self(Kind::Given(Given::new(tokenizer, config)))
    }

    /// What the user should know about the files: settings that do not count because another file overrules them.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        match &self.0 {
            Kind::Read(read) => &read.notes,
            Kind::Given(given) => &given.notes,
        }
    }

    /// Tokenises one text as Transformers does, with `[CLS]` before and `[SEP]` after it. An empty text
    /// gives these two. The work does not depend on what follows the limit.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if a word is unknown and the vocabulary has no token for unknown words.
    pub fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        match &self.0 {
            Kind::Read(read) => read.encode(text),
            Kind::Given(given) => given.encode(text),
        }
    }

    /// The id of the mask token, `[MASK]` in most bases.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if the vocabulary has no such token.
    pub fn mask(&self) -> Result<u32, BaseError> {
        match &self.0 {
            Kind::Read(read) => read.mask(),
            Kind::Given(given) => given.mask(),
        }
    }

    /// Word pieces and added tokens with their ids; `None` if this is not a WordPiece tokenizer of BERT's kind.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn word_pieces(&self) -> Option<HashMap<&str, u32>> {
        match &self.0 {
            Kind::Read(read) => read.word_pieces(),
            Kind::Given(_) => None,
        }
    }

    /// Number of word pieces, including added tokens.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        match &self.0 {
            Kind::Read(read) => read.vocabulary_size(),
            Kind::Given(given) => given.vocabulary_size(),
        }
    }
}
