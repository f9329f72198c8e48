//! Files that are not what they should be: what a failed download or a checkout without Git LFS leaves behind, and files
//! of other tools.

use crate::remedy::Remedy;

/// What a reader expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A safetensors file.
    Tensors,
    /// An archive of `torch.save`.
    Archive,
    /// A text of settings or a vocabulary.
    Text,
    /// N-best lists in any text format. They may be empty.
    Lists,
}

/// What a file is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Foreign {
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The text that Git LFS stores in place of a large file.
    #[error("this is a Git LFS pointer, not the file itself")]
    LfsPointer,
    /// A page, usually of an error.
    #[error("this is an HTML page, not the file itself")]
    Html,
    /// XML, such as the NLSML of some recognisers.
    #[error("this is XML")]
    Xml,
    /// A ZIP archive, which PyTorch writes as `*.bin`, `*.pt` and `*.pth`.
    #[error("this is a ZIP archive, such as PyTorch writes")]
    Zip,
    /// A Python pickle, which old versions of PyTorch write.
    #[error("this is a Python pickle, which may run code when it is read")]
    Pickle,
    /// Compressed.
    #[error("this is a gzip archive")]
    Gzip,
    /// Compressed with a method other than gzip.
    #[error("this is a file compressed with {0}")]
    Compressed(&'static str),
    /// A tar archive.
    #[error("this is a tar archive")]
    Tar,
    /// The format of llama.cpp.
    #[error("this is a GGUF file")]
    Gguf,
    /// The format of Keras.
    #[error("this is an HDF5 file")]
    Hdf5,
    /// A table of a data set.
    #[error("this is {0}")]
    Table(&'static str),
    /// A recording, not what a recogniser made of it.
    #[error("this is an audio file ({0})")]
    Audio(&'static str),
    /// A PDF document.
    #[error("this is a PDF document")]
    Pdf,
    /// Text in UTF-16 or UTF-32.
    #[error("this is text in UTF-16 or UTF-32")]
    Utf16,
    /// JSON where tensors are expected, usually the answer of a server.
    #[error("this is JSON text, not a file of tensors")]
    Json,
}

/// First bytes that identify a kind of file.
const MAGIC: [(&[u8], Foreign); 25] = [
    (b"version https://git-lfs", Foreign::LfsPointer),
    (b"PK\x03\x04", Foreign::Zip),
    (b"\x80\x02", Foreign::Pickle),
    (b"\x80\x03", Foreign::Pickle),
    (b"\x80\x04", Foreign::Pickle),
    (b"\x80\x05", Foreign::Pickle),
    (b"\x1f\x8b", Foreign::Gzip),
    (b"\xfd7zXZ\x00", Foreign::Compressed("xz")),
    (b"\x28\xb5\x2f\xfd", Foreign::Compressed("zstd")),
    (b"BZh", Foreign::Compressed("bzip2")),
    (b"7z\xbc\xaf\x27\x1c", Foreign::Compressed("7-Zip")),
    (b"GGUF", Foreign::Gguf),
    (b"\x89HDF", Foreign::Hdf5),
    (b"PAR1", Foreign::Table("a Parquet file")),
    (b"ARROW1", Foreign::Table("an Arrow file")),
    (b"SQLite format 3\x00", Foreign::Table("an SQLite database")),
    (b"\x93NUMPY", Foreign::Table("a NumPy array")),
    (b"fLaC", Foreign::Audio("FLAC")),
    (b"OggS", Foreign::Audio("Ogg")),
    (b"ID3", Foreign::Audio("MP3")),
    (b"RIFF", Foreign::Audio("WAVE")),
    (b"%PDF-", Foreign::Pdf),
    (b"\xff\xfe", Foreign::Utf16),
    (b"\xfe\xff", Foreign::Utf16),
    (b"\x00\x00\xfe\xff", Foreign::Utf16),
];

/// The start of a Git LFS pointer that even eight bytes show.
const POINTER: &[u8] = b"version ";

/// Where a tar archive has the name of its format.
const TAR_NAME: usize = 257;

impl Foreign {
    /// The kind of a file, from its first bytes (eight are enough for most kinds). `None` if it may be what is expected.
    #[must_use]
    pub fn of(start: &[u8], expected: Expected) -> Option<Self> {
        let lists = expected == Expected::Lists;
        if start.is_empty() {
            return (!lists).then_some(Self::Empty);
        }
        let known = MAGIC.iter().find(|(magic, _)| start.starts_with(magic));
        match known {
            Some((_, Self::Gzip)) if lists => return None,
            Some((_, Self::Zip)) if expected == Expected::Archive => return None,
            // Such words may begin a text.
            Some((_, Self::Audio(_))) if lists && !binary(start) => {}
            Some((_, kind)) => return Some(*kind),
            None if !lists && start.starts_with(POINTER) => return Some(Self::LfsPointer),
            None if start.get(TAR_NAME..).is_some_and(|rest| rest.starts_with(b"ustar")) => {
                return Some(Self::Tar);
            }
            None => {}
        }
        let text = start.trim_ascii_start();
        match (expected, text.first()) {
            (Expected::Lists, Some(b'<')) => markup(text),
            (_, Some(b'<')) => Some(Self::Html),
            (Expected::Tensors | Expected::Archive, Some(b'{')) => Some(Self::Json),
            (Expected::Tensors | Expected::Archive, _) => None,
            // Without a mark of the byte order, ASCII in UTF-16 has a zero in every pair.
            _ if start.len() > 1 && start[..2].contains(&0) => Some(Self::Utf16),
            _ => None,
        }
    }

    /// What the user can do about it in place of a file of a base or an adapter.
    #[must_use]
    pub fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::LfsPointer => &[Remedy::FetchFromLfs],
            Self::Empty | Self::Html | Self::Json => &[Remedy::DownloadAgain],
            Self::Tar | Self::Gzip | Self::Compressed(_) => &[Remedy::Unpack],
            Self::Zip | Self::Pickle => &[Remedy::ConvertToSafetensors],
            Self::Utf16 => &[Remedy::SaveAsUtf8],
            _ => &[],
        }
    }

    /// What the user can do about it in place of N-best lists.
    #[must_use]
    pub fn list_hint(self) -> Option<&'static str> {
        match self {
            Self::LfsPointer => Some("fetch the file from Git LFS"),
            Self::Html => Some("download the file itself; the server answered with a page"),
            Self::Zip | Self::Tar | Self::Compressed(_) => Some("unpack it first"),
            Self::Pickle => Some("in Python, write each list as a line of JSON"),
            Self::Table(_) => Some(
                "write each row as a line of JSON, with `datasets` or pandas: to_json(path, orient=\"records\", lines=True)",
            ),
            Self::Audio(_) => Some("N-best lists are what a recogniser makes of it"),
            Self::Xml => Some("use the recogniser's JSON output"),
            Self::Utf16 => Some("save it in UTF-8"),
            _ => None,
        }
    }
}

