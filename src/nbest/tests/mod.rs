//! Unit tests of the readers and the writer.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{JsonLines, NbestError, Utterance};

mod espnet;
mod formats;
mod fuzz;
mod items;
mod json;
mod kaldi;
mod limits;
mod references;
mod round_trip;
mod scores;
mod stream;
mod transcripts;
mod values;

pub(super) const GOOD: &str =
    r#"{"id":"u1","ref":"a b","nbest":[{"text":"a b","score":-1.5},{"text":""}]}"#;

pub(super) fn read(bytes: &[u8]) -> Vec<Result<Utterance, NbestError>> {
    JsonLines::new(bytes, "in").collect()
}

pub(super) fn one(line: &str) -> Utterance {
    let mut all = read(line.as_bytes());
    assert_eq!(all.len(), 1, "{line}");
    all.remove(0).unwrap()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns one byte at a time, like a slow pipe.
pub(super) struct Dribble<'a>(pub &'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(out.len()).min(1);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

pub(super) fn dribble(bytes: &[u8]) -> impl BufRead + '_ {
    BufReader::with_capacity(1, Dribble(bytes))
}
