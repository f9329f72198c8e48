//! Writing lists: what a writer is, where its bytes go, and what a format cannot represent.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::error::clip;
use super::{Hypothesis, Note, SeenIds, Utterance};

/// Writes lists in one format.
///
/// - Where a format has a place for each of `score`, `lm` and `total`, each is written there, so that
///   `score` stays the first pass. A format with one score gets the one that orders the list: `total` after rescoring,
///   else `score`.
/// - Nothing is dropped silently. What the format has no place for is counted, and [`ListWriter::finish`] returns the
///   counts as a note.
/// - In formats of lines, a line break in a text is written as a space, and white space around a text is dropped. The
///   words stay the same.
pub trait ListWriter {
    /// Appends a list to the files of `sink`. After an error, nothing of the list was appended, unless the sink failed.
    ///
    /// # Errors
    /// [`WriteError::Utterance`] if the format cannot represent the list at all; [`WriteError::Sink`].
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError>;

    /// Completes the files, and returns what the user should know about them. Call it once, after the last list.
    ///
    /// # Errors
    /// [`WriteError::Sink`].
    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError>;
}

/// The files that a writer appends to. A file exists from the first append on, also if that is of no bytes.
pub trait ListSink {
    /// Appends bytes to a file. Parts of a path are separated by `/`; `""` is the only file of a format of one file.
    ///
    /// # Errors
    /// The file cannot be written.
    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;
}

/// Files in memory, by their paths.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    /// The bytes of each file.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl ListSink for MemoryFiles {
    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        match self.files.get_mut(path) {
            Some(file) => file.extend_from_slice(bytes),
            None => drop(self.files.insert(path.to_owned(), bytes.to_vec())),
        }
        Ok(())
    }
}

/// An error of a writer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The format cannot represent an utterance.
    #[error("utterance {id:?}: {problem}")]
    Utterance {
        /// The utterance.
        id: String,
        /// What the format cannot represent.
        problem: Unwritable,
    },
    /// The files cannot be written.
    #[error("{}cannot write: {error}", Place(path))]
    Sink {
        /// The path of the file, empty for the only file of a format.
        path: String,
        /// The cause.
        error: io::Error,
    },
}

/// What a format cannot represent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// An id with white space, in a format that separates the id by white space.
    #[error("the id contains white space, which {format} uses as a separator")]
    SpaceInId {
        /// The format.
        format: &'static str,
    },
    /// An id that occurs twice, in a format that finds lists by their ids.
    #[error("the id occurs twice; {format} finds lists by their ids")]
    DuplicateId {
        /// The format.
        format: &'static str,
    },
    /// A required value is missing.
    #[error("{what} is missing; {format} requires it")]
    Missing {
        /// The format.
        format: &'static str,
        /// Such as `the reference`, or `hypothesis 3: the score`.
        what: String,
    },
    /// A value that the format has no form for.
    #[error("{what}, which {format} cannot represent")]
    Value {
        /// The format.
        format: &'static str,
        /// Such as `hypothesis 3: score is NaN`.
        what: String,
    },
}

impl Unwritable {
    /// The error for an utterance.
    pub(super) fn of(self, utterance: &Utterance) -> WriteError {
        WriteError::Utterance { id: clip(&utterance.id), problem: self }
    }
}

/// A path in front of a message.
struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// Appends to a file of a sink, with its path in the error.
pub(super) fn append(sink: &mut dyn ListSink, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
    sink.append(path, bytes).map_err(|error| WriteError::Sink { path: path.to_owned(), error })
}

/// What a folder of text files with a line for each hypothesis has a place for.
pub(super) const ALL_BUT_KEYS: [Field; 6] =
    [Field::Reference, Field::Alternative, Field::Score, Field::Part, Field::Lm, Field::Total];

/// Something of a list that a format may have no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// References.
    Reference,
    /// Hypotheses after the best one.
    Alternative,
    /// First-pass scores.
    Score,
    /// Parts of first-pass scores.
    Part,
    /// Scores of the rescoring model.
    Lm,
    /// Combined scores.
    Total,
    /// Unknown keys of lists.
    Key,
    /// Unknown keys of hypotheses.
    HypothesisKey,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::Reference,
        Self::Alternative,
        Self::Score,
        Self::Part,
        Self::Lm,
        Self::Total,
        Self::Key,
        Self::HypothesisKey,
    ];

    /// Singular and plural.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Reference => ["reference", "references"],
            Self::Alternative => ["alternative", "alternatives"],
            Self::Score => ["first-pass score", "first-pass scores"],
            Self::Part => ["score part", "score parts"],
            Self::Lm => ["score of the rescoring model", "scores of the rescoring model"],
            Self::Total => ["combined score", "combined scores"],
            Self::Key => ["unknown key of a list", "unknown keys of lists"],
            Self::HypothesisKey => ["unknown key of a hypothesis", "unknown keys of hypotheses"],
        }
    }

    /// How many of it a list has. `written` are the hypotheses that the format writes.
    fn count(self, utterance: &Utterance, written: &[Hypothesis]) -> usize {
        let some = |value: fn(&Hypothesis) -> Option<f64>| {
            written.iter().filter(|h| value(h).is_some()).count()
        };
        match self {
            Self::Reference => usize::from(utterance.reference.is_some()),
            Self::Alternative => utterance.hypotheses.len().saturating_sub(1),
            Self::Score => some(|h| h.score),
            Self::Part => written.iter().map(|h| h.parts.len()).sum(),
            Self::Lm => some(|h| h.lm),
            Self::Total => some(|h| h.total),
            Self::Key => utterance.extra.len(),
            Self::HypothesisKey => written.iter().map(|h| h.extra.len()).sum(),
        }
    }
}

