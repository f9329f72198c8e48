//! Files that are not what their name says: what a failed download or a checkout without Git LFS leaves behind.

use crate::remedy::Remedy;

/// What a file is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// A ZIP archive, which PyTorch writes as `*.bin`, `*.pt` and `*.pth`.
    #[error("this is a ZIP archive, such as PyTorch writes")]
    Zip,
    /// A Python pickle, which old versions of PyTorch write.
    #[error("this is a Python pickle, which may run code when it is read")]
    Pickle,
    /// Compressed.
    #[error("this is a gzip archive")]
    Gzip,
    /// The format of llama.cpp.
    #[error("this is a GGUF file")]
    Gguf,
    /// The format of Keras.
    #[error("this is an HDF5 file")]
    Hdf5,
    /// Text in UTF-16 or UTF-32.
    #[error("this is text in UTF-16 or UTF-32")]
    Utf16,
    /// JSON where tensors are expected, usually the answer of a server.
    #[error("this is JSON text, not a safetensors file")]
    Json,
}

impl Foreign {
    /// The kind of a file, from its first bytes (eight are enough). `None` if it may be what is expected: `text`, or
    /// tensors.
    pub fn of(start: &[u8], text: bool) -> Option<Self> {
        let trimmed = start.trim_ascii_start();
        let kinds: [(&[u8], Self); 12] = [
            (b"version ", Self::LfsPointer),
            (b"PK\x03\x04", Self::Zip),
            (b"\x80\x02", Self::Pickle),
            (b"\x80\x03", Self::Pickle),
            (b"\x80\x04", Self::Pickle),
            (b"\x80\x05", Self::Pickle),
            (b"\x1f\x8b", Self::Gzip),
            (b"GGUF", Self::Gguf),
            (b"\x89HDF", Self::Hdf5),
            (b"\xff\xfe", Self::Utf16),
            (b"\xfe\xff", Self::Utf16),
            (b"\x00\x00\xfe\xff", Self::Utf16),
        ];
        if start.is_empty() {
            return Some(Self::Empty);
        }
        if let Some((_, kind)) = kinds.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Some(*kind);
        }
        match trimmed.first() {
            Some(b'<') => Some(Self::Html),
            Some(b'{') if !text => Some(Self::Json),
            // Without a mark of the byte order, ASCII in UTF-16 has a zero in every pair.
            _ if text && start.len() > 1 && start[..2].contains(&0) => Some(Self::Utf16),
            _ => None,
        }
    }

    /// What the user can do.
    #[must_use]
    pub fn remedies(self) -> &'static [Remedy] {
        match self {
            Self::LfsPointer => &[Remedy::FetchFromLfs],
            Self::Empty | Self::Html | Self::Json => &[Remedy::DownloadAgain],
            Self::Zip | Self::Pickle => &[Remedy::ConvertToSafetensors],
            Self::Utf16 => &[Remedy::SaveAsUtf8],
            Self::Gzip | Self::Gguf | Self::Hdf5 => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised_by_their_start() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:53aa";
        assert_eq!(Foreign::of(pointer, true), Some(Foreign::LfsPointer));
        assert_eq!(Foreign::of(&pointer[..8], false), Some(Foreign::LfsPointer));
        assert_eq!(Foreign::of(b"\n <!DOCTYPE html>", true), Some(Foreign::Html));
        assert_eq!(Foreign::of(b"<html>", false), Some(Foreign::Html));
        assert_eq!(Foreign::of(b"PK\x03\x04....", false), Some(Foreign::Zip));
        assert_eq!(Foreign::of(b"\x80\x02\x8a\nl", false), Some(Foreign::Pickle));
        assert_eq!(Foreign::of(b"{\"error\"", false), Some(Foreign::Json));
        assert_eq!(Foreign::of(b"{\0\"\0", true), Some(Foreign::Utf16));
        assert_eq!(Foreign::of(b"\0{\0\"", true), Some(Foreign::Utf16));
        assert_eq!(Foreign::of(b"", true), Some(Foreign::Empty));
        for text in [&b"{}"[..], b"  {\"a\": 1}", b"[PAD]\n[UNK]", b"\xc3\xa9", b"0"] {
            assert_eq!(Foreign::of(text, true), None);
        }
        assert_eq!(Foreign::of(&80u64.to_le_bytes(), false), None);
    }
}
