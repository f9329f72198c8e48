//! The base's tokenizer.

mod added;
mod bert;
#[cfg(not(target_family = "wasm"))]
mod bpe;
mod file;
#[cfg(not(target_family = "wasm"))]
mod general;
mod normalize;
mod settings;
mod template;
#[cfg(test)]
mod tests;
#[cfg(not(target_family = "wasm"))]
mod unigram;
mod vocabulary;
mod word_piece;

use std::collections::HashMap;

use super::{BaseError, BertConfig, arch};
use crate::bounds::{MAX_BERT_WORD_CHARS, MAX_TOKENIZER_BYTES, MAX_VOCABULARY_BYTES};
use crate::foreign::{Expected, Foreign};
use added::AddedToken;
use bert::Bert;
use file::File;
#[cfg(not(target_family = "wasm"))]
use general::General;
use settings::{Names, Settings};
use template::Frame;
use vocabulary::Vocabulary;
use word_piece::WordPiece;

/// The files of a tokenizer, as bytes: `json` or `vocab`, and what the base has of the others.
///
/// The others count as in Transformers: whether text is lower-cased, for example, follows from `tokenizer_config.json` or its
/// defaults, even if `tokenizer.json` says something else.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`.
    pub json: Option<&'a [u8]>,
    /// `vocab.txt`, one word piece per line; not used if there is a `tokenizer.json`.
    pub vocab: Option<&'a [u8]>,
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
    mask: String,
    start: u32,
    end: u32,
    limit: usize,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
enum Inner {
    Bert(Box<Bert>),
    #[cfg(not(target_family = "wasm"))]
    General(Box<General>),
}

impl BertTokenizer {
    /// Reads a tokenizer and checks it against the base: every id that it can produce has a row in the token
    /// embedding. Truncation and padding settings of `tokenizer.json` are ignored: LoRB packs without padding and truncates
    /// at the base's limit, or at `model_max_length` if that is less.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the vocabulary is malformed, has parts that LoRB does not support, or lacks the tokens
    /// around a text, [`BaseError::TokenizerJson`] and [`BaseError::TokenizerSetting`] for the other files,
    /// [`BaseError::VocabularyTooLarge`] when an id has no row in the token embedding.
    pub fn from_files(files: TokenizerFiles<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let settings = Settings::read(&files, config)?;
        let mut notes = Vec::new();
        let (inner, frame) = match (files.json, files.vocab) {
            (Some(bytes), _) => {
                check_file(bytes, "tokenizer.json", MAX_TOKENIZER_BYTES)?;
                let read = from_json(bytes, &settings, files.config.is_some(), &mut notes);
                read.map_err(|error| {
                    BaseError::Tokenizer(format!("tokenizer.json cannot be read: {error}"))
                })?
            }
            (None, Some(bytes)) => {
                check_file(bytes, "vocab.txt", MAX_VOCABULARY_BYTES)?;
                if !settings.bert {
                    let class = settings.class.as_deref().unwrap_or_default();
                    return Err(BaseError::TokenizerSetting {
                        file: settings::CONFIG,
                        key: "tokenizer_class".to_owned(),
                        what: format!("is {class:?}, which needs a tokenizer.json; there is none"),
                    });
                }
                match config.architecture.tokenizer.kind {
                    arch::TokenizerKind::WordPiece => {
                        (Inner::Bert(Box::new(from_vocab(bytes, &settings)?)), None)
                    }
                    arch::TokenizerKind::Json => {
                        let name = config.architecture.name;
                        return Err(BaseError::Tokenizer(format!(
                            "vocab.txt is not a tokenizer of {name}, which needs tokenizer.json"
                        )));
                    }
                }
            }
            (None, None) => {
                let what = "there is neither a tokenizer.json nor a vocab.txt".to_owned();
                return Err(BaseError::Tokenizer(what));
            }
        };
        let names = &settings.names;
        let named = |name: &String| Ok::<_, BaseError>((name.clone(), token_id(&inner, name)?));
        // Of BERT's own class, the names count; the template only if the vocabulary lacks them.
        let known = inner.id(&names.start).is_some() && inner.id(&names.end).is_some();
        let template = frame.clone().filter(|_| !settings.bert || !known);
        let Frame { start, end } = match template {
            Some(frame) => frame,
            None => Frame { start: named(&names.start)?, end: named(&names.end)? },
        };
        let of_file = frame.iter().flat_map(|frame| [&frame.start, &frame.end]);
        let around = of_file.chain([&start, &end]).map(|(token, id)| (token.as_str(), *id));
        // The largest id; the first name among equal ids, so that the message is deterministic.
        let largest = |a: &(&str, u32), b: &(&str, u32)| a.1.cmp(&b.1).then(b.0.cmp(a.0));
        let pieces = inner.pieces_and_tokens().max_by(largest);
        let Some(last) = pieces else {
            return Err(BaseError::Tokenizer("the vocabulary is empty".into()));
        };
        for (token, id) in around.chain([last]) {
            if id as usize >= config.vocab_size {
                let (token, vocab_size) = (token.to_owned(), config.vocab_size);
                return Err(BaseError::VocabularyTooLarge { token, id, vocab_size });
            }
        }
        let limit = settings.limit.map_or(usize::MAX, |limit| limit).min(config.max_tokens());
        Ok(Self { mask: settings.names.mask, start: start.1, end: end.1, limit, inner, notes })
    }

