//! The base's tokenizer.

mod added;
mod bert;
#[cfg(not(target_family = "wasm"))]
mod bpe;
mod file;
#[cfg(not(target_family = "wasm"))]
mod general;
mod normalize;
mod template;
#[cfg(test)]
mod tests;
#[cfg(not(target_family = "wasm"))]
mod unigram;
mod vocabulary;
mod word_piece;

use super::{BaseError, BertConfig, arch};
use crate::bounds::{MAX_BERT_WORD_CHARS, MAX_TOKENIZER_BYTES, MAX_VOCABULARY_BYTES};
use crate::foreign::{Expected, Foreign};
use added::AddedToken;
use bert::Bert;
use file::File;
#[cfg(not(target_family = "wasm"))]
use general::General;
use normalize::Rules;
use template::Frame;
use vocabulary::Vocabulary;
use word_piece::WordPiece;

/// The tokenizer's file.
#[derive(Debug, Clone, Copy)]
pub enum TokenizerFile<'a> {
    /// The bytes of `tokenizer.json`.
    Json(&'a [u8]),
    /// The bytes of `vocab.txt`, one word piece per line, and whether text is lower-cased and stripped of accents
    /// (`do_lower_case` in `tokenizer_config.json`, true by default).
    Vocab(&'a [u8], bool),
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
pub struct BertTokenizer {
    inner: Inner,
    tokens: &'static arch::Tokenizer,
    start: u32,
    end: u32,
    limit: usize,
}

#[derive(Debug, Clone)]
enum Inner {
    Bert(Box<Bert>),
    #[cfg(not(target_family = "wasm"))]
    General(Box<General>),
}

impl BertTokenizer {
    /// Reads a tokenizer and checks it against the base: every id that it can produce has a row in the token
    /// embedding. Truncation and padding settings of the file are ignored: LoRB packs without padding and truncates at
    /// the base's limit.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the file is malformed, has parts that LoRB does not support, or lacks the tokens
    /// around a text, [`BaseError::VocabularyTooLarge`] when an id has no row in the token embedding.
    pub fn from_file(file: TokenizerFile<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let tokens = &config.architecture.tokenizer;
        let (bytes, name, limit) = match file {
            TokenizerFile::Json(bytes) => (bytes, "tokenizer.json", MAX_TOKENIZER_BYTES),
            TokenizerFile::Vocab(bytes, _) => (bytes, "vocab.txt", MAX_VOCABULARY_BYTES),
        };
        if let Some(what) = Foreign::of(bytes, Expected::Text) {
            return Err(BaseError::Foreign { file: name, what });
        }
        if bytes.len() as u64 > limit {
            let length = bytes.len();
            let what = format!("{name} has {length} bytes; expected at most {limit}");
            return Err(BaseError::Tokenizer(what));
        }
        let (inner, frame) = match file {
            TokenizerFile::Json(bytes) => from_json(bytes).map_err(|error| {
                BaseError::Tokenizer(format!("tokenizer.json cannot be read: {error}"))
            })?,
            TokenizerFile::Vocab(bytes, lowercase) => match tokens.kind {
                arch::TokenizerKind::WordPiece => {
                    (Inner::Bert(Box::new(from_vocab(bytes, lowercase, tokens)?)), None)
                }
                arch::TokenizerKind::Json => {
                    let name = config.architecture.name;
                    return Err(BaseError::Tokenizer(format!(
                        "vocab.txt is not a tokenizer of {name}, which needs tokenizer.json"
                    )));
                }
            },
        };
        let Frame { start, end } = match frame {
            Some(frame) => frame,
            None => {
                let named =
                    |name: &str| Ok::<_, BaseError>((name.to_owned(), token_id(&inner, name)?));
                Frame { start: named(tokens.start)?, end: named(tokens.end)? }
            }
        };
        let around = [&start, &end].map(|(token, id)| (token.as_str(), *id));
        // The largest id; the first name among equal ids, so that the message is deterministic.
        let largest = |a: &(&str, u32), b: &(&str, u32)| a.1.cmp(&b.1).then(b.0.cmp(a.0));
        let pieces = inner.pieces_and_tokens().max_by(largest);
        let Some(last) = pieces else {
            return Err(BaseError::Tokenizer("the vocabulary is empty".into()));
        };
        for (token, id) in around.into_iter().chain([last]) {
            if id as usize >= config.vocab_size {
                let (token, vocab_size) = (token.to_owned(), config.vocab_size);
                return Err(BaseError::VocabularyTooLarge { token, id, vocab_size });
            }
        }
        Ok(Self { tokens, start: start.1, end: end.1, limit: config.max_tokens(), inner })
    }

    /// Tokenises one text as Transformers does, with `[CLS]` before and `[SEP]` after it. An empty text
    /// gives these two. The work does not depend on what follows the limit.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if a word is unknown and the vocabulary has no token for unknown words.
    pub fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        let room = self.limit - 2;
        let (pieces, clipped) = self.inner.pieces(text, room).map_err(BaseError::Tokenizer)?;
        let kept = &pieces[..pieces.len().min(room)];
        let mut ids = Vec::with_capacity(kept.len() + 2);
        ids.push(self.start);
        ids.extend_from_slice(kept);
        ids.push(self.end);
        Ok(Encoded { ids, truncated: clipped || pieces.len() > room })
    }

    /// The id of `[MASK]`.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if the vocabulary has no such token.
    pub fn mask(&self) -> Result<u32, BaseError> {
        token_id(&self.inner, self.tokens.mask)
    }

    /// Number of word pieces, including added tokens.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.inner.len()
    }
}

