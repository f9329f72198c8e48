//! Numbered lines of text from a plain or gzip stream, in bounded memory.

use std::io::{self, BufRead, ErrorKind};

use super::input::Input;
use super::{NbestError, Problem};
use crate::bounds::{MAX_BLANK_BYTES, MAX_LINE_BYTES, MAX_SKIPPED_LINE_BYTES};

/// UTF-8's byte order mark, which some editors write at the start of a file.
pub(super) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

enum Outcome {
    Line,
    /// The line is longer than the limit; its rest has not been read.
    TooLong,
    End,
}

/// Reads lines and counts them; recognises gzip by its first bytes.
pub(super) struct Lines<R> {
    input: Input<R>,
    name: String,
    line: u64,
    buffer: Vec<u8>,
    limit: usize,
    /// Whether the rest of a line that is too long comes next.
    within_line: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, name: impl Into<String>) -> Self {
        Self::with_limit(reader, name, MAX_LINE_BYTES)
    }

    pub(super) fn with_limit(reader: R, name: impl Into<String>, limit: usize) -> Self {
        Self {
            input: Input::Unopened(reader),
            name: name.into(),
            line: 0,
            buffer: Vec::new(),
            limit,
            within_line: false,
        }
    }

    /// The next line that is not blank, with its number. After a bad line, reading can continue with
    /// the next one; after a failure of the stream there are no more lines.
    ///
    /// A line that is too long is an error as soon as the limit is reached, whether or not it ever ends. Its rest is
    /// skipped by the next call.
    pub(super) fn next_line(&mut self) -> Option<Result<(u64, &str), NbestError>> {
        match self.fill_with_text() {
            Ok(Outcome::Line) => {}
            Ok(Outcome::End) => {
                self.input = Input::Ended;
                return None;
            }
            Ok(Outcome::TooLong) => {
                return Some(Err(self.error(self.line, Problem::TooLong { limit: self.limit })));
            }
            Err(error) => {
                self.input = Input::Ended;
                let (name, line) = (self.name.clone(), self.line);
                return Some(Err(NbestError::Stream { name, line, error }));
            }
        }
        // Check first and borrow afterwards: returning the borrow from inside the match would keep
        // `self` borrowed on the error path too.
        if let Err(error) = std::str::from_utf8(&self.buffer) {
            let utf16 = self.line == 1
                && (self.buffer.starts_with(b"\xff\xfe") || self.buffer.starts_with(b"\xfe\xff"));
            return Some(Err(
                self.error(self.line, Problem::NotUtf8 { byte: error.valid_up_to() + 1, utf16 })
            ));
        }
        std::str::from_utf8(&self.buffer).ok().map(|text| Ok((self.line, text)))
    }

    /// The name of the stream.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An error in the given line of this stream.
    pub(super) fn error(&self, line: u64, problem: Problem) -> NbestError {
        NbestError::Line { name: self.name.clone(), line, problem }
    }

    /// Reads lines into `buffer` until one is not blank.
    fn fill_with_text(&mut self) -> io::Result<Outcome> {
        let mut blank = 0;
        loop {
            let outcome = self.fill()?;
            match outcome {
                Outcome::End => return Ok(outcome),
                Outcome::TooLong | Outcome::Line => self.line += 1,
            }
            if self.line == 1 && self.buffer.starts_with(UTF8_BOM) {
                self.buffer.drain(..UTF8_BOM.len());
            }
            if matches!(outcome, Outcome::TooLong) || !is_blank(&self.buffer) {
                return Ok(outcome);
            }
            blank += self.buffer.len() as u64 + 1;
            if blank > MAX_BLANK_BYTES {
                let message = format!("there are more than {MAX_BLANK_BYTES} bytes of blank lines");
                return Err(io::Error::other(message));
            }
        }
    }

    /// Reads the next line into `buffer`, without its line end.
    fn fill(&mut self) -> io::Result<Outcome> {
        let within_line = std::mem::take(&mut self.within_line);
        let outcome = read_line(&mut self.input, &mut self.buffer, self.limit, within_line);
        self.within_line = matches!(outcome, Ok(Outcome::TooLong));
        outcome
    }
}

/// Whether a line has only white space.
fn is_blank(line: &[u8]) -> bool {
    let rest = line.trim_ascii_start();
    let Some(first) = rest.first() else { return true };
    // Most lines begin with an ASCII letter, so the other white space of Unicode costs nothing.
    !first.is_ascii() && std::str::from_utf8(rest).is_ok_and(|rest| rest.trim_start().is_empty())
}

/// Like `read_until(b'\n')`, but stops after more than `limit` bytes. `within_line`: first skips the rest of a line.
fn read_line(
    reader: &mut impl BufRead,
    buffer: &mut Vec<u8>,
    limit: usize,
    within_line: bool,
) -> io::Result<Outcome> {
    buffer.clear();
    if within_line {
        skip_line(reader)?;
    }
    let mut begun = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() && !begun {
            return Ok(Outcome::End);
        }
        let newline = available.iter().position(|&byte| byte == b'\n');
        let ended = newline.is_some() || available.is_empty();
        let piece = &available[..newline.unwrap_or(available.len())];
        begun = true;
        if buffer.len() + piece.len() > limit {
            // The next call skips the piece, and what follows, up to the line end.
            buffer.clear();
            return Ok(Outcome::TooLong);
        }
        buffer.extend_from_slice(piece);
        let used = piece.len() + usize::from(newline.is_some());
        reader.consume(used);
        if ended {
            return Ok(Outcome::Line);
        }
    }
}

/// Skips up to and including the next line end.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    let mut skipped = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let newline = available.iter().position(|&byte| byte == b'\n');
        let used = newline.map_or(available.len(), |at| at + 1);
        let ended = newline.is_some() || available.is_empty();
        reader.consume(used);
        skipped += used as u64;
        if ended {
            return Ok(());
        }
        if skipped > MAX_SKIPPED_LINE_BYTES {
            let message = format!("the line has no end within {MAX_SKIPPED_LINE_BYTES} bytes");
            return Err(io::Error::other(message));
        }
    }
}
