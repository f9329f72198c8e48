//! Byte-pair encoding: neighbouring pieces of a word are merged, always the pair that was learnt first.
//!
//! Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", arXiv 1508.07909. RoBERTa's words
//! consist of bytes, each written as a character.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::Deserialize;

use super::super::vocabulary::{Vocabulary, short_list};
use crate::bounds::MAX_PIECES;

/// The model as `tokenizer.json` describes it.
#[derive(Deserialize)]
pub struct BpeFile {
    vocab: Vocabulary,
    #[serde(deserialize_with = "short_list::<MAX_PIECES, _, _>")]
    merges: Vec<Pair>,
    #[serde(default)]
    dropout: Option<f32>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// Two pieces, in older files as one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pair {
    Two(String, String),
    Text(String),
}

/// What a pair becomes, and how early it was learnt.
#[derive(Debug, Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// A vocabulary with merges.
#[derive(Debug, Clone)]
pub struct Bpe {
    pieces: HashMap<String, u32>,
    merges: HashMap<(u32, u32), Merge>,
    unknown: Option<u32>,
    /// Whether unknown characters in a row are one piece.
    fuse_unknown: bool,
    byte_fallback: bool,
    /// Whether a word that is a piece stays whole, also if no merges lead to it.
    whole_words: bool,
}

/// A piece of a word, in a list that merging shortens.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    id: u32,
    before: Option<usize>,
    after: Option<usize>,
    merged: bool,
}

impl BpeFile {
    pub fn build(self) -> Result<Bpe, String> {
        let Self {
            vocab, merges: pairs, unk_token, fuse_unk, byte_fallback, ignore_merges, ..
        } = &self;
        if self.dropout.is_some_and(|rate| rate != 0.0) {
            return Err(
                "its dropout is not 0, so equal texts would get different tokens".to_owned()
            );
        }
        let affixes = [
            ("continuing_subword_prefix", &self.continuing_subword_prefix),
            ("end_of_word_suffix", &self.end_of_word_suffix),
        ];
        for (name, affix) in affixes {
            if affix.as_ref().is_some_and(|affix| !affix.is_empty()) {
                return Err(format!(
                    "its {name} is {affix:?}; LoRB reads byte-pair encodings without"
                ));
            }
        }
        let id = |piece: &str| vocab.pieces.get(piece).copied();
        let mut merges = HashMap::with_capacity(pairs.len());
        for (rank, pair) in pairs.iter().enumerate() {
            let (left, right) = match pair {
                Pair::Two(left, right) => (left.as_str(), right.as_str()),
                Pair::Text(text) => text
                    .split_once(' ')
                    .ok_or_else(|| format!("merge {rank} is {text:?}; expected two pieces"))?,
            };
            let known = |piece: &str| {
                id(piece).ok_or_else(|| {
                    format!("merge {rank} has the piece {piece:?}, which is not in the vocabulary")
                })
            };
            let merge = Merge { rank: rank as u32, id: known(&format!("{left}{right}"))? };
            // Of equal pairs the last one counts, as in the `tokenizers` crate.
            merges.insert((known(left)?, known(right)?), merge);
        }
        let unknown = match unk_token {
            Some(token) => Some(id(token).ok_or_else(|| {
                format!("its unk_token is {token:?}, which is not in the vocabulary")
            })?),
            None => None,
        };
        let (fuse_unknown, byte_fallback, whole_words) =
            (*fuse_unk, *byte_fallback, *ignore_merges);
        let pieces = self.vocab.pieces;
        Ok(Bpe { pieces, merges, unknown, fuse_unknown, byte_fallback, whole_words })
    }
}

impl Bpe {
    /// Appends the ids of a word.
    pub fn append(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if self.whole_words
            && let Some(id) = self.id(word)
        {
            ids.push(id);
            return Ok(());
        }
        let mut symbols = self.characters(word)?;
        self.merge(&mut symbols);
        ids.extend(symbols.iter().filter(|symbol| !symbol.merged).map(|symbol| symbol.id));
        Ok(())
    }

    /// A word's characters.
    fn characters(&self, word: &str) -> Result<Vec<Symbol>, String> {
        let mut ids = Vec::new();
        // An unknown piece waits for the next other character, in which bytes do not count, as in the `tokenizers` crate.
        let mut waiting = None;
        for c in word.chars() {
            let text = c.encode_utf8(&mut [0; 4]).to_owned();
            if let Some(id) = self.id(&text) {
                ids.extend(waiting.take());
                ids.push(id);
                continue;
            }
            if self.byte_fallback {
                let bytes = text.bytes().map(|byte| self.id(&format!("<0x{byte:02X}>")));
                if let Some(bytes) = bytes.collect::<Option<Vec<_>>>() {
                    ids.extend(bytes);
                    continue;
                }
            }
            let unknown = self.unknown.ok_or_else(|| {
                format!("the character {c:?} is unknown, and the model has no unk_token")
            })?;
            let before = waiting.replace(unknown);
            ids.extend(before.filter(|_| !self.fuse_unknown));
        }
        ids.extend(waiting);
        let last = ids.len().saturating_sub(1);
        let symbol = |(at, id): (usize, u32)| Symbol {
            id,
            before: at.checked_sub(1),
            after: (at < last).then_some(at + 1),
            merged: false,
        };
        Ok(ids.into_iter().enumerate().map(symbol).collect())
    }

    /// Merges neighbours while there is a merge for any; of equal ones the leftmost first.
    fn merge(&self, symbols: &mut [Symbol]) {
        let of = |symbols: &[Symbol], at: usize| {
            let after = symbols[at].after?;
            self.merges.get(&(symbols[at].id, symbols[after].id)).copied()
        };
        let entry = |at: usize, merge: Merge| Reverse((merge.rank, at, merge.id));
        let mut open: BinaryHeap<_> =
            (0..symbols.len()).filter_map(|at| Some(entry(at, of(symbols, at)?))).collect();
        while let Some(Reverse((rank, at, id))) = open.pop() {
            // The pair may have changed since the entry was made.
            if symbols[at].merged || of(symbols, at).is_none_or(|merge| merge.rank != rank) {
                continue;
            }
            let Some(gone) = symbols[at].after else { continue };
            let after = symbols[gone].after;
            symbols[gone].merged = true;
            symbols[at].id = id;
            symbols[at].after = after;
            if let Some(after) = after {
                symbols[after].before = Some(at);
            }
            for start in [symbols[at].before, Some(at)].into_iter().flatten() {
                open.extend(of(symbols, start).map(|merge| entry(start, merge)));
            }
        }
    }

    pub fn id(&self, piece: &str) -> Option<u32> {
        self.pieces.get(piece).copied()
    }

    pub fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        self.pieces.iter().map(|(piece, id)| (piece.as_str(), *id))
    }

    pub fn len(&self) -> usize {
        self.pieces.len()
    }
}
