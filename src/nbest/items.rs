//! Splits a stream of JSON into its lists, in bounded memory: one value at a time, whatever the file around it.

use std::io::{self, BufRead, ErrorKind};

use super::input::Input;
use super::lines::UTF8_BOM;
use super::value_end::Scan;
use super::{NbestError, Problem};
use crate::bounds::{MAX_BLANK_BYTES, MAX_LINE_BYTES, MAX_SKIPPED_LINE_BYTES};

/// Where the lists are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Values one after the other, each on a line or on several, or the elements of a list.
    Values,
    /// Values one after the other; a list is one of them.
    Whole,
    /// The members of an object, by key.
    Members,
    /// The elements of the list that objects have under this key.
    Under(&'static str),
}

/// The text of one value, and its place in the file.
pub(super) struct Item<'a> {
    /// The text, with a space for every line break.
    pub text: &'a str,
    /// The key, for [`Layout::Members`].
    pub key: Option<&'a str>,
    place: &'a Place,
}

/// Where the buffer comes from.
#[derive(Default)]
struct Place {
    /// Number of the first line, from 1.
    line: u64,
    /// Bytes of that line before the value.
    column: usize,
    /// Offsets of the line breaks in the value.
    breaks: Vec<usize>,
}

impl Place {
    /// Line and column of an offset in the value, from 1.
    fn at(&self, column: usize) -> (u64, usize) {
        let before = self.breaks.partition_point(|end| *end < column.saturating_sub(1));
        let line = self.line + before as u64;
        match before.checked_sub(1) {
            None => (line, self.column + column),
            Some(last) => (line, column - self.breaks[last] - 1),
        }
    }
}

impl Item<'_> {
    /// The line of a problem, and the problem with the column in that line.
    pub(super) fn locate(&self, problem: Problem) -> (u64, Problem) {
        let column = match &problem {
            Problem::Syntax { column, .. }
            | Problem::NotFinite { column }
            | Problem::DuplicateKey { column, .. } => *column,
            _ => return (self.place.line, problem),
        };
        let (line, column) = self.place.at(column);
        let problem = match problem {
            Problem::NotFinite { .. } => Problem::NotFinite { column },
            Problem::DuplicateKey { key, .. } => Problem::DuplicateKey { key, column },
            // Its hint is for one object on each line.
            Problem::Syntax { message, .. } => {
                let cut = message.starts_with("EOF");
                let hint = cut.then_some("the file is truncated, or a bracket is missing");
                Problem::Syntax { column, message, hint }
            }
            other => other,
        };
        (line, problem)
    }
}

/// What is open around the next value.
enum Frame {
    List { first: bool },
    Object { first: bool },
}

/// How a value ended.
#[derive(PartialEq, Eq)]
enum Ending {
    Complete,
    TooLong,
}

/// Why there is no further value.
enum Stop {
    Io(io::Error),
    /// The file is not what its layout says.
    Broken(Problem),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads values and their places.
pub(super) struct Items<R> {
    input: Input<R>,
    name: String,
    layout: Layout,
    frames: Vec<Frame>,
    /// Line of the next byte, from 1, and the bytes of it that were read.
    line: u64,
    column: usize,
    buffer: Vec<u8>,
    key: Option<String>,
    place: Place,
    limit: usize,
    begun: bool,
}

impl<R: BufRead> Items<R> {
    pub(super) fn new(reader: R, name: impl Into<String>, layout: Layout) -> Self {
        Self::with_limit(reader, name, layout, MAX_LINE_BYTES)
    }

    pub(super) fn with_limit(
        reader: R,
        name: impl Into<String>,
        layout: Layout,
        limit: usize,
    ) -> Self {
        Self {
            input: Input::Unopened(reader),
            name: name.into(),
            layout,
            frames: Vec::new(),
            line: 1,
            column: 0,
            buffer: Vec::new(),
            key: None,
            place: Place::default(),
            limit,
            begun: false,
        }
    }

