//! References in a file of their own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::error::clip;
use super::lines::Lines;
use super::writer::one_line;
use super::{NbestError, Note, Problem, Stream, TooManyLists, Utterance, limits};
use crate::bounds::MAX_LISTS_BYTES;

/// The name of the file of references that LoRB writes into a folder.
pub(super) const REFERENCES: &str = "references";

/// The reference of an utterance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Id of the utterance.
    pub id: String,
    /// Words separated by white space; may be empty.
    pub text: String,
}

/// References from a file in the form of Kaldi's `text`: on each line an utterance id, white space, and the words,
/// possibly none.
///
/// A clone is the same set. Readers of several sources can share it, so that it knows in the end which references no
/// list has.
#[derive(Clone)]
pub struct References(Rc<RefCell<Set>>);

struct Set {
    name: String,
    by_id: HashMap<String, Entry>,
    /// Memory of the map.
    bytes: u64,
    /// Id of the first list without a reference here.
    unmatched: Option<String>,
}

struct Entry {
    text: String,
    used: bool,
}

impl References {
    /// Reads a file, plain or gzip.
    ///
    /// # Errors
    /// The stream fails, an id occurs twice, an id or a text is beyond its limit, or all need more than
    /// [`MAX_LISTS_BYTES`].
    pub fn read(stream: Stream) -> Result<Self, NbestError> {
        let name = stream.name.clone();
        let mut lines = Lines::new(stream.reader, stream.name);
        let mut set = Set { name, by_id: HashMap::new(), bytes: 0, unmatched: None };
        while let Some(line) = lines.next_line() {
            let (line, text) = line?;
            let Some((id, words)) = id_and_rest(text) else { continue };
            if let Err(problem) = set.add(id, words) {
                return Err(lines.error(line, problem));
            }
        }
        Ok(Self(Rc::new(RefCell::new(set))))
    }

    /// Gives a list its reference, if there is one here, in place of its own.
    pub fn complete(&self, list: &mut Utterance) {
        let mut set = self.0.borrow_mut();
        match set.by_id.get_mut(&list.id) {
            Some(entry) => {
                entry.used = true;
                list.reference = Some(entry.text.clone());
            }
            None => {
                set.unmatched.get_or_insert_with(|| list.id.clone());
            }
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.borrow().name.clone()
    }

    /// Whether any list has its reference from here.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.0.borrow().by_id.values().any(|entry| entry.used)
    }

    /// The references that no list has, by id.
    #[must_use]
    pub fn unused(&self) -> Vec<Reference> {
        let set = self.0.borrow();
        let unused = set.by_id.iter().filter(|(_, entry)| !entry.used);
        let mut unused: Vec<Reference> = unused
            .map(|(id, entry)| Reference { id: id.clone(), text: entry.text.clone() })
            .collect();
        unused.sort();
        unused
    }

    /// A note about the references that no list has, if there are any.
    #[must_use]
    pub fn note(&self) -> Option<Note> {
        let unused = self.unused();
        let first = clip(&unused.first()?.id);
        let set = self.0.borrow();
        let unmatched = set.unmatched.as_deref().filter(|_| !self.is_used()).map(clip);
        Some(Note::UnusedReferences {
            name: set.name.clone(),
            count: unused.len(),
            first,
            unmatched,
        })
    }
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.0.borrow();
        write!(f, "{} references from {}", set.by_id.len(), set.name)
    }
}

impl Set {
    fn add(&mut self, id: &str, words: &str) -> Result<(), Problem> {
        if self.by_id.contains_key(id) {
            return Err(Problem::DuplicateId { id: clip(id), place: "the references".into() });
        }
        limits::id(id)?;
        limits::text(words, || format!("the reference of {:?}", clip(id)))?;
        self.bytes += (size_of::<(String, Entry)>() + id.len() + words.len()) as u64;
        if self.bytes > MAX_LISTS_BYTES {
            return Err(TooManyLists { id: clip(id) }.into());
        }
        self.by_id.insert(id.to_owned(), Entry { text: words.to_owned(), used: false });
        Ok(())
    }
}

/// Splits a line of Kaldi's form into the id and the rest, both without white space around them; `None` if it is blank.
pub(super) fn id_and_rest(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (id, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (!id.is_empty()).then(|| (id, rest.trim_start()))
}

/// A line of Kaldi's form with the reference of an utterance, if it has one.
pub(super) fn line(utterance: &Utterance) -> Option<String> {
    let reference = utterance.reference.as_ref()?;
    Some(format!("{} {}\n", utterance.id, one_line(reference)))
}
