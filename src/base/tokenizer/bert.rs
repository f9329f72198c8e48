//! BERT's own tokenizer only, built from parts of the `tokenizers` crate.
//!
//! The wasm module uses this one: with all kinds of tokenizers and their regular expressions, the crate is several
//! times as large. Unknown settings are errors. Tests compare it with the general one.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Error, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use super::VocabTxt;

#[derive(Debug, Clone)]
pub struct Bert {
    model: WordPiece,
    normalizer: Option<BertNormalizer>,
    added: HashMap<String, u32>,
    /// Tokens matched in the raw text.
    verbatim: Vec<(String, u32)>,
    /// Tokens matched in the normalised text.
    normalized: Vec<(String, u32)>,
    frame: Vec<u32>,
}

#[derive(Deserialize)]
struct File {
    version: Option<String>,
    added_tokens: Vec<Added>,
    normalizer: Option<NormalizerPart>,
    #[serde(rename = "pre_tokenizer")]
    _pre_tokenizer: PreTokenizerPart,
    post_processor: Option<Frame>,
    model: WordPiece,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    single_word: bool,
    normalized: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum NormalizerPart {
    BertNormalizer {
        clean_text: bool,
        handle_chinese_chars: bool,
        strip_accents: Option<bool>,
        lowercase: bool,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizerPart {
    BertPreTokenizer,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Frame {
    BertProcessing { cls: (String, u32), sep: (String, u32) },
    TemplateProcessing { single: Vec<Place>, special_tokens: HashMap<String, Special> },
}

#[derive(Deserialize)]
enum Place {
    Sequence {},
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct Special {
    ids: Vec<u32>,
}

impl Bert {
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| format!("{error} (only BERT's own kind of tokenizer is read here)"))?;
        if let Some(version) = file.version.filter(|version| version != "1.0") {
            return Err(format!("its version is {version}; expected 1.0").into());
        }
        let frame = file.post_processor.map_or(Ok(Vec::new()), Frame::ids)?;
        let mut tokenizer = Self::new(file.model, file.normalizer.map(Into::into), frame);
        for token in file.added_tokens {
            if token.single_word {
                let message = format!("added token {:?} with single_word", token.content);
                return Err((message + ": not supported here").into());
            }
            tokenizer.add(token.content, token.normalized)?;
        }
        Ok(tokenizer)
    }

    pub fn from_vocab(VocabTxt { model, normalizer, special }: VocabTxt) -> Result<Self, Error> {
        let mut tokenizer = Self::new(model, Some(normalizer), Vec::new());
        for name in special {
            tokenizer.add(name, false)?;
        }
        Ok(tokenizer)
    }

    fn new(model: WordPiece, normalizer: Option<BertNormalizer>, frame: Vec<u32>) -> Self {
        let (added, verbatim, normalized) = Default::default();
        Self { model, normalizer, added, verbatim, normalized, frame }
    }

    /// An added token has its id in the vocabulary, or the next free one. White space next to it is always dropped, so
    /// `lstrip` and `rstrip` have no effect.
    fn add(&mut self, content: String, normalized: bool) -> Result<(), Error> {
        let next = || {
            let beyond = self.added.values().max().map_or(0, |last| last + 1);
            beyond.max(self.model.get_vocab_size() as u32)
        };
        let id = self.id(&content).unwrap_or_else(next);
        self.added.insert(content.clone(), id);
        let (pattern, patterns) = if normalized {
            (self.normalize(&content)?.get().to_owned(), &mut self.normalized)
        } else {
            (content, &mut self.verbatim)
        };
        if !pattern.is_empty() {
            patterns.push((pattern, id));
        }
        Ok(())
    }

    fn normalize(&self, text: &str) -> Result<NormalizedString, Error> {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = &self.normalizer {
            normalizer.normalize(&mut normalized)?;
        }
        Ok(normalized)
    }

    /// Ids of the text's word pieces.
    pub fn pieces(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        for part in cut(text, &self.verbatim) {
            let text = match part {
                Part::Token(id) => {
                    ids.push(id);
                    continue;
                }
                Part::Text(text) => self.normalize(text)?,
            };
            for part in cut(text.get(), &self.normalized) {
                match part {
                    Part::Token(id) => ids.push(id),
                    Part::Text(text) => self.words(text, &mut ids)?,
                }
            }
        }
        Ok(ids)
    }

    fn words(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), Error> {
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words)?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            ids.extend(self.model.tokenize(word)?.iter().map(|token| token.id));
        }
        Ok(())
    }

    /// The ids that the file's template adds to an empty text.
    pub fn frame(&self) -> Result<Vec<u32>, Error> {
        Ok(self.frame.clone())
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.added.get(token).copied().or_else(|| self.model.token_to_id(token))
    }

    /// All word pieces, including added tokens.
    pub fn vocabulary(&self) -> HashMap<String, u32> {
        let mut all = self.model.get_vocab();
        all.extend(self.added.iter().map(|(token, id)| (token.clone(), *id)));
        all
    }
}

impl From<NormalizerPart> for BertNormalizer {
    fn from(part: NormalizerPart) -> Self {
        let NormalizerPart::BertNormalizer {
            clean_text,
            handle_chinese_chars,
            strip_accents,
            lowercase,
        } = part;
        Self::new(clean_text, handle_chinese_chars, strip_accents, lowercase)
    }
}

impl Frame {
    fn ids(self) -> Result<Vec<u32>, Error> {
        let (single, special) = match self {
            Self::BertProcessing { cls, sep } => return Ok(vec![cls.1, sep.1]),
            Self::TemplateProcessing { single, special_tokens } => (single, special_tokens),
        };
        let mut ids = Vec::new();
        for place in single {
            let Place::SpecialToken { id } = place else { continue };
            let Some(token) = special.get(&id) else {
                return Err(format!("its template uses {id}, which is not a special token").into());
            };
            ids.extend(&token.ids);
        }
        Ok(ids)
    }
}

/// A part of a text.
enum Part<'a> {
    Token(u32),
    Text(&'a str),
}

/// Splits the text at tokens: at the first match, or the longest one of several at the same position.
fn cut<'a>(text: &'a str, tokens: &[(String, u32)]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let found = tokens.iter().filter_map(|(token, id)| Some((rest.find(token)?, token, *id)));
        let Some((at, token, id)) = found.min_by_key(|(at, token, _)| (*at, Reverse(token.len())))
        else {
            break;
        };
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        parts.push(Part::Token(id));
        rest = &rest[at + token.len()..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}
