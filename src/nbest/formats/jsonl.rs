//! JSON lines, the format that LoRB reads and writes. See [`nbest`](crate::nbest) for the keys.

use std::io::BufRead;

use super::{
    Glimpse, ListReader, ListSink, ListWriter, NbestFormat, Note, OpenOptions, Source, WriteError,
    WrittenFormat,
};
use crate::nbest::lines::{Lines, UTF8_BOM};
use crate::nbest::renamed::Watch;
use crate::nbest::writer::{append, finite};
use crate::nbest::{NbestError, Problem, ScoreReading, Utterance, parse, write_jsonl};

/// The format.
pub(super) struct Jsonl;

impl NbestFormat for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn doc(&self) -> &'static str {
        "JSON lines: one object per utterance, with id, ref and nbest"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        let Glimpse::Stream(head) = glimpse else { return false };
        let head = head.strip_prefix(UTF8_BOM).unwrap_or(head);
        head.trim_ascii_start().starts_with(b"{")
    }

    fn accepts_score_reading(&self) -> bool {
        true
    }

    fn open(
        &self,
        source: Source,
        options: OpenOptions,
    ) -> Result<Box<dyn ListReader>, NbestError> {
        let stream = source.into_stream(self.name())?;
        Ok(Box::new(JsonLines::new(stream.reader, stream.name).scored(options.scores)))
    }
}

impl WrittenFormat for Jsonl {
    fn writer(&self) -> Box<dyn ListWriter> {
        Box::new(Writer)
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{"id":"u1","ref":"turn it on","nbest":[{"text":"turn it on","score":-3.2},{"text":"turn on"}]}
{"id":"u2","nbest":[{"text":"","score":-0.5,"am":-1.5,"lm":-2}],"speaker":"s7"}
"#,
        )]
    }
}

/// Reads utterances from JSON lines, plain or gzip, one line in memory at a time.
///
/// gzip is recognised by its first two bytes, so the file may have any name; it may have several
/// members. Blank lines are skipped, but counted. A byte order mark is accepted.
///
/// An invalid line yields [`NbestError::Line`], after which the iterator can continue with the next
/// line. A stream that fails yields [`NbestError::Stream`] once and then ends. A truncated gzip file
/// is such a failure; its last, incomplete line is not returned.
///
/// ```
/// use lorb::nbest::JsonLines;
/// let file = b"{\"id\":\"a\",\"nbest\":[{\"text\":\"yes\"}]}\n{\"id\":\"b\",\"nbest\":[]}\n";
/// let mut reader = JsonLines::new(&file[..], "lists.jsonl");
/// assert_eq!(reader.next().unwrap().unwrap().id, "a");
/// assert!(reader.next().unwrap().unwrap_err().to_string().starts_with("lists.jsonl:2: "));
/// assert!(reader.next().is_none());
/// ```
pub struct JsonLines<R> {
    lines: Lines<R>,
    scores: ScoreReading,
    watch: Watch,
    notes: Vec<Note>,
}

impl<R: BufRead> JsonLines<R> {
    /// A reader over `reader`, named `name` in errors.
    pub fn new(reader: R, name: impl Into<String>) -> Self {
        Self {
            lines: Lines::new(reader, name),
            scores: ScoreReading::default(),
            watch: Watch::default(),
            notes: Vec::new(),
        }
    }

    /// The same reader, for scores with another key or meaning.
    #[must_use]
    pub fn scored(self, scores: ScoreReading) -> Self {
        Self { scores, ..self }
    }

    fn parse(scores: &ScoreReading, line: &str) -> Result<Utterance, Problem> {
        let mut utterance = parse::utterance(line)?;
        scores.apply(&mut utterance)?;
        Ok(utterance)
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, parsed) = match self.lines.next_line() {
            Some(Ok((line, text))) => (line, Self::parse(&self.scores, text)),
            Some(Err(error)) => return Some(Err(error)),
            None => {
                self.notes.extend(self.watch.notes(self.lines.name(), true));
                return None;
            }
        };
        if let Ok(utterance) = &parsed {
            self.watch.see(utterance);
            self.notes.extend(self.watch.notes(self.lines.name(), false));
        }
        Some(parsed.map_err(|problem| self.lines.error(line, problem)))
    }
}

impl<R: BufRead> ListReader for JsonLines<R> {
    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

/// Writes a line for each list. This format has a place for everything.
struct Writer;

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        finite(utterance, Jsonl.name())?;
        let mut line = Vec::new();
        write_jsonl(&mut line, utterance)
            .map_err(|error| WriteError::Sink { path: String::new(), error })?;
        append(sink, "", &line)
    }

    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        // The file exists even if there are no lists.
        append(sink, "", b"")?;
        Ok(Vec::new())
    }
}
