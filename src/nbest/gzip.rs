//! gzip streams, with a limit on what they expand to.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

use crate::bounds::{GZIP_FREE_BYTES, MAX_BLANK_BYTES, MAX_GZIP_RATIO};

/// The first bytes of every gzip member (RFC 1952, section 2.3.1).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads the members of a gzip stream one after the other.
///
/// Zeros after the last member are ignored, as gzip does: tapes and block devices pad files with them. Reading fails
/// once the data expands beyond [`MAX_GZIP_RATIO`].
pub(super) struct Members<R> {
    /// `None` after the last member.
    member: Option<GzDecoder<Counted<R>>>,
    /// Bytes returned.
    expanded: u64,
    /// Bytes that are returned whatever the ratio.
    free: u64,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self::with_free(reader, GZIP_FREE_BYTES)
    }

    pub(super) fn with_free(reader: R, free: u64) -> Self {
        Self { member: Some(GzDecoder::new(Counted { reader, read: 0 })), expanded: 0, free }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                self.expanded += count as u64;
                let read = member.get_ref().read;
                if self.expanded > self.free && self.expanded / MAX_GZIP_RATIO > read {
                    return Err(io::Error::other(format!(
                        "its gzip data expands to more than {MAX_GZIP_RATIO} times its size; \
                         if that is expected, decompress it first"
                    )));
                }
                return Ok(count);
            }
            if buffer.is_empty() {
                return Ok(0);
            }
            if let Some(ended) = self.member.take() {
                self.member = next_member(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// The member after the previous one; `None` if only padding follows.
fn next_member<R: BufRead>(mut reader: Counted<R>) -> io::Result<Option<GzDecoder<Counted<R>>>> {
    let mut padding = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(None);
        }
        let zeros = available.iter().take_while(|byte| **byte == 0).count();
        if zeros < available.len() && padding + zeros == 0 {
            return Ok(Some(GzDecoder::new(reader)));
        }
        padding += zeros;
        if zeros < available.len() || padding as u64 > MAX_BLANK_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "data after the last member"));
        }
        reader.consume(zeros);
    }
}

/// Counts the bytes read.
struct Counted<R> {
    reader: R,
    read: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.read += count as u64;
        self.reader.consume(count);
    }
}