/// Whether the first bytes include one that no text has.
fn binary(start: &[u8]) -> bool {
    start.iter().take(32).any(|byte| *byte < b'\t')
}

/// HTML or XML. A list may begin with a token such as `<s>`.
fn markup(text: &[u8]) -> Option<Foreign> {
    let begins =
        |tag: &str| text.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes()));
    if begins("<?xml") {
        return Some(Foreign::Xml);
    }
    ["<!doctype", "<html", "<head", "<body", "<!--"]
        .iter()
        .any(|tag| begins(tag))
        .then_some(Foreign::Html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised_by_their_start() {
        use Expected::{Lists, Tensors, Text};
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:53aa";
        let mut tar = vec![0; 512];
        tar[..5].copy_from_slice(b"a.txt");
        tar[TAR_NAME..][..5].copy_from_slice(b"ustar");
        for (start, expected, kind) in [
            (&pointer[..], Text, Foreign::LfsPointer),
            (pointer, Lists, Foreign::LfsPointer),
            (&pointer[..8], Tensors, Foreign::LfsPointer),
            (b"\n <!DOCTYPE html>", Text, Foreign::Html),
            (b"\n <!doctype html>", Lists, Foreign::Html),
            (b"<html>", Tensors, Foreign::Html),
            (b"<?xml version=\"1.0\"?>", Lists, Foreign::Xml),
            (b"PK\x03\x04....", Tensors, Foreign::Zip),
            (b"PK\x03\x04....", Lists, Foreign::Zip),
            (b"\x80\x02\x8a\nl", Tensors, Foreign::Pickle),
            (b"\x80\x05\x95", Lists, Foreign::Pickle),
            (b"PAR1\x15\x04", Lists, Foreign::Table("a Parquet file")),
            (b"RIFF\x00\x10\x00\x00WAVEfmt ", Lists, Foreign::Audio("WAVE")),
            (&tar, Lists, Foreign::Tar),
            (b"{\"error\"", Tensors, Foreign::Json),
            (b"{\0\"\0", Text, Foreign::Utf16),
            (b"\0{\0\"", Lists, Foreign::Utf16),
            (b"\xff\xfe{\0", Lists, Foreign::Utf16),
            (b"", Text, Foreign::Empty),
        ] {
            assert_eq!(Foreign::of(start, expected), Some(kind), "{}", start.escape_ascii());
        }
        for text in [&b"{}"[..], b"  {\"a\": 1}", b"[PAD]\n[UNK]", b"\xc3\xa9", b"0"] {
            assert_eq!(Foreign::of(text, Text), None);
            assert_eq!(Foreign::of(text, Lists), None);
        }
        for text in [&b""[..], b"\x1f\x8b\x08", b"<s> turn on", b"version 1 of it", b"RIFF raff"] {
            assert_eq!(Foreign::of(text, Lists), None, "{}", text.escape_ascii());
        }
        assert_eq!(Foreign::of(&80u64.to_le_bytes(), Tensors), None);
    }
}
