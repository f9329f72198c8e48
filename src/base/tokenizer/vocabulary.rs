//! Vocabularies and other lists of `tokenizer.json`, whose size is checked while they are read.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::bounds::{MAX_PIECE_BYTES, MAX_PIECES};

/// Word pieces and their ids.
#[derive(Debug)]
pub struct Vocabulary {
    pub pieces: HashMap<String, u32>,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pieces;
        impl<'de> Visitor<'de> for Pieces {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of word pieces and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let (mut pieces, mut count) = (HashMap::new(), 0);
                while let Some((piece, id)) = map.next_entry::<String, u32>()? {
                    // Counts entries, because equal ones take time too.
                    check_piece(count, &piece).map_err(A::Error::custom)?;
                    count += 1;
                    pieces.insert(piece, id);
                }
                Ok(Vocabulary { pieces })
            }
        }
        deserializer.deserialize_map(Pieces)
    }
}

/// The lines of `vocab.txt`; a piece's id is the index of its last line.
impl Vocabulary {
    pub fn from_lines(text: &str) -> Result<Self, String> {
        let mut pieces = HashMap::new();
        for (id, line) in text.lines().enumerate() {
            let piece = line.trim_end();
            // Counts lines, so that ids stay small even if all are equal.
            check_piece(id, piece)?;
            pieces.insert(piece.to_owned(), id as u32);
        }
        Ok(Self { pieces })
    }
}

/// Checks the size of a vocabulary and of its next piece.
pub fn check_piece(count: usize, piece: &str) -> Result<(), String> {
    if count >= MAX_PIECES {
        return Err(format!("the vocabulary has more than {MAX_PIECES} word pieces"));
    }
    if piece.len() > MAX_PIECE_BYTES {
        let length = piece.len();
        return Err(format!("a word piece has {length} bytes; expected at most {MAX_PIECE_BYTES}"));
    }
    Ok(())
}

/// Reads a list of at most `LIMIT` entries, for `#[serde(deserialize_with)]`.
pub fn short_list<'de, const LIMIT: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Entries<const LIMIT: usize, T>(PhantomData<T>);
    impl<'de, const LIMIT: usize, T: Deserialize<'de>> Visitor<'de> for Entries<LIMIT, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {LIMIT} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = sequence.next_element()? {
                if entries.len() == LIMIT {
                    return Err(A::Error::custom(format!("a list has more than {LIMIT} entries")));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(Entries::<LIMIT, T>(PhantomData))
}
