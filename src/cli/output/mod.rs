//! Files that the commands write: complete or not at all, one writer at a time, never over an input.
//!
//! - `sink`: one output file or standard output, written as it is produced.
//! - `file`: a file that is replaced at once.
//! - `directory`: a directory whose files change together.
//! - `folder`: a new folder that appears when it is complete.
//! - `lock`: one writer per output.
//! - `resumable`: a file that a later run can continue.
//! - `part`: temporary files, and those of killed runs.
//! - `apart`: outputs that would replace an input.

mod apart;
mod directory;
mod file;
mod folder;
mod lock;
mod part;
mod resumable;
mod sink;

use std::io::{self, Write};
use std::path::Path;

use lorb::printable::printable_lines;

use super::error::CliError;
use super::process;

pub use apart::{Files, check_directory};
pub use directory::{Directory, current, next_to};
pub use file::{Replacement, write_file};
pub use folder::NewFolder;
pub use resumable::{Left, Resumable};
pub use sink::Sink;

/// Prints text for people to standard output, with control characters from names and files as escapes.
pub fn print(text: &str) -> Result<(), CliError> {
    print_exact(&printable_lines(text))
}

/// Prints data to standard output, unchanged. A broken pipe is not an error message.
pub fn print_exact(text: &str) -> Result<(), CliError> {
    process::check_output()?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| CliError::stdout(&e))
}

/// The directory of a file.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename durable. Only Unix allows opening a directory for this.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(directory)?.sync_all() } else { Ok(()) }
}
