//! A directory whose files change together.
//!
//! Several files cannot be renamed at once. The new ones are therefore written to a directory inside the output, and
//! the rename of that directory to [`NEXT`] is the moment of the change: from then on, its files count instead of those
//! of the same name outside it. They are then moved to their places. If the process is killed in between, readers use
//! [`current`], and the next writer finishes the move.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::{parent, part, sync_directory, write_file};
use crate::cli::error::CliError;

/// New versions of files, complete.
const NEXT: &str = ".lorb-next";
/// The same while they are being written.
const STAGED: &str = ".lorb-next.part";
/// Name of the lock.
const LOCK: &str = ".lorb.lock";

/// Attempts to create a directory that another process removes at the same time.
const ATTEMPTS: usize = 4;

/// An output directory, used by no other process until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: Option<Lock>,
    /// Directories that did not exist before, the innermost last.
    created: Vec<PathBuf>,
}

impl Directory {
    /// Creates the directory that `flag` names if it is missing, locks it, and removes what killed runs left in it.
    /// A new directory that stays empty is removed again.
    pub fn open(flag: &str, path: &Path) -> Result<Self, CliError> {
        let error = |error: io::Error| CliError::io("write", path, &error);
        let mut this = Self { path: path.to_owned(), lock: None, created: Vec::new() };
        for attempt in 1.. {
            this.create(flag)?;
            match Lock::take(&path.join(LOCK)) {
                Ok(Some(lock)) => {
                    this.lock = Some(lock);
                    break;
                }
                Ok(None) => {
                    let message = format!("{flag} {}: in use by another `lorb`", path.display());
                    return Err(CliError::Failed(message));
                }
                // Removed by a process that wrote nothing to it.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(fault) => return Err(error(fault)),
            }
        }
        finish(path).map_err(error)?;
        let _ = fs::remove_dir_all(path.join(STAGED));
        part::sweep(path);
        Ok(this)
    }

