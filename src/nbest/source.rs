//! Where lists come from: one stream, or a folder of named files.
//!
//! Readers do not use paths. The command line passes them directories, the wasm module files that the
//! page has read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::gzip::GZIP_MAGIC;
use super::{NbestError, Problem};

/// How much of a stream detection looks at, in bytes before decompression.
const SNIFF_BYTES: u64 = 16 << 10;

/// A stream and the name that error messages use for it. Plain or gzip.
pub struct Stream {
    /// For example the path that was opened.
    pub name: String,
    /// The bytes.
    pub reader: Box<dyn BufRead>,
}

impl Stream {
    /// Creates a named stream.
    pub fn new(name: impl Into<String>, reader: impl BufRead + 'static) -> Self {
        Self { name: name.into(), reader: Box::new(reader) }
    }

    /// The first bytes, decompressed. A reader still starts at the beginning. If
    /// reading fails, returns the bytes before the failure; the reader then gets the same failure.
    pub(super) fn peek(&mut self) -> Vec<u8> {
        let mut raw = Vec::new();
        let read = (&mut self.reader).take(SNIFF_BYTES).read_to_end(&mut raw);
        let head = unpacked(&raw);
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        let start = Cursor::new(raw);
        self.reader = match read {
            Ok(_) => Box::new(start.chain(rest)),
            Err(error) => Box::new(start.chain(BufReader::new(Failure(Some(error))))),
        };
        head
    }

    /// Such as [`Stream::peek`], but does not wait for more bytes than the first read returns.
    pub(super) fn first(&mut self) -> Vec<u8> {
        let failed = loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return unpacked(&bytes[..bytes.len().min(SNIFF_BYTES as usize)]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        self.reader = Box::new(BufReader::new(Failure(Some(failed))));
        Vec::new()
    }
}

/// As much as can be decompressed of the beginning of a stream.
fn unpacked(raw: &[u8]) -> Vec<u8> {
    if !raw.starts_with(&GZIP_MAGIC) {
        return raw.to_vec();
    }
    let mut head = Vec::new();
    // It is cut in the middle of the data, so an error is expected. The bound is for files that
    // unpack to a thousand times their size.
    let _ = MultiGzDecoder::new(raw).take(SNIFF_BYTES).read_to_end(&mut head);
    head
}

/// Fails once, then ends.
struct Failure(Option<io::Error>);

impl Read for Failure {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A set of files that belong together, with the operations that a reader needs.
///
/// A path is relative to the folder, its parts are separated by `/`, and `""` is the folder itself.
pub trait Folder {
    /// The name that error messages use for a path.
    fn name(&self, path: &str) -> String;

    /// The contents of a folder, in any order.
    ///
    /// # Errors
    /// The folder does not exist or cannot be read.
    fn entries(&self, path: &str) -> io::Result<Vec<Entry>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The file does not exist or cannot be read.
    fn open(&self, path: &str) -> io::Result<Box<dyn BufRead>>;

    /// Whether there is a file at `path`.
    fn has_file(&self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.entries(parent).unwrap_or_default();
        entries.iter().any(|entry| entry.name == name && !entry.is_folder)
    }
}

/// A member of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last part of its path.
    pub name: String,
    /// Whether it is a folder itself.
    pub is_folder: bool,
}

/// A folder in memory: files by their paths.
#[derive(Debug, Clone, Default)]
pub struct MemoryFolder {
    name: String,
    files: BTreeMap<String, Arc<[u8]>>,
}

impl MemoryFolder {
    /// An empty folder that error messages call `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), files: BTreeMap::new() }
    }

    /// Adds a file, plain or gzip. A file of the same path is replaced.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl Folder for MemoryFolder {
    fn name(&self, path: &str) -> String {
        match (self.name.as_str(), path) {
            (name, "") => name.to_owned(),
            ("", path) => path.to_owned(),
            (name, path) => format!("{name}/{path}"),
        }
    }

    fn entries(&self, path: &str) -> io::Result<Vec<Entry>> {
        let inside = |file: &str| match path {
            "" => Some(file.to_owned()),
            _ => Some(file.strip_prefix(path)?.strip_prefix('/')?.to_owned()),
        };
        let entry = |rest: String| match rest.split_once('/') {
            Some((folder, _)) => Entry { name: folder.to_owned(), is_folder: true },
            None => Entry { name: rest, is_folder: false },
        };
        let found: BTreeSet<Entry> =
            self.files.keys().filter_map(|file| inside(file)).map(entry).collect();
        if found.is_empty() && !path.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(found.into_iter().collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn BufRead>> {
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(Arc::clone(bytes))))
    }
}

/// What a reader is opened on.
pub enum Source {
    /// A file or a pipe.
    Stream(Stream),
    /// Files that belong together.
    Folder(Box<dyn Folder>),
}

impl Source {
    /// One stream; error messages call it `name`.
    pub fn stream(name: impl Into<String>, reader: impl BufRead + 'static) -> Self {
        Self::Stream(Stream::new(name, reader))
    }

    /// A folder.
    pub fn folder(folder: impl Folder + 'static) -> Self {
        Self::Folder(Box::new(folder))
    }

    /// The name that error messages use for it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stream(stream) => stream.name.clone(),
            Self::Folder(folder) => folder.name(""),
        }
    }

    /// The stream, for a format that is one file.
    ///
    /// # Errors
    /// [`Problem::IsFolder`].
    pub fn into_stream(self, format: &'static str) -> Result<Stream, NbestError> {
        match self {
            Self::Stream(stream) => Ok(stream),
            Self::Folder(folder) => Err(NbestError::Source {
                name: folder.name(""),
                problem: Problem::IsFolder { format },
            }),
        }
    }

    /// The folder, for a format of several files.
    ///
    /// # Errors
    /// [`Problem::IsFile`].
    pub fn into_folder(self, format: &'static str) -> Result<Box<dyn Folder>, NbestError> {
        match self {
            Self::Folder(folder) => Ok(folder),
            Self::Stream(stream) => {
                Err(NbestError::Source { name: stream.name, problem: Problem::IsFile { format } })
            }
        }
    }
}
