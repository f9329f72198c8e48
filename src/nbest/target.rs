//! What lists can be written as.

use super::formats::{NbestFormat, WRITTEN_FORMATS, WrittenFormat, written_format};
use super::transcript::{TRANSCRIPTS, Transcript};
use super::writer::ListWriter;

/// A form that lists are written in: a format of lists, or transcripts of the best hypotheses.
#[derive(Clone, Copy)]
pub enum Target {
    /// A format that LoRB also reads.
    Lists(&'static dyn WrittenFormat),
    /// Transcripts.
    Transcript(&'static Transcript),
}

impl Target {
    /// All targets: the formats, then the transcripts.
    pub fn all() -> impl Iterator<Item = Self> {
        let formats = WRITTEN_FORMATS.iter().copied().map(Self::Lists);
        formats.chain(TRANSCRIPTS.iter().map(Self::Transcript))
    }

    /// The format of lists that were read.
    #[must_use]
    pub fn of(read: &dyn NbestFormat) -> Option<Self> {
        written_format(read.name()).map(Self::Lists)
    }

    /// The target of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|target| target.name() == name)
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lists(format) => format.name(),
            Self::Transcript(transcript) => transcript.name,
        }
    }

    /// One line of help, without a full stop.
    #[must_use]
    pub fn doc(self) -> &'static str {
        match self {
            Self::Lists(format) => format.doc(),
            Self::Transcript(transcript) => transcript.doc,
        }
    }

    /// A writer of several files, if the target is a folder or can be one.
    #[must_use]
    pub fn folder_writer(self) -> Option<Box<dyn ListWriter>> {
        match self {
            Self::Lists(format) if format.layout().is_some() => Some(format.writer()),
            _ => None,
        }
    }

    /// A writer of one file, if the target is a file or can be one.
    #[must_use]
    pub fn stream_writer(self) -> Option<Box<dyn ListWriter>> {
        match self {
            Self::Lists(format) => format.stream_writer(),
            Self::Transcript(transcript) => Some(transcript.writer()),
        }
    }
}