    /// The next value. After an error for which [`NbestError::is_line`] is true, reading can continue.
    pub(super) fn next_item(&mut self) -> Option<Result<Item<'_>, NbestError>> {
        match self.advance() {
            Ok(None) => {
                self.input = Input::Ended;
                None
            }
            Ok(Some(Ending::TooLong)) => {
                Some(Err(self.error(self.place.line, Problem::LongItem { limit: self.limit })))
            }
            Ok(Some(Ending::Complete)) => {
                if let Err(error) = std::str::from_utf8(&self.buffer) {
                    let (line, byte) = self.place.at(error.valid_up_to() + 1);
                    return Some(Err(self.error(line, Problem::NotUtf8 { byte, utf16: false })));
                }
                let text = std::str::from_utf8(&self.buffer).unwrap_or_default();
                Some(Ok(Item { text, key: self.key.as_deref(), place: &self.place }))
            }
            Err(stop) => {
                self.input = Input::Ended;
                self.frames.clear();
                let name = self.name.clone();
                Some(Err(match stop {
                    Stop::Io(error) => NbestError::Stream { name, line: self.line - 1, error },
                    Stop::Broken(problem) => NbestError::Broken { name, line: self.line, problem },
                }))
            }
        }
    }

    /// An error in the given line.
    pub(super) fn error(&self, line: u64, problem: Problem) -> NbestError {
        NbestError::Line { name: self.name.clone(), line, problem }
    }

    fn advance(&mut self) -> Result<Option<Ending>, Stop> {
        self.skip_bom()?;
        self.key = None;
        loop {
            let Some(byte) = self.after_blank()? else {
                return if self.frames.is_empty() { Ok(None) } else { Err(self.truncated()) };
            };
            match (self.frames.last_mut(), byte) {
                (None, b'[') if self.layout != Layout::Whole => {
                    self.take(1);
                    self.frames.push(Frame::List { first: true });
                }
                (None, b'{') if matches!(self.layout, Layout::Members | Layout::Under(_)) => {
                    self.take(1);
                    self.frames.push(Frame::Object { first: true });
                }
                (None, b'{' | b'[') => return Ok(Some(self.value()?)),
                (None, _) => return Ok(Some(self.rest_of_line()?)),
                (Some(Frame::List { .. }), b']') | (Some(Frame::Object { .. }), b'}') => {
                    self.take(1);
                    self.frames.pop();
                }
                (Some(Frame::List { first }), _) => {
                    if !std::mem::take(first) {
                        self.expect(b',')?;
                    }
                    return Ok(Some(self.value()?));
                }
                (Some(Frame::Object { first }), _) => {
                    if !std::mem::take(first) {
                        self.expect(b',')?;
                    }
                    if let Some(ending) = self.member()? {
                        return Ok(Some(ending));
                    }
                }
            }
        }
    }

    /// Reads a member of an object. `None` if it has no list, or opens one.
    fn member(&mut self) -> Result<Option<Ending>, Stop> {
        self.key = Some(self.member_key()?);
        self.expect(b':')?;
        match self.layout {
            Layout::Under(list) if self.key.as_deref() == Some(list) => {
                self.key = None;
                if self.after_blank()? == Some(b'[') {
                    self.take(1);
                    self.frames.push(Frame::List { first: true });
                    return Ok(None);
                }
                Ok(Some(self.value()?))
            }
            Layout::Under(_) => self.value().map(|_| None),
            _ => self.value().map(Some),
        }
    }

    fn member_key(&mut self) -> Result<String, Stop> {
        if self.after_blank()? != Some(b'"') {
            return Err(self.unexpected("a key in double quotes")?);
        }
        self.value()?;
        serde_json::from_slice(&self.buffer)
            .map_err(|_| Stop::Broken(syntax(self.place.column + 1, "invalid key".to_owned())))
    }

    fn expect(&mut self, mark: u8) -> Result<(), Stop> {
        if self.after_blank()? != Some(mark) {
            return Err(self.unexpected(&format!("`{}`", char::from(mark)))?);
        }
        self.take(1);
        Ok(())
    }

