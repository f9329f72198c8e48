//! `tokenizer.json`: the kinds of its parts, and what they share.
//!
//! LoRB reads two classes of files. BERT's own kind has its own implementation on every platform. The others, which
//! multilingual bases use, need the `tokenizers` crate, which not every wasm module has (`general.rs`).

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::added::{AddedToken, NumberedToken};
use super::normalize::Rules;
use super::template::{Frame, Template};
use super::vocabulary::short_list;
use super::word_piece::WordPieceFile;
use crate::bounds::{MAX_ADDED_TOKENS, MAX_TOKENIZER_PART_BYTES};

/// The file, with its parts still as text.
#[derive(Deserialize)]
pub struct File<'a> {
    version: Option<String>,
    #[serde(deserialize_with = "short_list::<MAX_ADDED_TOKENS, _, _>", default)]
    pub added_tokens: Vec<NumberedToken>,
    #[serde(borrow, default)]
    pub normalizer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    post_processor: Option<&'a RawValue>,
    #[serde(borrow)]
    pub model: &'a RawValue,
}

/// The kind of a part.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A part of another kind than BERT's.
pub struct Other {
    part: &'static str,
    /// `None` if the part is missing.
    kind: Option<String>,
    own: &'static str,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, kind, own } = self;
        match kind {
            Some(kind) => write!(f, "its {part} is {kind:?}, not {own}"),
            None => write!(f, "its {part} is missing, not {own}"),
        }
    }
}

impl<'a> File<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match &file.version {
            Some(version) if version != "1.0" => {
                Err(format!("its version is {version:?}; expected \"1.0\""))
            }
            _ => Ok(file),
        }
    }

    /// The tokens that the file puts around a text.
    pub fn frame(&self) -> Result<Option<Frame>, String> {
        let Some(part) = self.post_processor else { return Ok(None) };
        part_of::<Template>("post_processor", part)?.frame()
    }

    /// The first part that BERT's tokenizer has not; `None` if the file is of BERT's kind.
    pub fn other_kind(&self) -> Result<Option<Other>, String> {
        let kind = |part: Option<&RawValue>, name: &str| match part {
            Some(part) => Ok::<_, String>(part_of::<Kind>(name, part)?.kind),
            None => Ok(None),
        };
        let normalizer = kind(self.normalizer, "normalizer")?;
        if let Some(other) = normalizer.filter(|kind| kind != "BertNormalizer") {
            return Ok(Some(Other {
                part: "normalizer",
                kind: Some(other),
                own: "BertNormalizer",
            }));
        }
        let words = kind(self.pre_tokenizer, "pre_tokenizer")?;
        if words.as_deref() != Some("BertPreTokenizer") {
            return Ok(Some(Other { part: "pre_tokenizer", kind: words, own: "BertPreTokenizer" }));
        }
        let model = self.model_kind()?;
        if model != "WordPiece" {
            return Ok(Some(Other { part: "model", kind: Some(model), own: "WordPiece" }));
        }
        Ok(None)
    }

    /// The kind of the model; old files do not name it.
    pub fn model_kind(&self) -> Result<String, String> {
        let kind: Kind = serde_json::from_str(self.model.get()).map_err(|e| at("model", &e))?;
        Ok(kind.kind.unwrap_or_else(|| "WordPiece".to_owned()))
    }

    /// The rules of a file of BERT's kind.
    pub fn rules(&self) -> Result<Option<Rules>, String> {
        self.normalizer.map(|part| part_of("normalizer", part)).transpose()
    }

    /// The model of a file of BERT's kind.
    pub fn word_piece(&self) -> Result<WordPieceFile, String> {
        serde_json::from_str(self.model.get()).map_err(|e| at("model", &e))
    }

    /// The added tokens in the order of the file.
    pub fn tokens(&mut self) -> Vec<AddedToken> {
        std::mem::take(&mut self.added_tokens).into_iter().map(|added| added.token).collect()
    }
}

/// Parses a part other than the model. Its length is limited, because serde buffers a part before it knows its kind.
pub fn part_of<'a, T: Deserialize<'a>>(name: &str, part: &'a RawValue) -> Result<T, String> {
    let (length, limit) = (part.get().len(), MAX_TOKENIZER_PART_BYTES);
    if length > limit {
        return Err(format!("its {name} has {length} bytes; expected at most {limit}"));
    }
    serde_json::from_str(part.get()).map_err(|error| at(name, &error))
}

/// An error in a part. The position that serde adds would be that in the part, not in the file.
pub fn at(name: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("its {name}: {what}")
}
