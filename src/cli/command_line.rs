//! The command line of this process, to repeat it.

use std::ffi::OsStr;

/// This process's command line for a shell, without the flags `without`, and with the flags `with` unless they are
/// there.
pub fn again(without: &[&str], with: &[&str]) -> String {
    repeated(std::env::args_os(), without, with)
}

fn repeated(
    arguments: impl Iterator<Item = impl AsRef<OsStr>>,
    without: &[&str],
    with: &[&str],
) -> String {
    let mut words: Vec<String> = arguments
        .filter(|word| !without.iter().any(|flag| word.as_ref() == *flag))
        .map(|word| quoted(word.as_ref()))
        .collect();
    for flag in with {
        if !words.iter().any(|word| word == flag) {
            words.push((*flag).to_owned());
        }
    }
    words.join(" ")
}

/// A word that a shell reads back as the same bytes.
fn quoted(word: &OsStr) -> String {
    let bytes = word.as_encoded_bytes();
    let Ok(text) = str::from_utf8(bytes) else { return escaped(bytes) };
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if lorb::printable::printable(text) != text {
        return escaped(bytes);
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Bytes that cannot be shown, in the notation of bash, ksh and zsh.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_a_shell() {
        let given = ["lorb", "train", "--output", "my dir", "--overwrite", "--model", "it's"];
        let command = repeated(given.iter(), &["--overwrite"], &["--resume"]);
        assert_eq!(command, r"lorb train --output 'my dir' --model 'it'\''s' --resume");
        let words = || ["lorb", "--resume", ""].iter();
        assert_eq!(repeated(words(), &[], &["--resume"]), "lorb --resume ''");
        let more = &["--resume", "--recompute"];
        assert_eq!(repeated(words(), &[], more), "lorb --resume '' --recompute");
        assert_eq!(quoted(OsStr::new("a\x1b[2J\u{202e}")), r"$'a\x1b[2J\xe2\x80\xae'");
    }

    #[test]
    #[cfg(unix)]
    fn words_that_are_not_utf8_keep_their_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let word = OsStr::from_bytes(b"it's \xff\\");
        assert_eq!(quoted(word), r"$'it\'s \xff\\'");
        let script = format!("printf %s {}", quoted(word));
        let shell = std::process::Command::new("bash").args(["-c", &script]).output();
        assert_eq!(shell.expect("bash").stdout, b"it's \xff\\");
    }
}
