//! The formats of lists: their readers and writers.
//!
//! A format is a file of this folder and a line of `formats!`. Everything else follows from the
//! registry: `--format`, `--to` and their help, detection, the npm package, and the tests that every reader and
//! writer must pass.

mod ctranslate2_whisper;
mod espnet;
mod hyporadise;
mod hypr;
mod icefall;
mod json;
mod json_write;
mod jsonl;
mod kaldi;
mod mlm_scoring;
mod nemo;
mod normalised;
mod outline;
mod python;
mod sherpa_onnx;
mod transformers;
mod vosk;
mod web_speech;

use std::fmt;
use std::io;
use std::str::FromStr;

use super::source::{Folder, Source, Stream};
use super::writer::{ListSink, ListWriter, WriteError};
use super::{NbestError, Note, Problem, Reference, References, ScoreReading, Utterance};
use crate::foreign::{Expected, Foreign};

pub use jsonl::JsonLines;

/// Makes both registries of the same formats.
macro_rules! formats {
    ($($format:expr,)+) => {
        /// The formats, in the order of detection: the most specific first.
        ///
        /// A stream of unknown format is read as the last one, whose reader then reports the error.
        pub static FORMATS: &[&dyn NbestFormat] = &[$(&$format,)+];

        /// The same formats, with their writers. What only reads lists, as browsers do, does not contain these.
        pub static WRITTEN_FORMATS: &[&dyn WrittenFormat] = &[$(&$format,)+];
    };
}

formats! {
    espnet::Espnet,
    kaldi::Kaldi,
    nemo::Nemo,
    icefall::Icefall,
    mlm_scoring::MlmScoring,
    hyporadise::Hyporadise,
    hypr::Hypr,
    sherpa_onnx::SherpaOnnx,
    vosk::Vosk,
    web_speech::WebSpeech,
    transformers::Transformers,
    ctranslate2_whisper::Ctranslate2Whisper,
    jsonl::Jsonl,
}

/// A format of N-best lists.
///
/// A reader keeps one list in memory at a time if the format allows it. It validates its input, and returns
/// scores as natural log-probabilities, higher is better: the reader converts costs and other
/// bases. A score that is missing in the file is `None`.
pub trait NbestFormat: Sync {
    /// The name on the command line, such as `jsonl`.
    fn name(&self) -> &'static str;

    /// One line of help, without a full stop.
    fn doc(&self) -> &'static str;

    /// For a format of several files, a path in such a folder.
    fn layout(&self) -> Option<&'static str> {
        None
    }

    /// For a format of several files, whether the reader opens files of this name. Outputs never replace them.
    fn opens(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether a source looks like this format. May be wrong about damaged data, but not about valid
    /// data of another format.
    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool;

    /// Whether the caller may say what the scores are, because the format does not define it.
    fn accepts_score_reading(&self) -> bool {
        false
    }

    /// Whether the format needs [`OpenOptions::manifest`] unless its folder has one.
    fn takes_manifest(&self) -> bool {
        false
    }

    /// Opens a source.
    ///
    /// # Errors
    /// The source has the wrong kind (a folder for a file), or cannot be read. Errors of lines come
    /// from the reader.
    fn open(&self, source: Source, options: OpenOptions)
    -> Result<Box<dyn ListReader>, NbestError>;
}

/// What a format of N-best lists has to write them.
pub trait WrittenFormat: NbestFormat {
    /// A writer, of several files if [`NbestFormat::layout`] is a path.
    fn writer(&self) -> Box<dyn ListWriter>;

    /// A writer of one file; `None` if the format is always several files.
    fn stream_writer(&self) -> Option<Box<dyn ListWriter>> {
        self.layout().is_none().then(|| self.writer())
    }

    /// A small example: files by their paths, or one file with the path `""`. The tests of all
    /// readers run on it.
    fn example(&self) -> &'static [(&'static str, &'static str)];
}

impl fmt::Debug for dyn NbestFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for dyn WrittenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What detection sees of a source.
pub enum Glimpse<'a> {
    /// The first bytes of a stream, decompressed.
    Stream(&'a [u8]),
    /// A folder.
    Folder(&'a dyn Folder),
}

/// Options of a reader.
#[derive(Default)]
pub struct OpenOptions {
    /// References in a separate file. They replace those of the lists, and a reader does not look for others.
    pub references: Option<References>,
    /// NeMo's manifest. An error for other formats.
    pub manifest: Option<Stream>,
    /// What the scores are. An error for a format that defines it.
    pub scores: ScoreReading,
    /// Factor of Kaldi's acoustic scores in the first-pass score, for a format that gives acoustic and graph costs
    /// separately and unscaled. Other formats ignore it.
    pub acoustic_scale: Option<f64>,
}

/// The lists of one source.
///
/// After an error for which [`NbestError::is_line`] is true, the iterator continues after the bad line.
/// After any other error it ends.
pub trait ListReader: Iterator<Item = Result<Utterance, NbestError>> {
    /// What the user should know about the source. Each note is returned once.
    fn take_notes(&mut self) -> Vec<Note> {
        Vec::new()
    }

    /// References next to the lists that no list has, once all lists were returned. Each is returned once.
    fn take_unused_references(&mut self) -> Vec<Reference> {
        Vec::new()
    }
}

/// A source that is being read.
pub struct Opened {
    /// The format of the source.
    pub format: &'static dyn NbestFormat,
    /// Whether the format was detected, rather than named by the caller.
    pub detected: bool,
    /// The lists.
    pub lists: Box<dyn ListReader>,
}

/// Lists with references from a separate file.
struct Referenced {
    lists: Box<dyn ListReader>,
    references: References,
}

impl Iterator for Referenced {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut list = self.lists.next()?;
        if let Ok(list) = &mut list {
            self.references.complete(list);
        }
        Some(list)
    }
}

