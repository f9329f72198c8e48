//! Atomic output: files are written completely or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::CliError;

/// The output of a command.
pub enum Sink {
    /// Standard output.
    Stdout(BufWriter<io::Stdout>),
    /// A temporary file in the same directory, renamed when finished.
    Sibling { file: BufWriter<NamedTempFile>, path: PathBuf },
    /// A device or a pipe, written directly.
    Device { file: BufWriter<File>, path: PathBuf },
}

impl Sink {
    /// Opens standard output for `-` or no path, else a file.
    pub fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let error = |error: io::Error| CliError::io("write", path, &error);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(CliError::Failed(format!(
                "{}: is a directory; expected a file",
                path.display()
            ))),
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(path).map_err(error)?;
                Ok(Self::Device { file: BufWriter::new(file), path: path.to_owned() })
            }
            _ => {
                let file = BufWriter::new(sibling(path).map_err(error)?);
                Ok(Self::Sibling { file, path: path.to_owned() })
            }
        }
    }

    /// Finishes the output. Without this call, an existing file is not changed.
    pub fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(|e| CliError::stdout(&e)),
            Self::Device { mut file, path } => {
                file.flush().map_err(|e| CliError::io("write", &path, &e))
            }
            Self::Sibling { file, path } => {
                let error = |error: io::Error| CliError::io("write", &path, &error);
                let file = file.into_inner().map_err(|e| error(e.into_error()))?;
                settle(file, &path).map_err(error)
            }
        }
    }

    /// Writes with `write`, naming the file in the error.
    pub fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        match self {
            Self::Stdout(out) => write(out).map_err(|e| CliError::stdout(&e)),
            Self::Sibling { file, path } => {
                write(file).map_err(|e| CliError::io("write", path, &e))
            }
            Self::Device { file, path } => write(file).map_err(|e| CliError::io("write", path, &e)),
        }
    }
}

/// Prints to standard output. A broken pipe is not an error message.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| CliError::stdout(&e))
}

/// Writes a file atomically, with a temporary file, fsync and rename.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let write = || {
        let mut file = sibling(path)?;
        file.write_all(bytes)?;
        settle(file, path)
    };
    write().map_err(|error| CliError::io("write", path, &error))
}

/// Writes `files` to `directory`, which is created if missing.
///
/// A new directory is created atomically: it is filled under another name and renamed. In an existing one,
/// changed files are first written next to the old ones, then renamed over them in the order of `files`.
/// Other files are not changed.
pub fn write_directory(directory: &Path, files: &[(&str, &[u8])]) -> Result<(), CliError> {
    let error = |error: io::Error| CliError::io("write", directory, &error);
    if directory.is_dir() {
        let mut waiting = Vec::new();
        for (name, bytes) in files {
            let path = directory.join(name);
            // If only one file changes, as in tuning, the only change is its rename.
            if fs::read(&path).is_ok_and(|old| old == *bytes) {
                continue;
            }
            let mut file = sibling(&path).map_err(error)?;
            file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(error)?;
            waiting.push((file, path));
        }
        for (file, path) in waiting {
            settle(file, &path).map_err(error)?;
        }
        return Ok(());
    }
    let parent = parent(directory);
    fs::create_dir_all(parent).map_err(error)?;
    let staged = tempfile::Builder::new().prefix(".lorb-").tempdir_in(parent).map_err(error)?;
    for (name, bytes) in files {
        let mut file = File::create_new(staged.path().join(name)).map_err(error)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(error)?;
    }
    open_to_all(staged.path()).map_err(error)?;
    fs::rename(staged.path(), directory).map_err(error)?;
    // The directory has been renamed, so the guard must not remove it.
    let _ = staged.keep();
    sync_directory(parent).map_err(error)
}

/// Checks, before a long run, that `directory` can be written or created. Leaves no files behind.
pub fn check_directory(directory: &Path) -> Result<(), CliError> {
    let error = |error: io::Error| CliError::io("write", directory, &error);
    let mut nearest = directory;
    loop {
        match fs::metadata(nearest) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => {
                let (path, file) = (directory.display(), nearest.display());
                return Err(CliError::Failed(format!(
                    "--output {path}: {file} is a file; expected a directory"
                )));
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => nearest = parent(nearest),
            Err(fault) => return Err(error(fault)),
        }
    }
    let probe = tempfile::Builder::new().prefix(".lorb-").tempfile_in(nearest);
    probe.map_err(|fault| error(fault.kind().into()))?.close().map_err(error)
}

/// Creates a directory and its parents if missing.
pub fn create_directory(directory: &Path) -> Result<(), CliError> {
    fs::create_dir_all(directory).map_err(|error| CliError::io("create", directory, &error))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file next to `path`, with the permissions of a new file.
fn sibling(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lorb-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(parent(path)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("its directory does not exist"),
        // The full message would name the temporary file, which the user does not know.
        kind => kind.into(),
    })
}

fn settle(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(parent(path))
}

/// Makes a rename durable. Only Unix allows opening a directory for this.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Temporary directories are private; the finished one must not be.
fn open_to_all(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    let _ = directory;
    Ok(())
}
