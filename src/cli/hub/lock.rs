//! One download of a content at a time, over all processes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::cli::terminal::say;

/// Interval of the attempts.
const PATIENCE: Duration = Duration::from_millis(100);

/// Waits for the lock, and holds it until the file is dropped or the process ends. Python's client uses the same one.
pub fn acquire(path: &Path, what: &str, quiet: bool) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !waiting && !quiet {
                    say!("waiting for another process that is downloading {what}");
                }
                waiting = true;
                thread::sleep(PATIENCE);
            }
            // Some file systems do not support locks. Two downloads may then disturb each other, but the digest of what
            // they write is checked.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}
