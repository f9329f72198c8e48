//! The names that the hub gives to contents: hexadecimal digits, and nothing else.
//!
//! A server chooses the headers, and they become parts of paths. So they are accepted only in the forms that the hub
//! uses.

use std::fmt;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A commit of a repository, 40 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit(String);

impl Commit {
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, 40).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a file's content, from its ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// Large files: SHA-256.
    Sha256(String),
    /// Other files: the SHA-1 of git's object.
    Git(String),
}

impl Digest {
    /// Digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        if is_hex(text, 64) {
            Some(Self::Sha256(text.to_owned()))
        } else if is_hex(text, 40) {
            Some(Self::Git(text.to_owned()))
        } else {
            None
        }
    }

    /// The value of the header ETag: in quotes, perhaps marked as weak.
    pub fn from_etag(text: &str) -> Option<Self> {
        let text = text.strip_prefix("W/").unwrap_or(text);
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Self::parse(quoted.unwrap_or(text))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Git(digits) => digits,
        }
    }

    /// Whether the `length` bytes of `content` have this digest.
    pub fn fits(&self, content: &mut dyn Read, length: u64) -> io::Result<bool> {
        let found = match self {
            Self::Sha256(_) => hash(Sha256::new(), content)?,
            Self::Git(_) => hash(Sha1::new_with_prefix(format!("blob {length}\0")), content)?,
        };
        Ok(found == self.as_str())
    }
}

fn hash(mut hasher: impl sha2::Digest, content: &mut dyn Read) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_names() {
        let (git, sha) = ("0123456789abcdef0123456789abcdef01234567", "0f".repeat(32));
        assert_eq!(Digest::from_etag(&format!("\"{git}\"")), Some(Digest::Git(git.into())));
        assert_eq!(Digest::from_etag(&format!("W/\"{sha}\"")), Some(Digest::Sha256(sha.clone())));
        assert_eq!(Digest::from_etag(&sha), Some(Digest::Sha256(sha.clone())));
        let upper = git.to_uppercase();
        for wrong in [
            "",
            "\"\"",
            "/abs/path",
            "../../x",
            &git[1..],
            &upper,
            &format!("{git}0"),
            &"ab".repeat(4000),
        ] {
            assert_eq!(Digest::from_etag(wrong), None, "{wrong}");
            assert_eq!(Commit::parse(wrong), None, "{wrong}");
        }
        assert!(Commit::parse(git).is_some() && Commit::parse(&sha).is_none());
    }

    #[test]
    fn contents_have_the_digests_of_git_and_sha256() {
        // `printf hello | git hash-object --stdin`, `printf hello | sha256sum`.
        let git = Digest::parse("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0").unwrap();
        let sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        for digest in [git, Digest::parse(sha).unwrap()] {
            assert!(digest.fits(&mut &b"hello"[..], 5).unwrap());
            assert!(!digest.fits(&mut &b"hallo"[..], 5).unwrap());
        }
    }
}
