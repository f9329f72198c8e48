//! The reader of JSON lines.

use std::io::BufRead;

use super::lines::Lines;
use super::{NbestError, Utterance, parse};

/// Reads utterances from JSON lines, plain or gzip (of one or several members), one line in memory
/// at a time.
///
/// The form is told from the first two bytes, so the name of the file does not matter. Blank lines
/// are passed over, though they count; a byte order mark is accepted.
///
/// An invalid line yields [`NbestError::Line`], and the iterator goes on with the next line when it
/// is asked to: stop there, or count it and read on. A stream that fails yields
/// [`NbestError::Stream`] once and then ends; a gzip file that is cut short is such a failure, and of
/// the last line it gives nothing.
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
}

impl<R: BufRead> JsonLines<R> {
    /// A reader over `reader`; errors will call it `name`.
    pub fn new(reader: R, name: impl Into<String>) -> Self {
        Self { lines: Lines::new(reader, name) }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, parsed) = match self.lines.next_line()? {
            Ok((line, text)) => (line, parse::utterance(text)),
            Err(error) => return Some(Err(error)),
        };
        Some(parsed.map_err(|problem| self.lines.error(line, problem)))
    }
}
