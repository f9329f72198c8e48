//! A new folder that appears when it is complete.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lorb::nbest::ListSink;

use super::lock::Lock;
use super::{parent, part, sync_directory};
use crate::cli::error::CliError;

/// Bytes that are kept in memory before they are appended to their files. Formats may have hundreds of files, more than
/// a process may open at once, so each is opened only to append to it.
const BUFFERED_BYTES: usize = 1 << 20;

/// A folder that is written under another name next to its place.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    staged: PathBuf,
    buffers: BTreeMap<String, Vec<u8>>,
    buffered: usize,
    _lock: Lock,
}

impl NewFolder {
    /// Starts the folder. An existing one must be empty: its files would not belong to the new lists.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let error = |error: io::Error| CliError::io("write", path, &error);
        let refuse = |what: &str| {
            Err(CliError::Failed(format!("{}: {what}; choose a new folder", path.display())))
        };
        match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return refuse("contains files"),
            Ok(false) => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotADirectory => {
                return refuse("is a file; the lists are written as a folder");
            }
            Err(fault) => return Err(error(fault)),
        }
        let Some(name) = path.file_name() else {
            return Err(error(io::ErrorKind::InvalidFilename.into()));
        };
        let directory = parent(path);
        let lock = Lock::take(&directory.join(part::lock_name(name)));
        let lock = lock.map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => error(io::Error::other("its directory does not exist")),
            _ => error(fault),
        })?;
        let Some(lock) = lock else {
            return Err(CliError::Failed(format!("{}: in use by another `lorb`", path.display())));
        };
        let staged = directory.join(part::folder_name(name));
        let fresh = match fs::remove_dir_all(&staged) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => fs::create_dir(&staged),
        };
        fresh.map_err(error)?;
        let (path, buffers) = (path.to_owned(), BTreeMap::new());
        Ok(Self { path, staged, buffers, buffered: 0, _lock: lock })
    }

    /// Completes the files and puts the folder in its place.
    pub fn finish(mut self) -> Result<(), CliError> {
        let settle = |this: &mut Self| {
            this.flush(true)?;
            // An empty directory may be there.
            match fs::remove_dir(&this.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(&this.staged, &this.path)?;
            sync_directory(parent(&this.path))
        };
        settle(&mut self).map_err(|error| CliError::io("write", &self.path, &error))
    }

    /// Appends what is in memory to the files. `last`: also syncs all files that were written.
    fn flush(&mut self, last: bool) -> io::Result<()> {
        for (path, bytes) in &mut self.buffers {
            if bytes.is_empty() && !last {
                continue;
            }
            let target = self.staged.join(path.split('/').collect::<PathBuf>());
            fs::create_dir_all(parent(&target))?;
            let mut file = File::options().append(true).create(true).open(&target)?;
            file.write_all(bytes)?;
            bytes.clear();
            if last {
                file.sync_all()?;
            }
        }
        self.buffered = 0;
        Ok(())
    }
}

impl ListSink for NewFolder {
    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        match self.buffers.get_mut(path) {
            Some(buffer) => buffer.extend_from_slice(bytes),
            None => drop(self.buffers.insert(path.to_owned(), bytes.to_vec())),
        }
        self.buffered += bytes.len();
        if self.buffered < BUFFERED_BYTES { Ok(()) } else { self.flush(false) }
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After `finish`, there is nothing.
        let _ = fs::remove_dir_all(&self.staged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_complete_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let mut folder = NewFolder::open(&path).unwrap();
        folder.append("a/b", b"one").unwrap();
        folder.append("c", &vec![b'x'; BUFFERED_BYTES]).unwrap();
        folder.append("a/b", b" two").unwrap();
        assert!(!path.exists());
        let refused = NewFolder::open(&path).unwrap_err().message().unwrap();
        assert!(refused.ends_with("in use by another `lorb`"), "{refused}");
        drop(folder);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // As a killed run leaves it.
        fs::create_dir(place.path().join(".lorb-out.folder.part")).unwrap();
        fs::write(place.path().join(".lorb-out.folder.part/old"), "half").unwrap();
        let mut folder = NewFolder::open(&path).unwrap();
        folder.append("a/b", b"one").unwrap();
        folder.finish().unwrap();
        assert_eq!(fs::read(path.join("a/b")).unwrap(), b"one");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        let refused = NewFolder::open(&path).unwrap_err().message().unwrap();
        assert!(refused.ends_with("contains files; choose a new folder"), "{refused}");
        let refused = NewFolder::open(&path.join("a/b")).unwrap_err().message().unwrap();
        assert!(refused.contains("is a file"), "{refused}");
    }
}
