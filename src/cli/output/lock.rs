//! One writer per output: a locked file next to it.
//!
//! The operating system releases the lock when the process ends, however it ends. The file is removed with the lock;
//! that of a killed process is used by the next one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::part::no_links;

/// Attempts to lock a file that its previous owner removes at the same time.
const ATTEMPTS: usize = 8;

/// A lock, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Closing the file releases the lock.
    _file: File,
}

impl Lock {
    /// Locks the file at `path`, which is created if missing. `None` if another process has the lock.
    ///
    /// Some file systems do not support locks. There, two writers are not noticed.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = no_links(&mut options).open(path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(_)) | Ok(()) => {}
            }
            // Its previous owner may have removed it after it was opened.
            if same_file(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), _file: file }));
            }
        }
        Ok(None)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is released, so that it cannot be another process's. A file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    id(opened) == id(there)
}

/// Elsewhere, an open file cannot be removed.
#[cfg(not(unix))]
fn same_file(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // As a killed process leaves it.
        fs::write(&path, "").unwrap();
        let first = Lock::take(&path).unwrap().expect("the first lock");
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        assert!(!path.exists());
        assert!(Lock::take(&path).unwrap().is_some());
    }
}
