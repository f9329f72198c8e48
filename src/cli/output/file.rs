//! A file that is replaced at once, when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::lock::Lock;
use super::{parent, part};
use crate::cli::error::CliError;

/// Symbolic links that are followed, as in Linux.
const LINKS: usize = 40;

/// A new version of a file: a temporary file next to it, which replaces it when it is complete. Permissions and
/// symbolic links of an existing file are kept.
pub struct Replacement {
    file: BufWriter<NamedTempFile>,
    /// Where the links at `path` lead to.
    target: PathBuf,
    path: PathBuf,
    _lock: Lock,
}

impl Replacement {
    /// Starts a new version. Reports everything that would make [`Replacement::finish`] fail, as far as it can be
    /// known now.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let (target, lock) = claim(path)?;
        let file = part::create(parent(&target));
        let file = file.map_err(|error| CliError::io("write", path, &error))?;
        let (file, path) = (BufWriter::new(file), path.to_owned());
        Ok(Self { file, target, path, _lock: lock })
    }

    /// Puts the new version in place of the old one.
    pub fn finish(self) -> Result<(), CliError> {
        let Self { file, target, path, _lock } = self;
        let error = |error: io::Error| CliError::io("write", &path, &error);
        let file = file.into_inner().map_err(|fault| error(fault.into_error()))?;
        part::settle(file, &target).map_err(error)
    }

    /// Writes with `write`, naming the file in the error.
    pub fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        write(&mut self.file).map_err(|error| CliError::io("write", &self.path, &error))
    }
}

/// Where an output file is, after its links, and its lock. Reports everything that would make a rename to it fail, as far
/// as it can be known now, and removes what killed runs left next to it.
pub fn claim(path: &Path) -> Result<(PathBuf, Lock), CliError> {
    let error = |error: io::Error| CliError::io("write", path, &error);
    if path.as_os_str().as_encoded_bytes().last().is_some_and(|&last| separates(last)) {
        let message = "is the name of a directory; expected a file";
        return Err(CliError::Failed(format!("{}: {message}", path.display())));
    }
    let target = target(path).map_err(error)?;
    let Some(name) = target.file_name() else {
        return Err(error(io::ErrorKind::InvalidFilename.into()));
    };
    if target.exists() {
        // A rename would replace a file even if it is read-only.
        File::options().write(true).open(&target).map_err(error)?;
    }
    let directory = parent(&target);
    // A directory that does not exist has a message of its own, and one without permission gives the same for all files.
    drop(part::create(directory).map_err(error)?);
    let lock = Lock::take(&directory.join(part::lock_name(name))).map_err(error)?;
    let Some(lock) = lock else {
        return Err(CliError::Failed(format!("{}: in use by another `lorb`", path.display())));
    };
    part::sweep(directory);
    Ok((target, lock))
}

/// Writes a whole file of a directory that this process has locked.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let write = || {
        let target = target(path)?;
        let mut file = part::create(parent(&target))?;
        file.write_all(bytes)?;
        part::settle(file, &target)
    };
    write().map_err(|error| CliError::io("write", path, &error))
}

fn separates(byte: u8) -> bool {
    std::path::is_separator(char::from(byte))
}

/// Where the symbolic links at `path` lead to. The last one may lead to a file that does not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => path = parent(&path).join(fs::read_link(&path)?),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}
