//! References in a separate file: lines of an utterance id and its words, as in Kaldi's `text`.

use std::collections::HashMap;

use super::Note;
use crate::nbest::error::clip;
use crate::nbest::{Problem, Utterance, limits};

/// The name of the file of references that LoRB writes into a folder.
pub(super) const REFERENCES: &str = "references";

/// References by the ids of their utterances, stored separately from the lists so that a repeated id is detected even
/// if it is not used.
#[derive(Default)]
pub(super) struct References {
    by_id: HashMap<String, String>,
    /// Memory of the map.
    pub bytes: u64,
    /// The file; `None` if there is none.
    pub name: Option<String>,
    /// Whether the caller named the file, rather than the reader having found it.
    pub given: bool,
    /// Whether the file cannot be something else than references.
    pub certain: bool,
}

impl References {
    /// References that will be read from a file.
    pub(super) fn of(name: String, given: bool, certain: bool) -> Self {
        Self { name: Some(name), given, certain, ..Self::default() }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, id: &str, words: &str) -> Result<(), Problem> {
        if self.by_id.contains_key(id) {
            return Err(Problem::DuplicateId { id: clip(id), place: "the references".into() });
        }
        limits::id(id)?;
        limits::text(words, || format!("the reference of {:?}", clip(id)))?;
        self.bytes += (2 * size_of::<String>() + id.len() + words.len()) as u64;
        self.by_id.insert(id.to_owned(), words.to_owned());
        Ok(())
    }

    /// Removes the reference of an utterance.
    pub(super) fn take(&mut self, id: &str) -> Option<String> {
        self.by_id.remove(id)
    }

    /// Notes about a file that was used, or not. `used`: whether a list has a reference.
    pub(super) fn notes(&self, used: bool) -> Vec<Note> {
        let Some(name) = &self.name else { return Vec::new() };
        let mut notes = Vec::new();
        if used && !self.given {
            notes.push(Note::FoundReferences { name: name.clone() });
        }
        let count = self.by_id.len();
        if count > 0 && (used || self.given) {
            notes.push(Note::UnusedReferences { name: name.clone(), count });
        }
        notes
    }
}

/// Splits a line of Kaldi's form into the id and the rest, both without white space around them; `None` if it is blank.
pub(super) fn id_and_rest(line: &str) -> Option<(&str, &str)> {
    // Blank to Unicode, if not to ASCII.
    let line = line.trim();
    let (id, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (!id.is_empty()).then(|| (id, rest.trim_start()))
}

/// A line of Kaldi's form with the reference of an utterance, if it has one.
pub(super) fn line(utterance: &Utterance) -> Option<String> {
    let reference = utterance.reference.as_ref()?;
    Some(format!("{} {}\n", utterance.id, crate::nbest::writer::one_line(reference)))
}
