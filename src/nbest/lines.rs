//! Numbered lines of text from a plain or gzip stream, in bounded memory.

use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::{NbestError, Problem};
use crate::bounds::MAX_LINE_BYTES;

/// The first bytes of every gzip member (RFC 1952, section 2.3.1).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// UTF-8's byte order mark, which some editors write at the start of a file.
pub(super) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// A stream whose first bytes were read and put back.
type Rewound<R> = Chain<Cursor<Vec<u8>>, R>;

enum Input<R> {
    Unopened(R),
    Plain(Rewound<R>),
    // Boxed because the decoder is hundreds of bytes larger than the other states.
    Gzip(Box<BufReader<MultiGzDecoder<Rewound<R>>>>),
    Ended,
}

enum Outcome {
    Line,
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
        }
    }

    /// The next line that is not blank, with its number. After a bad line, reading can continue with
    /// the next one; after a failure of the stream there are no more lines.
    pub(super) fn next_line(&mut self) -> Option<Result<(u64, &str), NbestError>> {
        loop {
            match self.fill() {
                Ok(Outcome::End) => {
                    self.input = Input::Ended;
                    return None;
                }
                Ok(Outcome::TooLong) => {
                    self.line += 1;
                    return Some(
                        Err(self.error(self.line, Problem::TooLong { limit: self.limit })),
                    );
                }
                Ok(Outcome::Line) => self.line += 1,
                Err(error) => {
                    self.input = Input::Ended;
                    return Some(Err(NbestError::Stream {
                        name: self.name.clone(),
                        line: self.line,
                        error,
                    }));
                }
            }
            if self.line == 1 && self.buffer.starts_with(UTF8_BOM) {
                self.buffer.drain(..UTF8_BOM.len());
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
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

    /// An error in the given line of this stream.
    pub(super) fn error(&self, line: u64, problem: Problem) -> NbestError {
        NbestError::Line { name: self.name.clone(), line, problem }
    }

    /// Reads the next line into `buffer`, without its line end.
    fn fill(&mut self) -> io::Result<Outcome> {
        if let Input::Unopened(_) = self.input {
            // Set to ended in the meantime, so that a failure to open does not leave a half-read stream.
            if let Input::Unopened(reader) = std::mem::replace(&mut self.input, Input::Ended) {
                self.input = open(reader)?;
            }
        }
        match &mut self.input {
            Input::Plain(reader) => read_line(reader, &mut self.buffer, self.limit),
            Input::Gzip(reader) => read_line(reader, &mut self.buffer, self.limit),
            Input::Unopened(_) | Input::Ended => Ok(Outcome::End),
        }
    }
}

fn open<R: BufRead>(mut reader: R) -> io::Result<Input<R>> {
    let mut head = Vec::new();
    // `take` instead of `fill_buf`, which may return a single byte at the start of a pipe.
    Read::take(&mut reader, GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let gzip = head == GZIP_MAGIC;
    let rewound = Cursor::new(head).chain(reader);
    Ok(if gzip {
        Input::Gzip(Box::new(BufReader::new(MultiGzDecoder::new(rewound))))
    } else {
        Input::Plain(rewound)
    })
}

/// Like `read_until(b'\n')`, but keeps no more than `limit` bytes.
fn read_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Outcome> {
    buffer.clear();
    let mut seen = false;
    let mut too_long = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() && !seen {
            return Ok(Outcome::End);
        }
        let newline = available.iter().position(|&byte| byte == b'\n');
        let ended = newline.is_some() || available.is_empty();
        let piece = &available[..newline.unwrap_or(available.len())];
        seen = true;
        if too_long || buffer.len() + piece.len() > limit {
            too_long = true;
            buffer.clear();
        } else {
            buffer.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(newline.is_some());
        reader.consume(used);
        if ended {
            return Ok(if too_long { Outcome::TooLong } else { Outcome::Line });
        }
    }
}
