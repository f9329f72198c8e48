//! Errors in N-best input, with hints on how to fix them.

use std::fmt;
use std::io;

use super::TooManyLists;
use crate::bounds::{
    MAX_HYPOTHESES, MAX_ID_BYTES, MAX_LINE_BYTES, MAX_SCORE_PARTS, MAX_TEXT_BYTES, MAX_TEXT_WORDS,
    MAX_UNKNOWN_KEYS,
};
use crate::foreign::Foreign;

/// An error of a reader. Its text is one line with the source, the line, the cause and, if there
/// is one, a hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NbestError {
    /// One line is invalid. Reading can continue with the next.
    #[error("{name}:{line}: {problem}{}", Tail(problem.hint()))]
    Line {
        /// The name of the stream.
        name: String,
        /// Line number, from 1.
        line: u64,
        /// The problem.
        problem: Problem,
    },
    /// The stream failed: truncated, damaged or unreadable. Reading ends.
    #[error(
        "{name}: {} after line {line}: {error}{}",
        stream_failure(error),
        Tail(stream_hint(error))
    )]
    Stream {
        /// The name of the stream.
        name: String,
        /// The last complete line; 0 if there was none.
        line: u64,
        /// The cause.
        error: io::Error,
    },
    /// A file or a folder cannot be opened.
    #[error("{name}: cannot read: {error}")]
    Open {
        /// Its name.
        name: String,
        /// The cause.
        error: io::Error,
    },
    /// The file around the lists is invalid, so that reading cannot continue.
    #[error("{name}:{line}: {problem}{}", Tail(problem.hint()))]
    Broken {
        /// The name of the stream.
        name: String,
        /// Line number, from 1.
        line: u64,
        /// The problem.
        problem: Problem,
    },
    /// A source is not what its format expects.
    #[error("{name}: {problem}{}", Tail(problem.hint()))]
    Source {
        /// The name of the file or folder.
        name: String,
        /// The problem.
        problem: Problem,
    },
}

impl NbestError {
    /// Whether only one line was bad, so that a caller can skip it and continue.
    #[must_use]
    pub fn is_line(&self) -> bool {
        matches!(self, Self::Line { .. })
    }

    /// Line number from 1, if the error is about one line.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Line { line, .. } | Self::Broken { line, .. } => Some(*line),
            Self::Stream { .. } | Self::Open { .. } | Self::Source { .. } => None,
        }
    }
}

