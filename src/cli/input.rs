//! N-best lists from files, folders and standard input, as one stream of utterances.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lorb::nbest::{
    Entry, Folder, HeldLists, NbestError, NbestFormat, Note, OpenOptions, Opened, Problem,
    Reference, References, ScoreReading, Source, Stream, Utterance, open,
};
use lorb::score::{ScoreCheck, ScoreWarning, Weights};

use super::error::CliError;
use super::files;
use super::interrupt;
use super::patient::Patient;
use super::process;
use super::repeated::Repeated;
use super::score_warnings;
use super::terminal::say;

/// Settings for reading N-best lists.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The format; `None` detects it.
    pub format: Option<&'static dyn NbestFormat>,
    /// Skip invalid lines and count them.
    pub skip_invalid: bool,
    /// References in a separate file.
    pub references: Option<References>,
    /// What the scores are, for formats that do not define it.
    pub scores: ScoreReading,
    /// Factor of Kaldi's acoustic scores.
    pub acoustic_scale: Option<f64>,
    /// NeMo's manifest, a regular file.
    pub manifest: Option<PathBuf>,
    /// For any number of lists in constant memory: does not look for ids that occur more than once.
    pub one_by_one: bool,
}

impl Reading {
    /// The references of the separate file that no list has, once all lists were read. Prints a note about them.
    pub fn unused_references(&self) -> Vec<Reference> {
        let Some(references) = &self.references else { return Vec::new() };
        if let Some(note) = references.note() {
            print_note(&note, None);
        }
        references.unused()
    }
}

/// Reads the file of `--references`, which must be a regular one.
pub fn read_references(path: &Path) -> Result<References, CliError> {
    References::read(regular_stream(path)?).map_err(|error| CliError::at("--references", &error))
}

/// The utterances of several inputs, in order.
pub struct Utterances {
    waiting: VecDeque<PathBuf>,
    /// The format of the first input, once it is open.
    first_format: Option<&'static dyn NbestFormat>,
    current: Option<Opened>,
    /// Whether `current` is a pipe or a device, which may end because its writer was interrupted.
    piped: bool,
    /// Whether `current` has returned a list, so that its format is probably the right one.
    begun: bool,
    reading: Reading,
    /// Evidence about the scores of all lists so far.
    check: ScoreCheck,
    total_bytes: Option<u64>,
    bytes_read: Arc<AtomicU64>,
    /// Ids that occur more than once, unless [`Reading::one_by_one`].
    pub repeated: Repeated,
    /// Invalid lines skipped.
    pub skipped: u64,
    /// References next to the lists that no list has; complete once all lists were read.
    unused_references: Vec<Reference>,
    /// The first invalid line.
    first_skipped: Option<String>,
}

impl Utterances {
    /// A stream over `paths`; `-` is standard input.
    ///
    /// Checks first that every path exists, so that a misspelt name is noticed before any work.
    pub fn open(paths: &[PathBuf], reading: &Reading) -> Result<Self, CliError> {
        let mut total_bytes = Some(0);
        for path in paths {
            if path.as_os_str() == "-" {
                total_bytes = None;
                continue;
            }
            let found = fs::metadata(path).map_err(|error| CliError::io("read", path, &error))?;
            // The size of a folder or a pipe is not known in advance.
            let size = found.is_file().then_some(found.len());
            total_bytes = total_bytes.zip(size).map(|(total, size)| total + size);
        }
        Ok(Self {
            total_bytes,
            bytes_read: Arc::default(),
            waiting: paths.iter().cloned().collect(),
            first_format: None,
            current: None,
            piped: false,
            begun: false,
            reading: reading.clone(),
            repeated: Repeated::default(),
            check: ScoreCheck::new(),
            skipped: 0,
            unused_references: Vec::new(),
            first_skipped: None,
        })
    }

