//! Tokenizers of other kinds than BERT's: WordPiece with other rules, Unigram as multilingual bases have it, and
//! byte-pair encoding as RoBERTa has it.
//!
//! Normalisation and splitting into words use the `tokenizers` crate, whose types assume that a file is sound. Every
//! part is therefore parsed and checked here, and built from the checked values. The crate never sees the file. A part
//! that is not listed here is an error that names it.
//!
//! Two bounds limit the work for a text: the length of what is read of it, and its length after every step of the
//! normalisation.

mod bpe;
mod charsmap;
mod converted;
mod normalizer;
mod pattern;
mod sentencepiece;
mod unigram;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::added::{AddedToken, AddedTokens, Part};
use super::file::{File, at, part_of};
use super::word_piece::{WordPiece, WordPieceFile};
use crate::bounds::MAX_GENERAL_TEXT_BYTES;
use bpe::{Bpe, BpeFile};
pub use converted::{Converted, byte_level, unigram};
use normalizer::Normalizer;
use unigram::{Unigram, UnigramFile};
use words::Splitter;

/// Whether this build has these tokenizers.
pub const PRESENT: bool = true;

/// A tokenizer that is not BERT's own.
#[derive(Debug, Clone)]
pub struct General {
    normalizer: Normalizer,
    splitter: Splitter,
    model: Model,
    added: AddedTokens,
}

#[derive(Debug, Clone)]
enum Model {
    WordPiece(WordPiece),
    Unigram(Unigram),
    Bpe(Bpe),
}

impl General {
    /// A file of another kind. `prefix` is whether a space is added before a text, if the file does not decide it; `tokens`
    /// returns the added tokens in their order, given whether the vocabulary has a piece. Also returns whether `prefix`
    /// overrules the file.
    pub fn new(
        file: &File<'_>,
        prefix: Option<bool>,
        tokens: impl FnOnce(&dyn Fn(&str) -> bool) -> Vec<AddedToken>,
    ) -> Result<(Self, bool), String> {
        let normalizer = match file.normalizer {
            Some(part) => Normalizer::new(part_of("normalizer", part)?)?,
            None => Normalizer::default(),
        };
        let splitter = match file.pre_tokenizer {
            Some(part) => Splitter::new(part_of("pre_tokenizer", part)?, prefix)?,
            None => Splitter::default(),
        };
        let (kind, text) = (file.model_kind()?, file.model.get());
        let model = match kind.as_str() {
            "WordPiece" => {
                let model = serde_json::from_str::<WordPieceFile>(text);
                Model::WordPiece(model.map_err(|error| at("model", &error))?.build()?)
            }
            "Unigram" => {
                let model = serde_json::from_str::<UnigramFile>(text);
                Model::Unigram(model.map_err(|error| at("model", &error))?.build()?)
            }
            "BPE" => {
                let model = serde_json::from_str::<BpeFile>(text);
                Model::Bpe(model.map_err(|error| at("model", &error))?.build()?)
            }
            other => {
                return Err(format!(
                    "its model is {other:?}; LoRB reads WordPiece, Unigram and BPE"
                ));
            }
        };
        let size = match &model {
            Model::WordPiece(model) => model.len(),
            Model::Unigram(model) => model.size(),
            Model::Bpe(model) => model.len(),
        };
        let tokens = tokens(&|piece| model.id(piece).is_some());
        let normalize = |text: &str| guarded(|| normalizer.apply(text));
        let added = AddedTokens::new(tokens, size, |piece| model.id(piece), normalize)?;
        let overruled = splitter.overruled;
        Ok((Self { normalizer, splitter, model, added }, overruled))
    }

    /// Ids of the text's word pieces: all, or the first ones, more than `enough`; and whether only the beginning of the
    /// text was read.
    pub fn pieces(&self, text: &str, enough: usize) -> Result<(Vec<u32>, bool), String> {
        let read = beginning(text);
        let truncated = !text[read.len()..].trim().is_empty();
        let ids = guarded(|| self.ids(read, enough))?;
        Ok((ids, truncated))
    }

    fn ids(&self, text: &str, enough: usize) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        for part in self.added.verbatim.split(text) {
            let (start, text) = match part {
                Part::Token(id) => {
                    ids.push(id);
                    continue;
                }
                Part::Text(start, text) => (start, self.normalizer.apply(text)?),
            };
            for part in self.added.normalized.split(&text) {
                match part {
                    Part::Token(id) => ids.push(id),
                    Part::Text(at, text) => {
                        let append = |word: &str| {
                            match &self.model {
                                Model::WordPiece(model) => model.append(word, &mut ids)?,
                                Model::Unigram(model) => model.append(word, &mut ids)?,
                                Model::Bpe(model) => model.append(word, &mut ids)?,
                            }
                            Ok(ids.len() <= enough)
                        };
                        self.splitter.each_word(text, start == 0 && at == 0, append)?;
                    }
                }
            }
            if ids.len() > enough {
                break;
            }
        }
        Ok(ids)
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.model.id(token))
    }

    /// All word pieces, then the added tokens, which may be pieces too.
    pub fn pieces_and_tokens(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match &self.model {
            Model::WordPiece(model) => Box::new(model.pieces().chain(self.added.pieces())),
            Model::Unigram(model) => Box::new(model.pieces().chain(self.added.pieces())),
            Model::Bpe(model) => Box::new(model.pieces().chain(self.added.pieces())),
        }
    }

    /// Number of word pieces, including added tokens.
    pub fn len(&self) -> usize {
        let known = self.pieces_and_tokens().map(|(token, _)| token);
        known.collect::<std::collections::HashSet<_>>().len()
    }
}

impl Model {
    fn id(&self, piece: &str) -> Option<u32> {
        match self {
            Self::WordPiece(model) => model.id(piece),
            Self::Unigram(model) => model.id(piece),
            Self::Bpe(model) => model.id(piece),
        }
    }
}

/// The part of a text that is read: whole words, if it has any.
fn beginning(text: &str) -> &str {
    if text.len() <= MAX_GENERAL_TEXT_BYTES {
        return text;
    }
    let read = &text[..text.floor_char_boundary(MAX_GENERAL_TEXT_BYTES)];
    match read.rfind(char::is_whitespace) {
        Some(end) if end > 0 => &read[..end],
        _ => read,
    }
}

/// Converts a panic of the `tokenizers` crate to an error. No file is known to cause one: this is in addition to the
/// checks.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("its rules cannot be applied to a text".to_owned()))
}