/// What is wrong with a line or a stream. `Display` gives the cause, [`Problem::hint`] a way to fix it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {byte} of the line is not UTF-8")]
    NotUtf8 {
        /// Position of the first bad byte, from 1.
        byte: usize,
        /// Whether the file starts like UTF-16.
        utf16: bool,
    },
    /// The line is not JSON.
    #[error("not valid JSON at column {column}: {message}")]
    Syntax {
        /// Position in bytes, from 1.
        column: usize,
        /// The parser's message.
        message: String,
        /// A likely cause.
        hint: Option<&'static str>,
    },
    /// A number that JSON cannot represent, or that overflows.
    #[error("number at column {column} is not finite")]
    NotFinite {
        /// Position in bytes, from 1.
        column: usize,
    },
    /// A key occurs twice in one object.
    #[error("key {key:?} occurs twice in one object (column {column})")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The end of the second occurrence, in bytes from 1.
        column: usize,
    },
    /// A part of the first-pass score occurs twice.
    #[error("hypothesis {index}: the score part {part:?} occurs twice")]
    RepeatedPart {
        /// Position of the hypothesis, from 1.
        index: usize,
        /// Name of the part.
        part: String,
    },
    /// A hypothesis has more than [`MAX_SCORE_PARTS`] score parts.
    #[error("hypothesis {index}: more than {MAX_SCORE_PARTS} score parts")]
    ManyParts {
        /// Position of the hypothesis, from 1.
        index: usize,
    },
    /// The line is JSON, but not an object.
    #[error("expected one object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// A required key is missing.
    #[error("{place}key {key:?} is missing")]
    MissingKey {
        /// Where: empty for the utterance, or `hypothesis 3: `.
        place: String,
        /// The key.
        key: &'static str,
        /// A likely cause.
        hint: Option<&'static str>,
    },
    /// A key has a value of the wrong kind.
    #[error("{place}key {key:?} must be {expected}, found {found}")]
    WrongKind {
        /// Where: empty for the utterance, or `hypothesis 3: `.
        place: String,
        /// The key.
        key: &'static str,
        /// The required kind.
        expected: &'static str,
        /// The kind of value found.
        found: &'static str,
    },
    /// A member of `nbest` is not an object.
    #[error("hypothesis {index} must be an object, found {found}")]
    NotAHypothesis {
        /// Position in the list, from 1.
        index: usize,
        /// The kind of value found.
        found: &'static str,
    },
    /// `id` is empty or blank.
    #[error("key \"id\" is empty")]
    EmptyId,
    /// There are no hypotheses.
    #[error("key {key:?} is an empty list")]
    EmptyList {
        /// The key of the list, such as `nbest`.
        key: &'static str,
    },
    /// There are more than [`MAX_HYPOTHESES`].
    #[error("key {key:?} has {count} hypotheses, more than {MAX_HYPOTHESES}")]
    TooMany {
        /// The key of the list, such as `nbest`.
        key: &'static str,
        /// Number of hypotheses.
        count: usize,
    },
    /// A hypothesis or a reference is longer than [`MAX_TEXT_BYTES`].
    #[error("{place} has {bytes} bytes, more than {MAX_TEXT_BYTES}")]
    LongText {
        /// Such as `hypothesis 3: key "text"`.
        place: String,
        /// Its length.
        bytes: usize,
    },
    /// A hypothesis or a reference has more than [`MAX_TEXT_WORDS`].
    #[error("{place} has {words} words, more than {MAX_TEXT_WORDS}")]
    ManyWords {
        /// Such as `hypothesis 3: key "text"`.
        place: String,
        /// Number of words.
        words: usize,
    },
    /// An id is longer than [`MAX_ID_BYTES`].
    #[error("the id has {bytes} bytes, more than {MAX_ID_BYTES}")]
    LongId {
        /// Its length.
        bytes: usize,
    },
    /// A list or a hypothesis has more than [`MAX_UNKNOWN_KEYS`].
    #[error("{place} has more than {MAX_UNKNOWN_KEYS} unknown keys")]
    ManyKeys {
        /// `the list`, or `hypothesis 3`.
        place: String,
    },
    /// The lists of a format that needs all of them in memory are too many.
    #[error(transparent)]
    TooManyLists(#[from] TooManyLists),
    /// A score of a per-rank file is not a finite number.
    #[error("score of {id:?} is not a finite number: {found:?}")]
    BadScore {
        /// The utterance.
        id: String,
        /// The text found instead of a score.
        found: String,
    },
    /// The value that was to be the score is not a number.
    #[error("hypothesis {index}: key {key:?} must be a finite number or null, found {found}")]
    BadKeyedScore {
        /// Position of the hypothesis, from 1.
        index: usize,
        /// The key.
        key: String,
        /// Its value.
        found: String,
    },
    /// A score that is computed from the values in the file is too large for a number.
    #[error("hypothesis {index}: the score that follows from its values is not a finite number")]
    ScoreOverflow {
        /// Position of the hypothesis, from 1.
        index: usize,
    },
    /// A score that was to be a probability.
    #[error("hypothesis {index}: the score {found} is not a probability from 0 to 1")]
    NotAProbability {
        /// Position of the hypothesis, from 1.
        index: usize,
        /// The score.
        found: String,
    },
    /// The meaning of scores was given for a format that defines it.
    #[error(
        "the format {format} defines what its scores are; they cannot be read as something else"
    )]
    ScoresDefined {
        /// The format.
        format: &'static str,
    },
    /// The scores of a per-rank file are not a dictionary of finite numbers.
    #[error("scores of {id:?} are not a dictionary of finite numbers: {found:?}")]
    BadScores {
        /// The utterance.
        id: String,
        /// The text found.
        found: String,
    },
    /// The same utterance occurs twice in the files of one rank, or in the references.
    #[error("{id:?} occurs twice in {place}")]
    DuplicateId {
        /// The utterance.
        id: String,
        /// Such as `rank 3`.
        place: String,
    },
    /// A score for an utterance without text at this rank.
    #[error("{id:?} has a score but no text at rank {rank}")]
    ScoreWithoutText {
        /// The utterance.
        id: String,
        /// The rank, from 1.
        rank: usize,
    },
    /// Numbers of words in place of words.
    #[error("has numbers of words, not words")]
    WordNumbers,
    /// A hypothesis whose name has no number.
    #[error("{name:?} does not end with the number of the hypothesis, such as -1")]
    Unnumbered {
        /// The name.
        name: String,
    },
    /// A cost that belongs to no hypothesis, or that is in another order than the hypotheses.
    #[error("line {line}: {name:?} has a cost but no text at its place")]
    CostWithoutText {
        /// The line of the cost, from 1.
        line: u64,
        /// The name of the hypothesis.
        name: String,
    },
    /// A line of another form.
    #[error("the line is not {expected}")]
    Form {
        /// The form of the lines.
        expected: &'static str,
    },
    /// Utterances without the lines for their hypotheses.
    #[error("{id:?} has no hypothesis")]
    NoHypothesis {
        /// The utterance.
        id: String,
    },
    /// Beams without the manifest that gives the utterances.
    #[error("the utterances are not known: there is no manifest")]
    NoManifest,
    /// A manifest for a format that has none.
    #[error("the format {format} has no manifest")]
    TakesNoManifest {
        /// The format.
        format: &'static str,
    },
    /// Several files, each of which may be the lists.
    #[error("has several files that end with {suffix}; which one is meant?")]
    SeveralFiles {
        /// The end of their names.
        suffix: &'static str,
    },
    /// Beams that do not have the same number of rows for each line of the manifest.
    #[error("{rows} rows do not divide by the {lists} lines of the manifest")]
    UnevenRows {
        /// Number of rows.
        rows: usize,
        /// Number of lines of the manifest.
        lists: usize,
    },
    /// A folder of no known format.
    #[error("no N-best lists found; expected a file, or a folder with {expected}")]
    NoLists {
        /// A path of each format of several files.
        expected: String,
    },
    /// A folder, for a format that is one file.
    #[error("is a folder; the format {format} is a file")]
    IsFolder {
        /// The format.
        format: &'static str,
    },
    /// A file, for a format of several files.
    #[error("is a file; the format {format} is a folder")]
    IsFile {
        /// The format.
        format: &'static str,
    },
    /// A list is longer than [`MAX_LINE_BYTES`].
    #[error("the list is longer than {limit} bytes")]
    LongItem {
        /// The limit.
        limit: usize,
    },
    /// A list of values for the hypotheses has another length than the list of hypotheses.
    #[error("key {key:?} has {found} values for {hypotheses} hypotheses")]
    Lengths {
        /// The key.
        key: &'static str,
        /// Number of values.
        found: usize,
        /// Number of hypotheses.
        hypotheses: usize,
    },
    /// A problem of an utterance whose id is known.
    #[error("utterance {id:?}: {problem}")]
    Utterance {
        /// The utterance.
        id: String,
        /// The problem.
        problem: Box<Problem>,
    },
    /// The file is of another kind.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// A rank outside 1 to [`MAX_HYPOTHESES`].
    #[error("rank {rank} is outside 1 to {MAX_HYPOTHESES}")]
    BadRank {
        /// The rank.
        rank: usize,
    },
}