    fn unexpected(&mut self, expected: &str) -> Result<Stop, Stop> {
        let found = match self.after_blank()? {
            None => return Ok(self.truncated()),
            Some(byte) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte {byte:#04x}"),
        };
        let message = format!("expected {expected} between lists, found {found}");
        Ok(Stop::Broken(syntax(self.column + 1, message)))
    }

    fn truncated(&self) -> Stop {
        Stop::Broken(Problem::Syntax {
            column: self.column + 1,
            message: "the file ends within its outer list or object".to_owned(),
            hint: Some("it is truncated, or still being written"),
        })
    }

    /// Reads a value into the buffer, up to its last byte. White space before it is skipped.
    fn value(&mut self) -> Result<Ending, Stop> {
        if self.after_blank()?.is_none() {
            return Err(self.truncated());
        }
        self.begin();
        let mut scan = Scan::new(self.frames.is_empty());
        let (mut ending, mut read) = (Ending::Complete, 0_u64);
        loop {
            let available = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if available.is_empty() {
                return Ok(ending);
            }
            let used = available.iter().position(|byte| !scan.continues(*byte));
            let count = used.unwrap_or(available.len());
            let count = count + usize::from(used.is_some() && scan.includes_last);
            read += count as u64;
            if ending == Ending::Complete && self.buffer.len() + count > self.limit {
                ending = Ending::TooLong;
                self.buffer = Vec::new();
            }
            if read > MAX_SKIPPED_LINE_BYTES {
                let message = format!("a list has no end within {MAX_SKIPPED_LINE_BYTES} bytes");
                return Err(Stop::Io(io::Error::other(message)));
            }
            if ending == Ending::Complete {
                let start = self.buffer.len();
                self.buffer.extend_from_slice(&available[..count]);
                self.place.note_breaks(&mut self.buffer, start, !scan.broken);
            }
            self.take(count);
            if used.is_some() {
                return Ok(ending);
            }
        }
    }

    /// Reads what is not a value, up to the end of its line.
    fn rest_of_line(&mut self) -> Result<Ending, Stop> {
        self.begin();
        let mut ending = Ending::Complete;
        let mut read = 0_u64;
        loop {
            let available = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let count = end.unwrap_or(available.len());
            if count == 0 {
                return Ok(ending);
            }
            read += count as u64;
            if self.buffer.len() + count > self.limit {
                ending = Ending::TooLong;
                self.buffer = Vec::new();
            }
            if read > MAX_SKIPPED_LINE_BYTES {
                let message = format!("the line has no end within {MAX_SKIPPED_LINE_BYTES} bytes");
                return Err(Stop::Io(io::Error::other(message)));
            }
            if ending == Ending::Complete {
                self.buffer.extend_from_slice(&available[..count]);
            }
            self.take(count);
        }
    }

    fn begin(&mut self) {
        self.buffer.clear();
        self.place = Place { line: self.line, column: self.column, breaks: Vec::new() };
    }

    fn skip_bom(&mut self) -> Result<(), Stop> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        for expected in UTF8_BOM {
            if self.peek()? != Some(*expected) {
                break;
            }
            self.input.consume(1);
        }
        Ok(())
    }

    /// The next byte after white space.
    fn after_blank(&mut self) -> Result<Option<u8>, Stop> {
        let mut blank = 0_u64;
        while let Some(byte) = self.peek()? {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(Some(byte));
            }
            self.take(1);
            blank += 1;
            if blank > MAX_BLANK_BYTES {
                let message = format!("there are more than {MAX_BLANK_BYTES} bytes of white space");
                return Err(Stop::Io(io::Error::other(message)));
            }
        }
        Ok(None)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Consumes bytes that are in the input's buffer, and counts lines.
    fn take(&mut self, count: usize) {
        let bytes = self.input.fill_buf().unwrap_or_default();
        let bytes = &bytes[..count.min(bytes.len())];
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.column = bytes.len() - last - 1;
            }
            None => self.column += bytes.len(),
        }
        let count = bytes.len();
        self.input.consume(count);
    }
}

impl Place {
    /// Notes the line breaks, and replaces each by a space.
    fn note_breaks(&mut self, buffer: &mut [u8], start: usize, replace: bool) {
        for (at, byte) in buffer.iter_mut().enumerate().skip(start) {
            if *byte == b'\n' {
                self.breaks.push(at);
                *byte = if replace { b' ' } else { b'\n' };
            }
        }
    }
}

fn syntax(column: usize, message: String) -> Problem {
    Problem::Syntax { column, message, hint: None }
}
