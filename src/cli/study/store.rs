//! The directory of a study: its results and their identity.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lorb::bounds::{MAX_RESULTS_BYTES, MAX_STUDY_IDENTITY_BYTES};
use lorb::study::{Inputs, Outcome, Record, StudyConfig};
use serde::{Deserialize, Serialize};

use super::inputs::Study;
use crate::cli::error::CliError;
use crate::cli::files::regular;
use crate::cli::output;

pub const RESULTS: &str = "results.jsonl";
pub const IDENTITY: &str = "study.json";

/// Which cells are run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No cell with a result, successful or not.
    No,
    /// Those that failed.
    Failed,
}

/// The contents of `study.json`.
#[derive(Serialize, Deserialize)]
struct Identity {
    lorb: String,
    config: StudyConfig,
    inputs: Inputs,
    train_utterances: usize,
}

/// The results file, open for appending.
pub struct Store {
    directory: PathBuf,
    file: File,
    /// The last record of every cell, in order of first appearance.
    pub records: Vec<Record>,
}

impl Store {
    /// Opens the results, in a directory that this process has locked. An incomplete last line is removed.
    pub fn open(directory: &Path) -> Result<Self, CliError> {
        let path = directory.join(RESULTS);
        let error = |error: std::io::Error| CliError::io("write", &path, &error);
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(directory.is_dir())
            .open(&path)
            .map_err(error)?;
        let bytes = read_all(&mut file, MAX_RESULTS_BYTES).map_err(error)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(error)?;
            file.seek(SeekFrom::End(0)).map_err(error)?;
        }
        let records = parse(&bytes[..whole], &path)?;
        Ok(Self { directory: directory.to_owned(), file, records })
    }

    /// Checks that the results belong to this study, and records its identity.
    pub fn identify(&self, study: &Study) -> Result<(), CliError> {
        let path = self.directory.join(IDENTITY);
        if let Some(there) = read(&path)?
            && there.inputs.target != study.inputs.target
        {
            return Err(CliError::Failed(format!(
                "--output {}: contains the study {:?} with different lists of the target domain; \
                 choose another directory",
                self.directory.display(),
                there.config.name
            )));
        }
        let identity = Identity {
            lorb: env!("CARGO_PKG_VERSION").into(),
            config: study.config.clone(),
            inputs: study.inputs.clone(),
            train_utterances: study.train_utterances,
        };
        let json = serde_json::to_string_pretty(&identity)
            .map_err(|error| CliError::at(path.display(), &error))?;
        output::write_file(&path, (json + "\n").as_bytes())
    }

    /// Whether a cell must be run.
    pub fn wants(&self, id: &str, again: Again) -> bool {
        match self.records.iter().find(|record| record.id == id).map(|record| &record.outcome) {
            None => true,
            Some(Outcome::Done(_)) => false,
            Some(Outcome::Failed { .. }) => again == Again::Failed,
        }
    }

    /// Appends a record; it is on disk when this returns.
    pub fn add(&mut self, record: Record) -> Result<(), CliError> {
        let path = self.directory.join(RESULTS);
        let mut line =
            serde_json::to_vec(&record).map_err(|error| CliError::at(path.display(), &error))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_all());
        written.map_err(|error| CliError::io("write", &path, &error))?;
        place(&mut self.records, record);
        Ok(())
    }
}

/// The records of a directory; none if it does not exist.
pub fn records_of(directory: &Path) -> Result<Vec<Record>, CliError> {
    let path = directory.join(RESULTS);
    match regular(&path).and_then(|(mut file, _)| read_all(&mut file, MAX_RESULTS_BYTES)) {
        Ok(bytes) => {
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            parse(&bytes[..whole], &path)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CliError::io("read", &path, &error)),
    }
}

/// The identity of a directory's results, if the configuration still has the same inputs.
pub fn inputs_of(directory: &Path, config: &StudyConfig) -> Result<(Inputs, usize), CliError> {
    let path = directory.join(IDENTITY);
    let Some(Identity { config: old, inputs, train_utterances, .. }) = read(&path)? else {
        let shown = directory.display();
        let message = format!("--output {shown}: no {IDENTITY} found; there is no study to report");
        return Err(CliError::Failed(message));
    };
    let dictionary = |config: &StudyConfig| config.robustness.clone().map(|r| r.dictionary);
    let same = old.target == config.target
        && old.non_target == config.non_target
        && old.bases == config.bases
        && dictionary(&old) == dictionary(config);
    if !same {
        let message = "now has different lists, bases or a different dictionary; run the study";
        return Err(CliError::Failed(format!("{}: the configuration {message}", path.display())));
    }
    Ok((inputs, train_utterances))
}

fn read(path: &Path) -> Result<Option<Identity>, CliError> {
    match regular(path).and_then(|(mut file, _)| read_all(&mut file, MAX_STUDY_IDENTITY_BYTES)) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|e| CliError::at(path.display(), &e))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::io("read", path, &error)),
    }
}

/// Reads a regular file of at most `limit` bytes.
fn read_all(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    if found.len() <= limit {
        file.take(limit + 1).read_to_end(&mut bytes)?;
    }
    if found.len().max(bytes.len() as u64) > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Record>, CliError> {
    let mut records = Vec::new();
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let here = || format!("{}, line {}", path.display(), at + 1);
        let record: Record = serde_json::from_slice(line)
            .map_err(|error| CliError::Failed(format!("{}: not a record: {error}", here())))?;
        record.check().map_err(|error| CliError::at(here(), &error))?;
        place(&mut records, record);
    }
    Ok(records)
}

/// The last record of a cell counts.
fn place(records: &mut Vec<Record>, record: Record) {
    match records.iter_mut().find(|old| old.id == record.id) {
        Some(old) => *old = record,
        None => records.push(record),
    }
}