impl Problem {
    /// How to fix it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooLong { limit } if *limit == MAX_LINE_BYTES => {
                Some("N-best files have one utterance per line; is this one?")
            }
            Self::NotUtf8 { utf16: true, .. } => {
                Some("the file looks like UTF-16; convert it to UTF-8")
            }
            Self::NotUtf8 { .. } => {
                Some("convert the file to UTF-8, or check that it is a text file")
            }
            Self::Syntax { hint, .. } | Self::MissingKey { hint, .. } => *hint,
            Self::NotFinite { .. } => Some("omit an unknown score, or write null"),
            Self::NotAnObject { found: "a list" } => {
                Some("write one object per line, without a surrounding list")
            }
            Self::WrongKind { key: "id", .. } => Some("write the id in double quotes"),
            Self::WrongKind { key: "score" | "am" | "lm" | "total", .. } => {
                Some("scores are log-probabilities; omit an unknown one, or write null")
            }
            Self::NotAHypothesis { found: "a string", .. } => {
                Some("write each hypothesis as {\"text\": ..., \"score\": ...}")
            }
            Self::EmptyList { .. } => {
                Some("a list needs at least one hypothesis; its text may be empty")
            }
            Self::TooMany { .. } | Self::BadRank { .. } => Some("keep the best 200"),
            Self::LongText { .. } | Self::ManyWords { .. } => {
                Some("a list is for one utterance; split longer recordings")
            }
            Self::TooManyLists(_) => Some("split them into several inputs"),
            Self::BadScore { .. } => Some("scores and costs look like -12.3 or tensor(-12.3)"),
            Self::WordNumbers => Some("write words_text with utils/int2sym.pl -f 2- words.txt"),
            Self::CostWithoutText { .. } => {
                Some("the files of an archive list the same hypotheses in the same order")
            }
            Self::NoManifest => Some("NeMo's rows have no ids; give the manifest that was decoded"),
            Self::UnevenRows { .. } => Some(
                "the manifest is of another data set, or the beams have different lengths; every utterance needs the same number of rows",
            ),
            Self::BadScores { .. } => {
                Some("scores look like {'decoder': tensor(-12.3), 'ctc': tensor(-4.5)}")
            }
            Self::Foreign(what) => what.list_hint(),
            Self::Utterance { problem, .. } => problem.hint(),
            Self::ScoreWithoutText { .. } => {
                Some("the text and score files of this rank do not match")
            }
            _ => None,
        }
    }
}

/// A hint at the end of an error line.
struct Tail(Option<&'static str>);

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// gzip reports a stream that ends early as `UnexpectedEof` and a wrong byte as one of two others.
fn stream_failure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "gzip data truncated",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "gzip data damaged",
        _ => "cannot be read",
    }
}

fn stream_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Some("copy or create the file again; `gzip -t` checks it")
        }
        _ => None,
    }
}

/// The start of a value, to identify it; a line may be megabytes long.
pub(super) fn clip(value: &str) -> String {
    const KEPT: usize = 40;
    match value.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}