    /// What the user should know about these files: settings that do not count because another file overrules them.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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

    /// The id of the mask token, `[MASK]` in most bases.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if the vocabulary has no such token.
    pub fn mask(&self) -> Result<u32, BaseError> {
        token_id(&self.inner, &self.mask)
    }

    /// Word pieces and added tokens with their ids; `None` if this is not a WordPiece tokenizer of BERT's kind.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn word_pieces(&self) -> Option<HashMap<&str, u32>> {
        match &self.inner {
            Inner::Bert(bert) => Some(bert.pieces_and_tokens().collect()),
            Inner::General(_) => None,
        }
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

/// Checks the kind and the size of a file.
fn check_file(bytes: &[u8], file: &'static str, limit: u64) -> Result<(), BaseError> {
    if let Some(what) = Foreign::of(bytes, Expected::Text) {
        return Err(BaseError::Foreign { file, what });
    }
    if bytes.len() as u64 > limit {
        let length = bytes.len();
        let what = format!("{file} has {length} bytes; expected at most {limit}");
        return Err(BaseError::Tokenizer(what));
    }
    Ok(())
}

/// Reads `tokenizer.json`, and the tokens that its template puts around a text.
fn from_json(
    bytes: &[u8],
    settings: &Settings,
    has_config: bool,
    notes: &mut Vec<String>,
) -> Result<(Inner, Option<Frame>), String> {
    let mut file = File::read(bytes)?;
    let frame = file.frame()?;
    let other = file.other_kind()?;
    if other.is_none() && settings.bert {
        let rules = file.rules()?;
        notes.extend(rules.and_then(|rules| settings.overruled(rules, has_config)));
        let pieces = file.word_piece()?.into_pieces()?;
        let tokens = std::mem::take(&mut file.added_tokens);
        let tokens = settings.tokens(tokens, &|token| pieces.contains_key(token));
        return Ok((Inner::Bert(Box::new(bert(pieces, settings, tokens)?)), frame));
    }
    let tokens = settings.tokens_after(file.tokens());
    let inner = match other {
        None => {
            let (model, rules) = (file.word_piece()?.build()?, file.rules()?);
            Inner::Bert(Box::new(Bert::new(model, rules, tokens)?))
        }
        #[cfg(not(target_family = "wasm"))]
        Some(other) => {
            if let (true, Some(class)) = (settings.bert, &settings.class) {
                notes.push(format!(
                    "tokenizer.json has rules that `tokenizer_class` {class:?} has not ({other}); its rules are used, as \
                     in Transformers 4"
                ));
            }
            Inner::General(Box::new(General::new(&file, tokens)?))
        }
        #[cfg(target_family = "wasm")]
        Some(other) => {
            return Err(format!("{other} (only BERT's own kind of tokenizer is read here)"));
        }
    };
    Ok((inner, frame))
}

/// BERT's own tokenizer for the lines of `vocab.txt`.
fn from_vocab(bytes: &[u8], settings: &Settings) -> Result<Bert, BaseError> {
    let fault = |error: String| BaseError::Tokenizer(format!("vocab.txt cannot be read: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
    let pieces = Vocabulary::from_lines(text).map_err(fault)?.pieces;
    let tokens = settings.tokens(Vec::new(), &|token| pieces.contains_key(token));
    let Names { unknown, start, end, .. } = &settings.names;
    for token in [unknown, start, end] {
        let added = token != unknown && tokens.iter().any(|added| added.content == *token);
        if !pieces.contains_key(token) && !added {
            return Err(BaseError::Tokenizer(format!("vocab.txt has no line {token}")));
        }
    }
    bert(pieces, settings, tokens).map_err(fault)
}

/// A tokenizer with BERT's rules.
fn bert(
    pieces: HashMap<String, u32>,
    settings: &Settings,
    tokens: Vec<AddedToken>,
) -> Result<Bert, String> {
    let unknown = settings.names.unknown.clone();
    let model = WordPiece::new(pieces, unknown, "##", MAX_BERT_WORD_CHARS);
    Bert::new(model, Some(settings.rules), tokens)
}

fn token_id(tokenizer: &Inner, token: &str) -> Result<u32, BaseError> {
    let missing = || BaseError::Tokenizer(format!("the vocabulary has no token {token}"));
    tokenizer.id(token).ok_or_else(missing)
}