impl ListReader for Referenced {
    fn take_notes(&mut self) -> Vec<Note> {
        self.lists.take_notes()
    }

    fn take_unused_references(&mut self) -> Vec<Reference> {
        self.lists.take_unused_references()
    }
}

/// The format of that name.
#[must_use]
pub fn format_by_name(name: &str) -> Option<&'static dyn NbestFormat> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// The format of that name, with its writer.
#[must_use]
pub fn written_format(name: &str) -> Option<&'static dyn WrittenFormat> {
    WRITTEN_FORMATS.iter().copied().find(|format| format.name() == name)
}

/// Opens a source in the given format, or in the detected one.
///
/// ```
/// use lorb::nbest::{OpenOptions, Source, open};
/// let file = b"{\"id\":\"a\",\"nbest\":[{\"text\":\"yes\"}]}\n";
/// let source = Source::stream("lists", &file[..]);
/// let mut opened = open(source, None, OpenOptions::default()).unwrap();
/// assert_eq!(opened.format.name(), "jsonl");
/// assert_eq!(opened.lists.next().unwrap().unwrap().id, "a");
/// ```
///
/// # Errors
/// As [`NbestFormat::open`], [`Problem::Foreign`] for a file of another kind, [`Problem::NoLists`] for a folder of no known
/// format, and [`Problem::ScoresDefined`].
pub fn open(
    mut source: Source,
    format: Option<&'static dyn NbestFormat>,
    options: OpenOptions,
) -> Result<Opened, NbestError> {
    let detected = format.is_none();
    let format = match format {
        Some(format) => {
            if let Source::Stream(stream) = &mut source {
                check_kind(&stream.first(), &stream.name)?;
            }
            format
        }
        None => detect(&mut source)?,
    };
    if !options.scores.is_default() && !format.accepts_score_reading() {
        let problem = Problem::ScoresDefined { format: format.name() };
        return Err(NbestError::Source { name: source.name(), problem });
    }
    if options.manifest.is_some() && !format.takes_manifest() {
        let problem = Problem::TakesNoManifest { format: format.name() };
        return Err(NbestError::Source { name: source.name(), problem });
    }
    let references = options.references.clone();
    let mut lists = format.open(source, options)?;
    if let Some(references) = references {
        lists = Box::new(Referenced { lists, references });
    }
    Ok(Opened { format, detected, lists })
}

/// The format that a source looks like; the last of [`FORMATS`] for a stream of unknown form.
///
/// # Errors
/// [`Problem::NoLists`] for a folder of no known format; a folder that cannot be read.
fn detect(source: &mut Source) -> Result<&'static dyn NbestFormat, NbestError> {
    let recognised = |glimpse: Glimpse<'_>| FORMATS.iter().copied().find(|f| f.sniff(&glimpse));
    match source {
        Source::Stream(stream) => {
            let head = stream.peek();
            check_kind(&head, &stream.name)?;
            Ok(recognised(Glimpse::Stream(&head)).unwrap_or(FORMATS[FORMATS.len() - 1]))
        }
        Source::Folder(folder) => {
            let name = folder.name("");
            folder.entries("").map_err(|error| unopened(name.clone(), error))?;
            let layouts: Vec<&str> = FORMATS.iter().filter_map(|format| format.layout()).collect();
            let problem = Problem::NoLists { expected: layouts.join(" or ") };
            recognised(Glimpse::Folder(&**folder)).ok_or(NbestError::Source { name, problem })
        }
    }
}

/// Checks that a file does not contain something else than lists.
fn check_kind(head: &[u8], name: &str) -> Result<(), NbestError> {
    match Foreign::of(head, Expected::Lists) {
        None => Ok(()),
        Some(what) => Err(NbestError::Source { name: name.to_owned(), problem: what.into() }),
    }
}

/// Opens a file of a folder.
fn opened(folder: &dyn Folder, path: &str) -> Result<Stream, NbestError> {
    let name = folder.name(path);
    match folder.open(path) {
        Ok(reader) => Ok(Stream { name, reader }),
        Err(error) => Err(unopened(name, error)),
    }
}

/// Digits only; `str::parse` would also accept `+3`.
fn whole_number<T: FromStr>(digits: &str) -> Option<T> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn unopened(name: String, error: io::Error) -> NbestError {
    NbestError::Open { name, error }
}