    fn create(&mut self, flag: &str) -> Result<(), CliError> {
        let path = &self.path;
        let mut missing = Vec::new();
        let mut nearest = path.as_path();
        loop {
            match fs::metadata(nearest) {
                Ok(found) if found.is_dir() => break,
                Ok(_) => {
                    let (path, file) = (path.display(), nearest.display());
                    return Err(CliError::Failed(format!(
                        "{flag} {path}: {file} is a file; expected a directory"
                    )));
                }
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    missing.push(nearest);
                    nearest = parent(nearest);
                }
                Err(fault) => return Err(CliError::io("write", path, &fault)),
            }
        }
        for directory in missing.into_iter().rev() {
            match fs::create_dir(directory) {
                Ok(()) => self.created.push(directory.to_owned()),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(CliError::io("write", path, &fault)),
            }
        }
        Ok(())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces files that belong together: afterwards, and after a kill at any moment, [`current`] leads either to
    /// all old or to all new ones. Other files are not changed.
    pub fn replace(&self, files: &[(&str, &[u8])]) -> Result<(), CliError> {
        let error = |error: io::Error| CliError::io("write", &self.path, &error);
        let changed = |(name, bytes): &&(&str, &[u8])| {
            !fs::read(self.path.join(name)).is_ok_and(|old| old == *bytes)
        };
        let changed: Vec<_> = files.iter().filter(changed).collect();
        if let [(name, bytes)] = changed[..] {
            return write_file(&self.path.join(name), bytes);
        }
        let staged = self.path.join(STAGED);
        let stage = || {
            fs::create_dir(&staged)?;
            for (name, bytes) in &changed {
                let mut file = File::create_new(staged.join(name))?;
                file.write_all(bytes)?;
                if let Ok(old) = fs::metadata(self.path.join(name)) {
                    part::adopt(&file, &old)?;
                }
                file.sync_all()?;
            }
            sync_directory(&staged)?;
            fs::rename(&staged, self.path.join(NEXT))?;
            sync_directory(&self.path)
        };
        let done = stage().inspect_err(|_| {
            let _ = fs::remove_dir_all(&staged);
        });
        done.and_then(|()| finish(&self.path)).map_err(error)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.lock = None;
        for directory in self.created.iter().rev() {
            // This removes only an empty directory.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// The path of a file in a directory that may be an unfinished [`Directory::replace`].
pub fn current(directory: &Path, name: &str) -> PathBuf {
    let next = directory.join(NEXT).join(name);
    if next.is_file() { next } else { directory.join(name) }
}

/// The path of another file of the same directory as `path`, which [`current`] returned.
pub fn next_to(path: &Path, name: &str) -> PathBuf {
    let folder = parent(path);
    match folder.file_name() {
        Some(last) if last == NEXT => current(parent(folder), name),
        _ => current(folder, name),
    }
}

/// Moves new versions of files to their places.
///
/// Programs that do not know [`NEXT`] must not see files that do not belong together. Every set of files needs its
/// settings, which are JSON, so the old ones are removed first and the new ones arrive last.
fn finish(directory: &Path) -> io::Result<()> {
    let next = directory.join(NEXT);
    let entries = match fs::read_dir(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let names: Vec<OsString> =
        entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    let is_settings = |name: &OsString| Path::new(name).extension().is_some_and(|e| e == "json");
    let (settings, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_settings);
    for name in &settings {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for name in others.iter().chain(&settings) {
        fs::rename(next.join(name), directory.join(name))?;
    }
    fs::remove_dir(&next)?;
    sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [(&str, &[u8]); 2] = [("set.json", b"old"), ("set.bin", b"old")];
    const NEW: [(&str, &[u8]); 2] = [("set.json", b"new"), ("set.bin", b"new")];

    fn contents(directory: &Path) -> Vec<Vec<u8>> {
        OLD.iter().map(|(name, _)| fs::read(current(directory, name)).unwrap()).collect()
    }

    /// After every step of the change, readers see one set, and other programs no mixed one.
    #[test]
    fn a_change_that_stops_at_any_step_leaves_one_set_of_files() {
        for stop in 0..=6 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            Directory::open("--output", &path).unwrap().replace(&OLD).unwrap();
            // The steps of `replace` and `finish`, by hand.
            let staged = path.join(STAGED);
            let next = path.join(NEXT);
            let steps: [&dyn Fn(); 6] = [
                &|| fs::create_dir(&staged).unwrap(),
                &|| NEW.iter().for_each(|(name, new)| fs::write(staged.join(name), new).unwrap()),
                &|| fs::rename(&staged, &next).unwrap(),
                &|| fs::remove_file(path.join("set.json")).unwrap(),
                &|| fs::rename(next.join("set.bin"), path.join("set.bin")).unwrap(),
                &|| fs::rename(next.join("set.json"), path.join("set.json")).unwrap(),
            ];
            steps[..stop].iter().for_each(|step| step());
            let expected: &[u8] = if stop < 3 { b"old" } else { b"new" };
            assert_eq!(contents(&path), [expected, expected], "stopped after {stop} steps");
            let plain = OLD.map(|(name, _)| fs::read(path.join(name)).ok());
            assert!(plain[0].is_none() || plain[0] == plain[1], "mixed after {stop} steps");
            // The next writer finishes it.
            drop(Directory::open("--output", &path).unwrap());
            assert_eq!(contents(&path), [expected, expected], "continued after {stop} steps");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "leftovers after {stop} steps");
        }
    }

    #[test]
    fn a_directory_has_one_user_and_vanishes_if_it_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/inner");
        let first = Directory::open("--output", &path).unwrap();
        let message = Directory::open("--output", &path).unwrap_err().message().unwrap();
        assert!(message.contains("in use by another `lorb`"), "{message}");
        drop(first);
        assert!(!folder.path().join("new").exists());
    }
}
