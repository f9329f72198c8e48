//! A tokenizer that this build reads from its files.

use std::collections::HashMap;

use super::added::AddedToken;
use super::bert::Bert;
use super::file::File;
use super::general::{self, Converted, General};
use super::settings::{self, Family, Names, Settings};
use super::template::Frame;
use super::vocabulary::Vocabulary;
use super::word_piece::WordPiece;
use super::{Encoded, TokenizerFiles};
use crate::base::{BaseError, BertConfig, arch};
use crate::bounds::{MAX_BERT_WORD_CHARS, MAX_TOKENIZER_BYTES, MAX_VOCABULARY_BYTES};
use crate::foreign::{Expected, Foreign};

const SENTENCE_PIECE: &str = "sentencepiece.bpe.model";

/// What the files say.
#[derive(Debug, Clone)]
pub struct Read {
    inner: Inner,
    mask: String,
    start: u32,
    end: u32,
    limit: usize,
    pub notes: Vec<String>,
}

/// Finds the word pieces of a text.
#[derive(Debug, Clone)]
pub enum Inner {
    Bert(Box<Bert>),
    General(Box<General>),
}

impl Read {
    pub fn from_files(files: TokenizerFiles<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut settings = Settings::read(&files, config)?;
        let mut notes = Vec::new();
        let (inner, frame) = match files.json {
            Some(bytes) => {
                check_file(bytes, "tokenizer.json", MAX_TOKENIZER_BYTES)?;
                let unreadable = |error: String| {
                    BaseError::Tokenizer(format!("tokenizer.json cannot be read: {error}"))
                };
                let file = File::read(bytes).map_err(unreadable)?;
                if !general::PRESENT && file.other_kind().map_err(unreadable)?.is_some() {
                    return Err(BaseError::OtherTokenizer);
                }
                let read = from_json(file, &settings, files.config.is_some(), &mut notes);
                read.map_err(unreadable)?
            }
            None => match settings.family {
                Family::Bert | Family::Other => (without_json(&files, &settings, config)?, None),
                _ if !general::PRESENT => return Err(BaseError::OtherTokenizer),
                family => {
                    let Converted { json, extra } = convert(&files, &settings, family)?;
                    settings = settings.with_extra(extra);
                    let unusable = |error: String| {
                        let file = if family == Family::Roberta {
                            "vocab.json with merges.txt"
                        } else {
                            SENTENCE_PIECE
                        };
                        BaseError::Tokenizer(format!("{file} cannot be used: {error}"))
                    };
                    let file = File::read(&json).map_err(unusable)?;
                    let tokens = |known: &dyn Fn(&str) -> bool| settings.tokens(Vec::new(), known);
                    let (general, _) = General::new(&file, None, tokens).map_err(unusable)?;
                    (Inner::General(Box::new(general)), None)
                }
            },
        };
        let names = &settings.names;
        let named = |name: &String| Ok::<_, BaseError>((name.clone(), token_id(&inner, name)?));
        // Of BERT's own class, the names count; the template only if the vocabulary lacks them.
        let known = inner.id(&names.start).is_some() && inner.id(&names.end).is_some();
        let template = frame.clone().filter(|_| settings.family != Family::Bert || !known);
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

    pub fn mask(&self) -> Result<u32, BaseError> {
        token_id(&self.inner, &self.mask)
    }

    #[cfg(not(target_family = "wasm"))]
    pub fn word_pieces(&self) -> Option<HashMap<&str, u32>> {
        match &self.inner {
            Inner::Bert(bert) => Some(bert.pieces_and_tokens().collect()),
            Inner::General(_) => None,
        }
    }

    pub fn vocabulary_size(&self) -> usize {
        self.inner.len()
    }
}

impl Inner {
    /// Ids of the text's word pieces: all, or the first ones, more than `enough`; and whether only the beginning of the
    /// text was read.
    pub fn pieces(&self, text: &str, enough: usize) -> Result<(Vec<u32>, bool), String> {
        match self {
            Self::Bert(bert) => Ok((bert.pieces(text, enough)?, false)),
            Self::General(general) => general.pieces(text, enough),
        }
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Bert(bert) => bert.id(token),
            Self::General(general) => general.id(token),
        }
    }

