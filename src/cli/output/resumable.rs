//! An output file that a later run can continue.
//!
//! It is written next to its place, under a name that other runs do not remove, with a small file that says how much of
//! it is complete and what the run was. Both stay if the process is killed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::file::claim;
use super::lock::Lock;
use super::{parent, part, sync_directory};
use crate::cli::error::CliError;
use crate::cli::files::read_small;

/// Bytes of the file with the state.
const MAX_STATE_BYTES: u64 = 1 << 20;

/// A file that can be continued.
#[derive(Debug)]
pub struct Resumable {
    file: BufWriter<File>,
    written: u64,
    /// The temporary file, and the file with the state.
    data: PathBuf,
    state: PathBuf,
    /// Where the links at `path` lead to.
    target: PathBuf,
    path: PathBuf,
    /// Whether there is a state.
    saved: bool,
    _lock: Lock,
}

/// What a killed run left.
#[derive(Debug)]
pub struct Left {
    /// Its last state.
    pub state: Vec<u8>,
    /// Bytes of its file; the state says how many of them are complete.
    pub bytes: u64,
}

impl Resumable {
    /// Opens the output. Returns what an earlier run left, if there is anything. Nothing of it is changed before
    /// [`Resumable::keep`] or [`Resumable::discard`].
    pub fn open(path: &Path) -> Result<(Self, Option<Left>), CliError> {
        let error = |error: io::Error| CliError::io("write", path, &error);
        let (target, lock) = claim(path)?;
        let Some(name) = target.file_name() else {
            return Err(error(io::ErrorKind::InvalidFilename.into()));
        };
        let (data, state) = names(parent(&target), name);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = part::no_links(&mut options).open(&data).map_err(error)?;
        let bytes = file.metadata().map_err(error)?.len();
        let left = if state.is_file() { Some(read_small(&state, MAX_STATE_BYTES)?) } else { None };
        let saved = left.is_some();
        let left = left.filter(|_| bytes > 0).map(|state| Left { state, bytes });
        let (file, path) = (BufWriter::new(file), path.to_owned());
        let this = Self { file, written: 0, data, state, target, path, saved, _lock: lock };
        Ok((this, left))
    }

    /// Continues after the first `bytes` of what was left.
    pub fn keep(&mut self, bytes: u64) -> Result<(), CliError> {
        self.begin_at(bytes).map_err(|error| CliError::io("write", &self.path, &error))
    }

    /// Starts from the beginning.
    pub fn discard(&mut self) -> Result<(), CliError> {
        let start = |this: &mut Self| {
            // The state first: it must never be about other bytes.
            remove(&this.state)?;
            this.saved = false;
            this.begin_at(0)
        };
        start(self).map_err(|error| CliError::io("write", &self.path, &error))
    }

    fn begin_at(&mut self, bytes: u64) -> io::Result<()> {
        let file = self.file.get_mut();
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        self.written = bytes;
        Ok(())
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Stores a state: what was written so far is complete.
    pub fn save(&mut self, state: &[u8]) -> Result<(), CliError> {
        let save = |this: &mut Self| {
            this.file.flush()?;
            // The state must not survive a crash of the system without its bytes.
            this.file.get_ref().sync_data()?;
            let mut file = part::create(parent(&this.state))?;
            file.write_all(state)?;
            file.persist(&this.state).map_err(|error| error.error)?;
            this.saved = true;
            Ok(())
        };
        save(self).map_err(|error| CliError::io("write", &self.path, &error))
    }

    /// Puts the file in its place.
    pub fn finish(mut self) -> Result<(), CliError> {
        let settle = |this: &mut Self| {
            this.file.flush()?;
            part::complete(this.file.get_ref(), &this.target)?;
            fs::rename(&this.data, &this.target)?;
            this.saved = false;
            remove(&this.state)?;
            sync_directory(parent(&this.target))
        };
        settle(&mut self).map_err(|error| CliError::io("write", &self.path, &error))
    }

    /// Writes with `write`, naming the file in the error.
    pub fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut counted = Counted { inner: &mut self.file, count: 0 };
        let done = write(&mut counted);
        self.written += counted.count;
        done.map_err(|error| CliError::io("write", &self.path, &error))
    }
}

impl Drop for Resumable {
    fn drop(&mut self) {
        // Without a state, nobody can continue the file. After `finish`, there is none.
        if !self.saved {
            let _ = fs::remove_file(&self.data);
        }
    }
}

/// The names of the temporary file and of its state.
fn names(directory: &Path, name: &OsStr) -> (PathBuf, PathBuf) {
    let place = |suffix: &str| directory.join(part::own_name(name, suffix));
    (place(".partial"), place(".state"))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &mut Resumable, text: &str) {
        file.write_with(|out| out.write_all(text.as_bytes())).unwrap();
    }

    #[test]
    fn what_is_complete_is_continued_and_the_rest_is_written_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let (mut file, left) = Resumable::open(&path).unwrap();
        assert!(left.is_none());
        write(&mut file, "one ");
        let bytes = file.written();
        file.save(b"state").unwrap();
        write(&mut file, "tw");
        drop(file);
        assert!(!path.exists());
        let (mut file, left) = Resumable::open(&path).unwrap();
        let left = left.unwrap();
        assert_eq!((&left.state[..], left.bytes), (&b"state"[..], 6));
        let refused = Resumable::open(&path).unwrap_err().message().unwrap();
        assert!(refused.ends_with("in use by another `lorb`"), "{refused}");
        file.keep(bytes).unwrap();
        write(&mut file, "two");
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_run_that_saved_nothing_leaves_nothing_and_another_start_discards() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let (mut file, _) = Resumable::open(&path).unwrap();
        write(&mut file, "one");
        drop(file);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        let (mut file, _) = Resumable::open(&path).unwrap();
        write(&mut file, "one");
        file.save(b"state").unwrap();
        drop(file);
        let (mut file, left) = Resumable::open(&path).unwrap();
        assert!(left.is_some());
        file.discard().unwrap();
        write(&mut file, "new");
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
