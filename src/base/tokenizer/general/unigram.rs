//! Unigram: the pieces with the highest total score that a word consists of.
//!
//! Kudo, "Subword Regularization", arXiv 1804.10959, without sampling, with the conventions of SentencePiece for
//! unknown characters.

use serde::Deserialize;

use super::super::vocabulary::{check_piece, short_list};
use crate::bounds::MAX_PIECES;

/// How far below the lowest score an unknown character is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The model as `tokenizer.json` describes it.
#[derive(Deserialize)]
pub struct UnigramFile {
    /// Pieces and their logarithmic probabilities; the index is the id.
    #[serde(deserialize_with = "short_list::<MAX_PIECES, _, _>")]
    vocab: Vec<(String, f64)>,
    unk_id: Option<u32>,
    #[serde(default)]
    byte_fallback: bool,
}

#[derive(Debug, Clone)]
struct Piece {
    text: Box<str>,
    id: u32,
    score: f64,
}

/// A vocabulary with scores.
#[derive(Debug, Clone)]
pub struct Unigram {
    /// Sorted by text.
    pieces: Vec<Piece>,
    size: usize,
    unknown: Option<u32>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The best way to split the beginning of a word.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    /// First byte of the last piece; `None` if no split was found yet.
    start: Option<usize>,
    unknown: bool,
}

impl UnigramFile {
    pub fn build(self) -> Result<Unigram, String> {
        let Self { vocab, unk_id, byte_fallback } = self;
        let size = vocab.len();
        if let Some(id) = unk_id.filter(|id| *id as usize >= size) {
            return Err(format!("unk_id is {id}, but there are {size} word pieces"));
        }
        let lowest = vocab.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        let mut pieces = Vec::with_capacity(size);
        for (id, (text, score)) in vocab.into_iter().enumerate() {
            check_piece(id, &text)?;
            if text.is_empty() {
                return Err(format!("word piece {id} is empty"));
            }
            pieces.push(Piece { text: text.into(), id: id as u32, score });
        }
        // Of equal pieces the last one counts.
        pieces.sort_by(|a, b| a.text.cmp(&b.text).then(b.id.cmp(&a.id)));
        pieces.dedup_by(|later, kept| later.text == kept.text);
        let unknown_score = lowest - UNKNOWN_PENALTY;
        Ok(Unigram { pieces, size, unknown: unk_id, unknown_score, byte_fallback })
    }
}

impl Unigram {
    /// Appends the ids of a word.
    pub fn append(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let best = self.best(word)?;
        let (mut parts, mut end) = (Vec::new(), word.len());
        while end > 0 {
            let Best { start, unknown, .. } = best[end];
            // Every character boundary has a split, because a single character always is one.
            let start = start.filter(|start| *start < end).ok_or("a word cannot be split")?;
            match parts.last_mut() {
                // Unknown characters in a row are one piece.
                Some((first, _, true)) if unknown => *first = start,
                _ => parts.push((start, end, unknown)),
            }
            end = start;
        }
        parts.iter().rev().try_for_each(|&(start, end, _)| self.append_part(&word[start..end], ids))
    }

    fn append_part(&self, part: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if let Some(id) = self.id(part) {
            ids.push(id);
            return Ok(());
        }
        if self.byte_fallback {
            let bytes = part.bytes().map(|byte| self.id(&format!("<0x{byte:02X}>")));
            if let Some(bytes) = bytes.collect::<Option<Vec<_>>>() {
                ids.extend(bytes);
                return Ok(());
            }
        }
        ids.push(self.unknown()?);
        Ok(())
    }

    /// The best split of every beginning, by its length in bytes.
    fn best(&self, word: &str) -> Result<Vec<Best>, String> {
        let none = Best { score: 0.0, start: None, unknown: false };
        let mut best = vec![none; word.len() + 1];
        for (at, c) in word.char_indices() {
            let before = best[at].score;
            let mut offer = |end: usize, score: f64, unknown: bool| {
                let place = &mut best[end];
                let better = place.start.is_none() || before + score > place.score;
                if better {
                    *place = Best { score: before + score, start: Some(at), unknown };
                }
                better
            };
            let (single, mut known) = (at + c.len_utf8(), false);
            for piece in self.prefixes(&word.as_bytes()[at..]) {
                let end = at + piece.text.len();
                offer(end, piece.score, Some(piece.id) == self.unknown);
                known |= end == single;
            }
            if !known && offer(single, self.unknown_score, true) {
                self.unknown()?;
            }
        }
        Ok(best)
    }

    /// The pieces that the text starts with, the shortest first.
    fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a Piece> {
        let mut range = self.pieces.as_slice();
        text.iter()
            .enumerate()
            .map_while(move |(at, byte)| {
                let place = |piece: &Piece| piece.text.as_bytes().get(at).copied();
                let from = range.partition_point(|piece| place(piece) < Some(*byte));
                let to = range.partition_point(|piece| place(piece) <= Some(*byte));
                range = &range[from..to];
                let first = range.first()?;
                Some((first.text.len() == at + 1).then_some(first))
            })
            .flatten()
    }

    fn unknown(&self) -> Result<u32, String> {
        self.unknown.ok_or_else(|| "a character is unknown, and the model has no unk_id".to_owned())
    }

    pub fn id(&self, piece: &str) -> Option<u32> {
        let found = self.pieces.binary_search_by(|known| (*known.text).cmp(piece)).ok()?;
        Some(self.pieces[found].id)
    }

    pub fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        self.pieces.iter().map(|piece| (&*piece.text, piece.id))
    }

    /// Number of entries in the file.
    pub fn size(&self) -> usize {
        self.size
    }
}
