//! The bytes of a stream of lists, decompressed.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use super::gzip::{GZIP_MAGIC, Members};

/// A stream whose first bytes were read and put back.
type Rewound<R> = Chain<Cursor<Vec<u8>>, R>;

/// A plain or gzip stream. gzip is recognised by its first two bytes.
pub(super) enum Input<R> {
    /// Nothing was read yet.
    Unopened(R),
    /// Not compressed.
    Plain(Rewound<R>),
    // Boxed because the decoder is hundreds of bytes larger than the other states.
    /// Compressed.
    Gzip(Box<BufReader<Members<Rewound<R>>>>),
    /// Also after a failure.
    Ended,
}

impl<R: BufRead> Input<R> {
    /// Decides whether the stream is gzip, if that was not done before.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if let Self::Unopened(_) = self {
            // Set to ended in the meantime, so that a failure to open does not leave a half-read stream.
            if let Self::Unopened(reader) = std::mem::replace(self, Self::Ended) {
                *self = opened(reader)?;
            }
        }
        Ok(())
    }
}

fn opened<R: BufRead>(mut reader: R) -> io::Result<Input<R>> {
    let mut head = Vec::new();
    // `take` instead of `fill_buf`, which may return a single byte at the start of a pipe.
    Read::take(&mut reader, GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    let gzip = head == GZIP_MAGIC;
    let rewound = Cursor::new(head).chain(reader);
    Ok(if gzip {
        Input::Gzip(Box::new(BufReader::new(Members::new(rewound))))
    } else {
        Input::Plain(rewound)
    })
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.open()?;
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Unopened(_) | Self::Ended => Ok(0),
        }
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.open()?;
        match self {
            Self::Plain(reader) => reader.fill_buf(),
            Self::Gzip(reader) => reader.fill_buf(),
            Self::Unopened(_) | Self::Ended => Ok(&[]),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Plain(reader) => reader.consume(count),
            Self::Gzip(reader) => reader.consume(count),
            Self::Unopened(_) | Self::Ended => {}
        }
    }
}
