//! N-best lists from files, standard input and ESPnet's folders, as one stream of utterances.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lorb::nbest::espnet::{Named, RankFiles, merge, rank_of, shard_of};
use lorb::nbest::{JsonLines, NbestError, Utterance};

use super::error::CliError;

/// How N-best input is read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Pass over invalid lines, counting them.
    pub skip_invalid: bool,
    /// References for ESPnet folders, a Kaldi text file.
    pub references: Option<PathBuf>,
}

/// The utterances of several inputs, one after the other.
pub struct Utterances {
    waiting: VecDeque<PathBuf>,
    current: Box<dyn Iterator<Item = Result<Utterance, NbestError>>>,
    reading: Reading,
    total_bytes: Option<u64>,
    bytes_read: Arc<AtomicU64>,
    /// Invalid lines passed over.
    pub skipped: u64,
    /// The first of them.
    pub first_skipped: Option<String>,
}

impl Utterances {
    /// A stream over `paths`; `-` is standard input.
    ///
    /// Every path is looked at first, so that a misspelt name is noticed before any work.
    pub fn open(paths: &[PathBuf], reading: &Reading) -> Result<Self, CliError> {
        let mut total_bytes = Some(0);
        for path in paths {
            if path.as_os_str() == "-" {
                total_bytes = None;
                continue;
            }
            let found = fs::metadata(path).map_err(|error| CliError::io("read", path, &error))?;
            // Of folders and pipes the size is not known before they are read.
            let size = found.is_file().then_some(found.len());
            total_bytes = total_bytes.zip(size).map(|(total, size)| total + size);
        }
        Ok(Self {
            total_bytes,
            bytes_read: Arc::default(),
            waiting: paths.iter().cloned().collect(),
            current: Box::new(std::iter::empty()),
            reading: reading.clone(),
            skipped: 0,
            first_skipped: None,
        })
    }

    /// The next utterance; an invalid line is an error, or passed over and counted.
    pub fn next(&mut self) -> Result<Option<Utterance>, CliError> {
        loop {
            match self.current.next() {
                Some(Ok(utterance)) => return Ok(Some(utterance)),
                Some(Err(error)) if error.is_line() && self.reading.skip_invalid => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert_with(|| error.to_string());
                }
                Some(Err(error)) => return Err(unreadable(&error)),
                None => match self.waiting.pop_front() {
                    Some(path) => self.enter(&path)?,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Size of all inputs, where it is known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Bytes taken from them so far, some of them ahead of the last utterance.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// All that is left.
    pub fn collect(&mut self) -> Result<Vec<Utterance>, CliError> {
        let mut all = Vec::new();
        while let Some(utterance) = self.next()? {
            all.push(utterance);
        }
        Ok(all)
    }

    /// A line about what was passed over, if anything was.
    pub fn skipped_note(&self) -> Option<String> {
        let first = self.first_skipped.as_ref()?;
        let lines = if self.skipped == 1 { "line" } else { "lines" };
        Some(format!("{} invalid {lines} passed over; the first: {first}", self.skipped))
    }

    fn enter(&mut self, path: &Path) -> Result<(), CliError> {
        if path.as_os_str() == "-" {
            let reader = BufReader::new(io::stdin());
            self.current = Box::new(JsonLines::new(reader, "standard input"));
        } else if path.is_dir() {
            let lists = self.espnet(path)?;
            self.current = Box::new(lists.into_iter().map(Ok));
        } else {
            let file = File::open(path).map_err(|error| CliError::io("read", path, &error))?;
            let counted = Counted { inner: file, bytes: Arc::clone(&self.bytes_read) };
            let reader = BufReader::new(counted);
            self.current = Box::new(JsonLines::new(reader, path.display().to_string()));
        }
        Ok(())
    }

    /// An ESPnet folder, with or without `logdir` in its name.
    fn espnet(&mut self, directory: &Path) -> Result<Vec<Utterance>, CliError> {
        let files = rank_files(directory)?;
        let references = match &self.reading.references {
            Some(path) => Some(named(path)?),
            None => Some(directory.join("text"))
                .filter(|p| p.is_file())
                .map(|p| named(&p))
                .transpose()?,
        };
        let given = self.reading.references.is_some();
        let (skip, mut skipped, mut first) = (self.reading.skip_invalid, 0, None);
        let merged = merge(files, references, |error| {
            if !skip {
                return Err(error);
            }
            skipped += 1;
            first.get_or_insert_with(|| error.to_string());
            Ok(())
        })
        .map_err(|error| unreadable(&error))?;
        self.skipped += skipped;
        if self.first_skipped.is_none() {
            self.first_skipped = first;
        }
        let mut lists = merged.utterances;
        // A recogniser's own summary of its best hypotheses has the name and the form of a file
        // of references; scored against that, the first pass would look perfect.
        let echo = |u: &Utterance| u.reference.as_deref().is_none_or(|r| r == u.hypotheses[0].text);
        if !given && lists.iter().any(|u| u.reference.is_some()) {
            let text = directory.join("text").display().to_string();
            if lists.iter().all(echo) {
                lists.iter_mut().for_each(|u| u.reference = None);
                eprintln!(
                    "note: {text} repeats the best hypotheses, so it holds no references; give them by --references"
                );
            } else {
                eprintln!("note: references are taken from {text}");
            }
        }
        Ok(lists)
    }
}

fn unreadable(error: &NbestError) -> CliError {
    let hint = if error.is_line() { "; --skip-invalid passes over such lines" } else { "" };
    CliError::Failed(format!("{error}{hint}"))
}

fn named(path: &Path) -> Result<Named<Box<dyn BufRead>>, CliError> {
    let file = File::open(path).map_err(|error| CliError::io("read", path, &error))?;
    Ok(Named::new(path.display().to_string(), Box::new(BufReader::new(file))))
}

/// Counts what is read.
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

/// The files of every shard and rank, in order.
fn rank_files(directory: &Path) -> Result<Vec<RankFiles<Box<dyn BufRead>>>, CliError> {
    let logdir = directory.join("logdir");
    let root = if logdir.is_dir() { logdir } else { directory.to_owned() };
    let mut ranks = folders(&root, rank_of)?;
    for (_, shard) in folders(&root, shard_of)? {
        ranks.extend(folders(&shard, rank_of)?);
    }
    if ranks.is_empty() {
        let message = "holds no n-best lists; expected ESPnet's logdir/output.1/1best_recog/text, or name a file";
        return Err(CliError::Failed(format!("{}: {message}", directory.display())));
    }
    let mut files = Vec::new();
    for (rank, folder) in ranks {
        let score = folder.join("score");
        let score = if score.is_file() { Some(named(&score)?) } else { None };
        files.push(RankFiles { rank, text: named(&folder.join("text"))?, score });
    }
    Ok(files)
}

/// The folders of `directory` whose name has a number by `number`, in its order.
fn folders(
    directory: &Path,
    number: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<(usize, PathBuf)>, CliError> {
    let error = |error: io::Error| CliError::io("read", directory, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(error)? {
        let entry = entry.map_err(error)?;
        if let Some(number) = entry.file_name().to_str().and_then(&number)
            && entry.path().is_dir()
        {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