    /// The next utterance. An invalid line is an error, or is skipped and counted.
    pub fn next(&mut self) -> Result<Option<Utterance>, CliError> {
        loop {
            let Some(current) = &mut self.current else {
                match self.waiting.pop_front() {
                    Some(path) => self.enter(&path)?,
                    None => return Ok(None),
                }
                continue;
            };
            let item = current.lists.next();
            for note in current.lists.take_notes() {
                print_note(&note, Some(current.format));
            }
            match item {
                Some(Ok(utterance)) => {
                    self.begun = true;
                    if !self.reading.one_by_one {
                        self.repeated.add(&utterance.id);
                    }
                    self.check.add(&utterance);
                    return Ok(Some(utterance));
                }
                Some(Err(_)) if interrupt::asked() => return Err(interrupt::error()),
                Some(Err(error)) if error.is_line() && self.reading.skip_invalid => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert_with(|| error.to_string());
                }
                Some(Err(error)) => {
                    let guess = (current.detected && !self.begun).then_some(current.format);
                    return Err(unreadable(error, guess));
                }
                None => {
                    if std::mem::take(&mut self.piped) {
                        interrupt::check_after_pipe()?;
                    }
                    self.unused_references.extend(current.lists.take_unused_references());
                    self.current = None;
                }
            }
        }
    }

    /// The references that no list has, once all lists were read. Prints a note about those in a separate file.
    pub fn unused_references(&mut self) -> Vec<Reference> {
        let mut unused = std::mem::take(&mut self.unused_references);
        unused.extend(self.reading.unused_references());
        unused
    }

    /// The format of the input that is being read.
    pub fn format(&self) -> Option<&'static dyn NbestFormat> {
        self.current.as_ref().map(|opened| opened.format)
    }

    /// The format of the first input; `None` before a list was read.
    pub fn first_format(&self) -> Option<&'static dyn NbestFormat> {
        self.first_format
    }

    /// Whether the first input, which has not been read yet, is a folder.
    pub fn begins_with_folder(&self) -> bool {
        self.waiting.front().is_some_and(|path| path.is_dir())
    }

    /// Size of all inputs in bytes, if known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Bytes read from them so far; the readers are a little ahead of the last utterance.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// All remaining utterances, without their unknown keys.
    pub fn collect(&mut self) -> Result<Vec<Utterance>, CliError> {
        let mut all = HeldLists::new();
        while let Some(mut utterance) = self.next()? {
            utterance.forget_unknown();
            all.push(utterance).map_err(|error| CliError::Failed(error.to_string()))?;
        }
        Ok(all.into_lists())
    }

    /// What is suspicious about the scores of the lists so far, also in view of these weights.
    pub fn score_warnings(&self, weights: Option<&Weights>) -> Vec<ScoreWarning> {
        let mut warnings = self.check.warnings();
        warnings.extend(weights.map(|w| self.check.about_weights(w)).into_iter().flatten());
        warnings
    }

    /// Prints warnings about scores. `place` names the lists, `--dev: `, or is empty.
    pub fn print_score_warnings(&self, place: &str, warnings: &[ScoreWarning]) {
        score_warnings::print(place, warnings, &self.reading.scores, self.first_format);
    }

    /// The parts of the scores of the lists so far.
    pub fn parts(&self) -> Vec<&str> {
        self.check.parts().collect()
    }

    /// What to warn about once all lists were read: invalid lines that were skipped, and repeated ids.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let skipped = self.first_skipped.as_ref().map(|first| {
            let lines = if self.skipped == 1 { "line" } else { "lines" };
            format!("{} invalid {lines} skipped; the first: {first}", self.skipped)
        });
        skipped.into_iter().chain(self.repeated.note())
    }

    /// Starts with the next input.
    fn enter(&mut self, path: &Path) -> Result<(), CliError> {
        self.piped = false;
        let source = if path.as_os_str() == "-" {
            process::check_input()?;
            self.piped = true;
            let input = Patient::new(|| Ok(io::stdin()));
            Source::stream("standard input", BufReader::new(input))
        } else if path.is_dir() {
            Source::folder(Directory(path.to_owned()))
        } else if path.is_file() {
            let file = File::open(path).map_err(|error| CliError::io("read", path, &error))?;
            let counted = Counted { inner: file, bytes: Arc::clone(&self.bytes_read) };
            Source::stream(path.display().to_string(), BufReader::new(counted))
        } else {
            self.piped = true;
            let file = path.to_owned();
            let input = Patient::new(move || File::open(file));
            Source::stream(path.display().to_string(), BufReader::new(input))
        };
        let manifest = match &self.reading.manifest {
            Some(path) => Some(regular_stream(path)?),
            None => None,
        };
        let options = OpenOptions {
            references: self.reading.references.clone(),
            manifest,
            scores: self.reading.scores.clone(),
            acoustic_scale: self.reading.acoustic_scale,
        };
        let opened = open(source, self.reading.format, options);
        interrupt::check()?;
        let opened = opened.map_err(|error| unreadable(error, None))?;
        self.first_format.get_or_insert(opened.format);
        self.current = Some(opened);
        self.begun = false;
        Ok(())
    }
}

/// An error of a reader, with the flags that help. `guess` is the format if it was detected and may
/// be wrong.
fn unreadable(error: NbestError, guess: Option<&'static dyn NbestFormat>) -> CliError {
    if let NbestError::Open { name, error } = &error {
        return CliError::io("read", Path::new(name), error);
    }
    if let NbestError::Source { problem: Problem::ScoresDefined { .. }, .. } = &error {
        return CliError::Failed(format!("{error}; omit --costs, --score-kind and --score-key"));
    }
    let skip = if error.is_line() { "; --skip-invalid skips such lines" } else { "" };
    let format = match guess {
        Some(format) => format!("; read as {}; select another format with --format", format.name()),
        None => String::new(),
    };
    CliError::Failed(format!("{error}{skip}{format}"))
}

fn regular_stream(path: &Path) -> Result<Stream, CliError> {
    let (file, _) = files::open_regular(path)?;
    Ok(Stream::new(path.display().to_string(), BufReader::new(file)))
}

fn print_note(note: &Note, format: Option<&dyn NbestFormat>) {
    let flag = match note {
        Note::NotReferences { .. } => "; use --references",
        Note::AcousticScale { given: false, .. } => "; --acoustic-scale sets another factor",
        Note::ScoreUnderOtherKey { .. }
            if format.is_some_and(|format| format.accepts_score_reading()) =>
        {
            "; --score-key reads it, --score-kind says what it is"
        }
        _ => "",
    };
    say!("note: {note}{flag}");
}

/// A directory for the readers.
struct Directory(PathBuf);

impl Directory {
    fn path(&self, path: &str) -> PathBuf {
        // Part by part, so that the separators are those of the system.
        self.0.join(path.split('/').filter(|part| !part.is_empty()).collect::<PathBuf>())
    }
}

impl Folder for Directory {
    fn name(&self, path: &str) -> String {
        if path.is_empty() {
            return self.0.display().to_string();
        }
        self.path(path).display().to_string()
    }

    fn entries(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            let entry = entry?;
            // No format has names that are not UTF-8.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_folder: entry.path().is_dir() });
            }
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn BufRead>> {
        let (file, _) = files::regular(&self.path(path))?;
        Ok(Box::new(BufReader::new(file)))
    }

    fn has_file(&self, path: &str) -> bool {
        // Also what cannot be opened: to ignore a broken link or a pipe would change the result silently.
        fs::symlink_metadata(self.path(path)).is_ok_and(|found| !found.is_dir())
    }
}

/// Counts the bytes read.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