impl Inner {
    /// Ids of the text's word pieces: all, or the first ones, more than `enough`; and whether only the beginning of the
    /// text was read.
    fn pieces(&self, text: &str, enough: usize) -> Result<(Vec<u32>, bool), String> {
        match self {
            Self::Bert(bert) => Ok((bert.pieces(text, enough)?, false)),
            #[cfg(not(target_family = "wasm"))]
            Self::General(general) => general.pieces(text, enough),
        }
    }

    fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Bert(bert) => bert.id(token),
            #[cfg(not(target_family = "wasm"))]
            Self::General(general) => general.id(token),
        }
    }

    fn pieces_and_tokens(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match self {
            Self::Bert(bert) => Box::new(bert.pieces_and_tokens()),
            #[cfg(not(target_family = "wasm"))]
            Self::General(general) => general.pieces_and_tokens(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bert(bert) => bert.len(),
            #[cfg(not(target_family = "wasm"))]
            Self::General(general) => general.len(),
        }
    }
}

/// Reads `tokenizer.json`, and the tokens that its template puts around a text.
fn from_json(bytes: &[u8]) -> Result<(Inner, Option<Frame>), String> {
    let file = File::read(bytes)?;
    let frame = file.frame()?;
    let inner = match file.other_kind()? {
        None => Inner::Bert(Box::new(file.bert()?)),
        #[cfg(not(target_family = "wasm"))]
        Some(_) => Inner::General(Box::new(General::new(file)?)),
        #[cfg(target_family = "wasm")]
        Some(other) => {
            return Err(format!("{other} (only BERT's own kind of tokenizer is read here)"));
        }
    };
    Ok((inner, frame))
}

/// BERT's own tokenizer for the lines of `vocab.txt`.
fn from_vocab(bytes: &[u8], lowercase: bool, tokens: &arch::Tokenizer) -> Result<Bert, BaseError> {
    let fault = |error: String| BaseError::Tokenizer(format!("vocab.txt cannot be read: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
    let pieces = Vocabulary::from_lines(text).map_err(fault)?.pieces;
    let arch::Tokenizer { padding, unknown, start, end, mask, .. } = *tokens;
    for token in [unknown, start, end] {
        if !pieces.contains_key(token) {
            return Err(BaseError::Tokenizer(format!("vocab.txt has no line {token}")));
        }
    }
    let special = [padding, unknown, start, end, mask];
    let present = special.into_iter().filter(|token| pieces.contains_key(*token));
    let special = present.map(AddedToken::special).collect();
    let model = WordPiece::new(pieces, unknown.to_owned(), "##", MAX_BERT_WORD_CHARS);
    Bert::new(model, Some(Rules::of_vocabulary(lowercase)), special).map_err(fault)
}

fn token_id(tokenizer: &Inner, token: &str) -> Result<u32, BaseError> {
    let missing = || BaseError::Tokenizer(format!("the vocabulary has no token {token}"));
    tokenizer.id(token).ok_or_else(missing)
}
