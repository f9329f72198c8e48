//! Opening files that a command reads whole or more than once.
//!
//! A named pipe can block for ever, and a device may have no end. So such a file must be a regular one, directly or
//! through symbolic links. Only lists given as INPUT may come from a pipe.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lorb::base::{HeaderError, read_header};

use super::error::CliError;

/// Opens a regular file, and returns its length. Neither a pipe nor a device is opened.
///
/// # Errors
/// The file does not exist, cannot be read, or is not a regular file.
pub fn open_regular(path: &Path) -> Result<(File, u64), CliError> {
    regular(path).map_err(|error| CliError::io("read", path, &error))
}

/// As [`open_regular`], with the system's kind of error.
pub fn regular(path: &Path) -> io::Result<(File, u64)> {
    // Before opening, because opening a named pipe waits for its writer.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let found = file.metadata()?;
    check(&found)?;
    Ok((file, found.len()))
}

fn check(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let kind = if found.is_dir() { "a directory" } else { "a pipe or a device" };
    Err(io::Error::other(format!("is {kind}; expected a regular file")))
}

/// Reads a regular file of at most `limit` bytes. A longer one is not read.
///
/// # Errors
/// Those of [`open_regular`], and a file longer than `limit`.
pub fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let (file, length) = open_regular(path)?;
    let too_long = |what: String| {
        let path = path.display();
        CliError::Failed(format!("{path}: {what} bytes; LoRB reads at most {limit} of such a file"))
    };
    if length > limit {
        return Err(too_long(length.to_string()));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may grow, and some file systems report a length of 0.
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::io("read", path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(too_long(format!("more than {limit}")));
    }
    Ok(bytes)
}

/// As [`read_small`], for a file of text.
///
/// # Errors
/// Those of [`read_small`], and bytes that are not UTF-8.
pub fn read_small_text(path: &Path, limit: u64) -> Result<String, CliError> {
    String::from_utf8(read_small(path, limit)?).map_err(|error| {
        let byte = error.utf8_error().valid_up_to() + 1;
        CliError::Failed(format!("{}: byte {byte} is not UTF-8", path.display()))
    })
}

/// Reads a regular safetensors file of at most `limit` bytes. Its header is checked against its length first, so that a
/// damaged or hostile file is not read.
///
/// # Errors
/// Those of [`open_regular`], a file longer than `limit`, and an invalid header.
pub fn read_tensors(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let (mut file, length) = open_regular(path)?;
    let io = |error: &io::Error| CliError::io("read", path, error);
    let mut bytes = read_header(&mut file, length).map_err(|error| match error {
        HeaderError::Fault(fault) => CliError::at(path.display(), &fault),
        HeaderError::Io(error) => io(&error),
    })?;
    if length > limit {
        let path = path.display();
        return Err(CliError::Failed(format!(
            "{path}: {length} bytes; LoRB reads at most {limit} of such a file"
        )));
    }
    bytes.reserve_exact((length as usize).saturating_sub(bytes.len()));
    // The file may grow; its length is checked again when it is parsed.
    let rest = length.saturating_sub(bytes.len() as u64);
    file.take(rest + 1).read_to_end(&mut bytes).map_err(|error| io(&error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_read_and_a_longer_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        let refused = read_small(&path, 4).unwrap_err().message().unwrap();
        assert!(refused.ends_with(": 5 bytes; LoRB reads at most 4 of such a file"), "{refused}");
        fs::write(&path, [b'a', 0xff]).unwrap();
        let refused = read_small_text(&path, 5).unwrap_err().message().unwrap();
        assert!(refused.ends_with(": byte 2 is not UTF-8"), "{refused}");
        let refused = read_small(directory.path(), 5).unwrap_err().message().unwrap();
        assert!(refused.contains("is a directory; expected a regular file"), "{refused}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_and_pipes_are_refused_without_opening_them() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let (pipe, link) = (directory.path().join("pipe"), directory.path().join("link"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link] {
            let refused = read_small(path, 5).unwrap_err().message().unwrap();
            assert!(refused.contains("is a pipe or a device"), "{refused}");
        }
        // A length of 0, but not empty.
        assert!(!read_small(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        assert!(read_small(Path::new("/proc/self/status"), 10).is_err());
    }
}