/// What a writer did not write, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Omitted {
    counts: [u64; Field::ALL.len()],
}

impl Omitted {
    /// Counts everything of a list for which the format has no place. `places` are the fields that the format has a
    /// place for. After rescoring, a format with [`Field::Score`] but no [`Field::Total`] writes the total in place of
    /// the score; see [`Hypothesis::ordering_score`].
    pub(super) fn count(&mut self, utterance: &Utterance, places: &[Field]) {
        let has = |field: Field| places.contains(&field);
        let count = if has(Field::Alternative) { utterance.hypotheses.len() } else { 1 };
        let written = &utterance.hypotheses[..count.min(utterance.hypotheses.len())];
        let one_score = has(Field::Score) && !has(Field::Total);
        for (at, field) in Field::ALL.into_iter().enumerate() {
            self.counts[at] += match field {
                Field::Score if one_score => {
                    written.iter().filter(|h| h.score.is_some() && h.total.is_some()).count()
                }
                Field::Total if one_score => 0,
                _ if has(field) => 0,
                _ => field.count(utterance, written),
            } as u64;
        }
    }

    /// Counts values of a field that were not written for a reason of their own.
    pub(super) fn add(&mut self, field: Field, count: usize) {
        let at = Field::ALL.iter().position(|known| *known == field);
        at.into_iter().for_each(|at| self.counts[at] += count as u64);
    }

    /// The fields that were not written, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Field, u64)> + '_ {
        Field::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// A note about them; none if there is nothing to say.
    pub(super) fn notes(&self, format: &'static str) -> Vec<Note> {
        let omitted = self.clone();
        self.iter().next().map(|_| Note::Omitted { format, omitted }).into_iter().collect()
    }
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, count)) in self.iter().enumerate() {
            let [one, many] = field.names();
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{count} {}", if count == 1 { one } else { many })?;
        }
        Ok(())
    }
}

/// A text for a format of lines: without white space around it, and with a space for each line break and tab.
pub(super) fn one_line(text: &str) -> String {
    text.trim().replace(['\n', '\r', '\t'], " ")
}

/// Checks that all scores are finite, as every reader requires.
pub(super) fn finite(utterance: &Utterance, format: &'static str) -> Result<(), WriteError> {
    for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
        let named =
            [("score", hypothesis.score), ("lm", hypothesis.lm), ("total", hypothesis.total)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in named.chain(hypothesis.parts.iter()) {
            if !value.is_finite() {
                let what = format!("hypothesis {}: {name} is {value}", at + 1);
                return Err(Unwritable::Value { format, what }.of(utterance));
            }
        }
    }
    Ok(())
}

/// The ids of a format in which each may occur only once.
#[derive(Debug, Default)]
pub(super) struct UniqueIds(SeenIds);

impl UniqueIds {
    /// Adds the id of a list.
    pub(super) fn add(
        &mut self,
        utterance: &Utterance,
        format: &'static str,
    ) -> Result<(), WriteError> {
        if self.0.add(&utterance.id) {
            return Ok(());
        }
        Err(Unwritable::DuplicateId { format }.of(utterance))
    }
}

/// The ids of a format that joins its files by them: each without white space, and only once.
#[derive(Debug, Default)]
pub(super) struct JoinedIds(UniqueIds);

impl JoinedIds {
    /// Adds the id of a list.
    pub(super) fn add(
        &mut self,
        utterance: &Utterance,
        format: &'static str,
    ) -> Result<(), WriteError> {
        plain_id(utterance, format)?;
        self.0.add(utterance, format)
    }
}

/// Checks that an id can be separated by white space.
pub(super) fn plain_id(utterance: &Utterance, format: &'static str) -> Result<(), WriteError> {
    if utterance.id.contains(char::is_whitespace) {
        return Err(Unwritable::SpaceInId { format }.of(utterance));
    }
    Ok(())
}