    pub fn pieces_and_tokens(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match self {
            Self::Bert(bert) => Box::new(bert.pieces_and_tokens()),
            Self::General(general) => general.pieces_and_tokens(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Bert(bert) => bert.len(),
            Self::General(general) => general.len(),
        }
    }
}

/// The tokenizer without a `tokenizer.json`, of a class that has no other file than `vocab.txt`.
fn without_json(
    files: &TokenizerFiles<'_>,
    settings: &Settings,
    config: &BertConfig,
) -> Result<Inner, BaseError> {
    let Some(bytes) = files.vocab else {
        let what = "there is neither a tokenizer.json nor a vocab.txt".to_owned();
        return Err(BaseError::Tokenizer(what));
    };
    check_file(bytes, "vocab.txt", MAX_VOCABULARY_BYTES)?;
    if let (Family::Other, Some(class)) = (settings.family, &settings.class) {
        return Err(BaseError::TokenizerSetting {
            file: settings::CONFIG,
            key: "tokenizer_class".to_owned(),
            what: format!("is {class:?}, which needs a tokenizer.json; there is none"),
        });
    }
    match config.architecture.tokenizer.kind {
        arch::TokenizerKind::WordPiece => Ok(Inner::Bert(Box::new(from_vocab(bytes, settings)?))),
        arch::TokenizerKind::Json => {
            let name = config.architecture.name;
            Err(BaseError::Tokenizer(format!(
                "vocab.txt is not a tokenizer of {name}, which needs tokenizer.json"
            )))
        }
    }
}

/// A `tokenizer.json` from the files of a class that is older than it.
fn convert(
    files: &TokenizerFiles<'_>,
    settings: &Settings,
    family: Family,
) -> Result<Converted, BaseError> {
    let prefix = settings.prefix.unwrap_or_default();
    let missing =
        |what: &str| BaseError::Tokenizer(format!("there is neither a tokenizer.json nor {what}"));
    let converted = if family == Family::Roberta {
        let (Some(vocabulary), Some(merges)) = (files.vocab_json, files.merges) else {
            return Err(missing("a vocab.json with merges.txt"));
        };
        check_file(vocabulary, "vocab.json", MAX_VOCABULARY_BYTES)?;
        check_file(merges, "merges.txt", MAX_VOCABULARY_BYTES)?;
        general::byte_level(vocabulary, merges, prefix)
    } else {
        let Some(model) = files.sentence_piece else {
            return Err(missing(SENTENCE_PIECE));
        };
        let file = SENTENCE_PIECE;
        check_length(model, file, MAX_VOCABULARY_BYTES)?;
        let converted = general::unigram(model, family, &settings.names, prefix);
        // Only of a file that cannot be read: a model may begin with the bytes of another kind.
        if let (Err(_), Some(what)) = (&converted, Foreign::of(model, Expected::Tensors)) {
            return Err(BaseError::Foreign { file, what });
        }
        converted
    };
    converted.map_err(BaseError::Tokenizer)
}

/// Checks the kind and the size of a file.
fn check_file(bytes: &[u8], file: &'static str, limit: u64) -> Result<(), BaseError> {
    if let Some(what) = Foreign::of(bytes, Expected::Text) {
        return Err(BaseError::Foreign { file, what });
    }
    check_length(bytes, file, limit)
}

fn check_length(bytes: &[u8], file: &'static str, limit: u64) -> Result<(), BaseError> {
    if bytes.len() as u64 > limit {
        let length = bytes.len();
        let what = format!("{file} has {length} bytes; expected at most {limit}");
        return Err(BaseError::Tokenizer(what));
    }
    Ok(())
}

/// The tokenizer of a `tokenizer.json`, and the tokens that its template puts around a text.
pub fn from_json(
    mut file: File<'_>,
    settings: &Settings,
    has_config: bool,
    notes: &mut Vec<String>,
) -> Result<(Inner, Option<Frame>), String> {
    let frame = file.frame()?;
    let other = file.other_kind()?;
    let bert_class = settings.family == Family::Bert;
    if other.is_none() && bert_class {
        let rules = file.rules()?;
        notes.extend(rules.and_then(|rules| settings.overruled(rules, has_config)));
        let pieces = file.word_piece()?.into_pieces()?;
        let tokens = std::mem::take(&mut file.added_tokens);
        let tokens = settings.tokens(tokens, &|token| pieces.contains_key(token));
        return Ok((Inner::Bert(Box::new(bert(pieces, settings, tokens)?)), frame));
    }
    let tokens = file.tokens();
    let inner = match other {
        None => {
            let (model, rules) = (file.word_piece()?.build()?, file.rules()?);
            let tokens = settings.tokens_after(tokens, &|piece| model.id(piece).is_some());
            Inner::Bert(Box::new(Bert::new(model, rules, tokens)?))
        }
        Some(other) => {
            if let (true, Some(class)) = (bert_class, &settings.class) {
                notes.push(format!(
                    "tokenizer.json has rules that `tokenizer_class` {class:?} has not ({other}); its rules are used, as \
                     in Transformers 4"
                ));
            }
            let tokens = |known: &dyn Fn(&str) -> bool| settings.tokens_after(tokens, known);
            let (general, overruled) = General::new(&file, settings.prefix, tokens)?;
            notes.extend(overruled.then(|| settings.prefix_note(has_config)));
            Inner::General(Box::new(general))
        }
    };
    Ok((inner, frame))
}

/// BERT's own tokenizer for the lines of `vocab.txt`.
pub fn from_vocab(bytes: &[u8], settings: &Settings) -> Result<Bert, BaseError> {
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
