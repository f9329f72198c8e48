//! What a base that LoRB wrote in fewer bits remembers of the one it was made from: the `lorb` entry of
//! the metadata, a JSON object in text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BaseError;

/// Key of the entry in `__metadata__`.
const SECTION: &str = "lorb";

/// Version of the entry's meaning; a reader refuses a newer one.
const FORMAT: u64 = 1;

/// Which base a file of fewer bits stands for. Adapters remember a base by this hash, so that one
/// trained on either fits the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    format: u64,
    /// SHA-256 of the original's `model.safetensors`, 64 hexadecimal digits.
    pub base_sha256: String,
}

impl Origin {
    /// The origin of a file made from the one with this hash.
    #[must_use]
    pub fn new(base_sha256: String) -> Self {
        Self { format: FORMAT, base_sha256 }
    }

    /// Reads it from a file's metadata; `None` where the file is an original itself.
    pub(super) fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, BaseError> {
        let Some(text) = metadata.get(SECTION) else { return Ok(None) };
        let origin: Self =
            serde_json::from_str(text).map_err(|e| BaseError::Metadata(e.to_string()))?;
        if origin.format != FORMAT {
            let found = origin.format;
            let what = format!("`format` is {found}; this LoRB knows {FORMAT}, take a newer one");
            return Err(BaseError::Metadata(what));
        }
        let hash = &origin.base_sha256;
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            let what = format!("`base_sha256` is {hash:?}; expected 64 hexadecimal digits");
            return Err(BaseError::Metadata(what));
        }
        Ok(Some(origin))
    }

    /// The entry for a file's metadata.
    pub(super) fn entry(&self) -> Result<(String, String), String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        Ok((SECTION.to_owned(), text))
    }
}
