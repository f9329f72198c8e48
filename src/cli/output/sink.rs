//! One output: standard output, a file, or a device.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::file::Replacement;
use crate::cli::error::CliError;
use crate::cli::process;

/// The output of a command.
pub enum Sink {
    /// Standard output.
    Stdout(BufWriter<io::Stdout>),
    /// A file that appears when it is complete.
    File(Box<Replacement>),
    /// A device or a pipe, written directly.
    Device { file: BufWriter<File>, path: PathBuf },
}

impl Sink {
    /// Opens standard output for `-`, else a file.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        if path.as_os_str() == "-" {
            process::check_output()?;
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(CliError::Failed(format!(
                "{}: is a directory; expected a file",
                path.display()
            ))),
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(path);
                let file = file.map_err(|error| CliError::io("write", path, &error))?;
                Ok(Self::Device { file: BufWriter::new(file), path: path.to_owned() })
            }
            _ => Ok(Self::File(Box::new(Replacement::open(path)?))),
        }
    }

    /// Finishes the output. Without this call, an existing file is not changed.
    pub fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(|e| CliError::stdout(&e)),
            Self::Device { mut file, path } => {
                file.flush().map_err(|e| CliError::io("write", &path, &e))
            }
            Self::File(file) => file.finish(),
        }
    }

    /// Writes with `write`, naming the file in the error.
    pub fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        match self {
            Self::Stdout(out) => write(out).map_err(|e| CliError::stdout(&e)),
            Self::File(file) => file.write_with(write),
            Self::Device { file, path } => write(file).map_err(|e| CliError::io("write", path, &e)),
        }
    }
}
