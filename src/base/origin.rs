//! The origin of a base written by `lorb export`: the `lorb` entry of the metadata, a JSON object as text.

use std::collections::BTreeMap;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{BaseError, TensorEntry};

/// Key of the entry in `__metadata__`.
const SECTION: &str = "lorb";

/// Version of the entry; readers reject newer ones.
const FORMAT: u64 = 1;

/// The original of an exported base. Adapters identify a base by this hash, so an adapter trained on either fits both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    format: u64,
    /// SHA-256 of the original's `model.safetensors`, 64 hexadecimal digits.
    pub base_sha256: String,
    /// Whether the base was exported in f32.
    #[serde(default, skip_serializing_if = "is_false")]
    exact: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Origin {
    /// The origin of a file exported from the base with this hash; `exact` is whether in f32.
    #[must_use]
    pub fn new(base_sha256: String, exact: bool) -> Self {
        Self { format: FORMAT, base_sha256, exact }
    }

    /// Reads the origin from a file's metadata; `None` for an original base, which is identified by its bytes. The tensors
    /// of all files must pass [`check`](Self::check) too.
    pub(super) fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, BaseError> {
        let Some(text) = metadata.get(SECTION) else { return Ok(None) };
        let origin: Self =
            serde_json::from_str(text).map_err(|e| BaseError::Metadata(e.to_string()))?;
        if origin.format != FORMAT {
            let found = origin.format;
            let what = format!(
                "`format` is {found}; this version of LoRB supports {FORMAT}, use a newer one"
            );
            return Err(BaseError::Metadata(what));
        }
        let hash = &origin.base_sha256;
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            let what = format!("`base_sha256` is {hash:?}; expected 64 hexadecimal digits");
            return Err(BaseError::Metadata(what));
        }
        Ok(Some(origin))
    }

    /// Checks the claim of a base with these tensors.
    ///
    /// It is accepted only from weights in lower precision or that were exported in f32: other programs that convert or
    /// train an exported base may copy its metadata.
    pub(super) fn check(&self, entries: &BTreeMap<String, TensorEntry>) -> Result<(), BaseError> {
        let lower = |entry: &TensorEntry| matches!(entry.dtype, Dtype::F16 | Dtype::I8 | Dtype::U8);
        if !self.exact && !entries.values().any(lower) {
            let what = "`base_sha256` claims that this is an exported base, but its weights have full precision";
            return Err(BaseError::Metadata(what.to_owned()));
        }
        Ok(())
    }

    /// The entry for a file's metadata.
    pub(super) fn entry(&self) -> Result<(String, String), String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        Ok((SECTION.to_owned(), text))
    }
}
