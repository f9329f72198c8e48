//! WordPiece: the longest piece that the rest of a word starts with, again and again.

use std::collections::HashMap;

use serde::Deserialize;

use super::vocabulary::Vocabulary;
use crate::bounds::MAX_WORD_CHARS;

/// The model as `tokenizer.json` describes it.
#[derive(Deserialize)]
pub struct WordPieceFile {
    vocab: Vocabulary,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: u64,
}

/// A vocabulary with the rules that split a word.
#[derive(Debug, Clone)]
pub struct WordPiece {
    /// All pieces; those at the start of a word have no prefix.
    all: HashMap<String, u32>,
    /// Pieces within a word, without their prefix.
    inner: HashMap<Box<str>, u32>,
    unknown: String,
    max_chars: usize,
    /// Bytes of the longest piece.
    longest: usize,
}

impl WordPieceFile {
    pub fn build(self) -> Result<WordPiece, String> {
        self.check()?;
        let Self { vocab, unk_token, continuing_subword_prefix, max_input_chars_per_word } = self;
        let chars = max_input_chars_per_word as usize;
        Ok(WordPiece::new(vocab.pieces, unk_token, &continuing_subword_prefix, chars))
    }

    /// The vocabulary, for other rules.
    pub fn into_pieces(self) -> Result<HashMap<String, u32>, String> {
        self.check()?;
        Ok(self.vocab.pieces)
    }

    fn check(&self) -> Result<(), String> {
        let chars = self.max_input_chars_per_word;
        if chars > MAX_WORD_CHARS {
            return Err(format!(
                "max_input_chars_per_word is {chars}; expected at most {MAX_WORD_CHARS}"
            ));
        }
        Ok(())
    }
}

impl WordPiece {
    pub fn new(all: HashMap<String, u32>, unknown: String, prefix: &str, max_chars: usize) -> Self {
        let inner = all
            .iter()
            .filter_map(|(piece, id)| Some((piece.strip_prefix(prefix)?.into(), *id)))
            .collect();
        let longest = all.keys().map(String::len).max().unwrap_or(0);
        Self { all, inner, unknown, max_chars, longest }
    }

    /// Appends the ids of a word. A word that no pieces cover is unknown as a whole.
    pub fn append(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if word.chars().nth(self.max_chars).is_some() {
            return self.append_unknown(ids);
        }
        let before = ids.len();
        let mut rest = word;
        while !rest.is_empty() {
            let first = rest.len() == word.len();
            let mut candidate = &rest[..rest.floor_char_boundary(self.longest)];
            let found = loop {
                let Some(last) = candidate.chars().next_back() else { break None };
                let id = if first { self.all.get(candidate) } else { self.inner.get(candidate) };
                if let Some(id) = id {
                    break Some((*id, candidate.len()));
                }
                candidate = &candidate[..candidate.len() - last.len_utf8()];
            };
            let Some((id, length)) = found else {
                ids.truncate(before);
                return self.append_unknown(ids);
            };
            ids.push(id);
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Appends the id of an unknown word.
    pub fn append_unknown(&self, ids: &mut Vec<u32>) -> Result<(), String> {
        let id = self.all.get(&self.unknown).ok_or_else(|| {
            format!("a word is unknown, and the vocabulary has no token {:?}", self.unknown)
        })?;
        ids.push(*id);
        Ok(())
    }

    /// Maximum number of characters of a known word.
    pub fn max_chars(&self) -> usize {
        self.max_chars
    }

    pub fn id(&self, piece: &str) -> Option<u32> {
        self.all.get(piece).copied()
    }

    pub fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        self.all.iter().map(|(piece, id)| (piece.as_str(), *id))
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}
