//! What the user is told when a command fails: one line, and an exit code.

use std::fmt;
use std::io;
use std::path::Path;

/// A command's failure.
#[derive(Debug)]
pub enum CliError {
    /// A flag has a value that cannot be: exit code 2, as for clap's own errors.
    Usage(String),
    /// Anything else: exit code 1.
    Failed(String),
    /// Whoever read the output went away, which is their right: exit code 0, no message.
    BrokenPipe,
}

impl CliError {
    /// A failure with its whole chain of causes; `at` names the flag or file.
    pub fn at(at: impl fmt::Display, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(format!("{at}: {}", chain(error)))
    }

    /// An invalid value of a flag.
    pub fn flag(flag: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Usage(format!("{flag}: {}", chain(error)))
    }

    /// A failure to read or write a file.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Failed(format!("{}: cannot {doing}: {}", path.display(), plain(error)))
    }

    /// A failure to write to standard output.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Failed(format!("standard output: cannot write: {}", plain(error)))
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::BrokenPipe => 0,
        }
    }

    /// The message on one line, if there is one to show.
    pub fn message(&self) -> Option<String> {
        let text = match self {
            Self::Usage(text) | Self::Failed(text) => text,
            Self::BrokenPipe => return None,
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Some(lines.collect::<Vec<_>>().join("; "))
    }
}

/// An error and what caused it, without saying twice what an outer message already quotes.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The system's words without the number behind them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
