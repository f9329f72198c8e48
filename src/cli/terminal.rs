//! Standard error: the only place that writes to it.
//!
//! Names and texts from files are part of messages. [`line()`] escapes what a terminal would act on, and shortens what
//! would fill it. A message that cannot be written is lost, and the exit code is the same: a closed pipe or a full disk
//! behind standard error is not a failure of the command.

use std::io::{self, Write};

use lorb::bounds::MAX_MESSAGE_CHARACTERS;
use lorb::printable::{printable, shortened};

/// Prints a formatted message as a line on standard error, like `eprintln`, but safely.
macro_rules! say {
    ($($message:tt)*) => { $crate::cli::terminal::line(&format!($($message)*)) };
}
pub(crate) use say;

/// Prints a message as one line.
pub fn line(message: &str) {
    write(&format!("{}\n", shown(message)));
}

/// Prints a message of several lines, such as help.
pub fn lines(text: &str) {
    write(&lorb::printable::printable_lines(text));
}

/// The message as it is shown: without control characters, and shortened.
pub fn shown(message: &str) -> String {
    shortened(&printable(message), MAX_MESSAGE_CHARACTERS).into_owned()
}

/// Prints a message followed by a command line to copy, which is never shortened.
pub fn line_with_command(message: &str, command: &str) {
    write(&format!("{} {}\n", shown(message), printable(command)));
}

fn write(text: &str) {
    // In one piece, so that lines of several processes do not mix. See above for the error.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_safe_line_of_limited_length() {
        assert_eq!(
            shown("warning: \x1b]0;title\x07 of\n\u{9b}2J"),
            r"warning: \u{1b}]0;title\u{7} of\n\u{9b}2J"
        );
        let long = shown(&"\x1b ".repeat(1_000_000));
        assert!(long.is_ascii() || long.contains('…'));
        assert!(long.chars().count() < MAX_MESSAGE_CHARACTERS + 10, "{}", long.len());
    }
}
