//! The index of weights in several files, as Transformers writes it: `model.safetensors.index.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::BaseError;
use crate::bounds::{MAX_INDEX_BYTES, MAX_NAME_BYTES, MAX_SHARDS, MAX_TENSORS};
use crate::foreign::{Expected, Foreign};

/// The names of the files that an index names, sorted; `index` is its name.
///
/// # Errors
/// [`BaseError::Index`] if it is malformed, or names something else than files in its folder.
#[cfg(not(target_family = "wasm"))]
pub fn shard_names(index: &str, bytes: &[u8]) -> Result<Vec<String>, BaseError> {
    let kinds = [Index::SAFETENSORS, Index::PYTORCH];
    let kind = kinds.into_iter().find(|(name, _)| *name == index).unwrap_or(Index::SAFETENSORS);
    Ok(Index::read(bytes, kind)?.files)
}

/// Which file has which tensor.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// The name of the index.
    pub name: &'static str,
    /// Names of the files, sorted.
    pub files: Vec<String>,
    /// Names of files by the tensors' names.
    pub places: BTreeMap<String, String>,
}

impl Index {
    /// The name of an index, and how the names of its files end.
    pub const SAFETENSORS: (&'static str, &'static str) =
        ("model.safetensors.index.json", ".safetensors");

    /// The same of files that `torch.save` wrote.
    #[cfg(not(target_family = "wasm"))]
    pub const PYTORCH: (&'static str, &'static str) = ("pytorch_model.bin.index.json", ".bin");

    /// Reads an index. The names of files come from it, so only plain names are accepted.
    pub fn read(
        bytes: &[u8],
        (name, ending): (&'static str, &'static str),
    ) -> Result<Self, BaseError> {
        let wrong = |what: String| BaseError::Index { file: name, what };
        if let Some(what) = Foreign::of(bytes, Expected::Text) {
            return Err(BaseError::Foreign { file: name, what });
        }
        if bytes.len() as u64 > MAX_INDEX_BYTES {
            let length = bytes.len();
            return Err(wrong(format!("{length} bytes; expected at most {MAX_INDEX_BYTES}")));
        }
        let file: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| wrong(format!("not valid JSON: {e}")))?;
        let map = file.get("weight_map").and_then(Value::as_object);
        let map =
            map.ok_or_else(|| wrong("`weight_map` is missing, or not an object".to_owned()))?;
        if map.len() > MAX_TENSORS {
            return Err(wrong(format!("`weight_map` has more than {MAX_TENSORS} tensors")));
        }
        let (mut files, mut places) = (BTreeSet::new(), BTreeMap::new());
        for (tensor, file) in map {
            if tensor.len() > MAX_NAME_BYTES {
                let length = tensor.len();
                return Err(wrong(format!(
                    "a name of {length} bytes; expected at most {MAX_NAME_BYTES}"
                )));
            }
            let plain = file.as_str().filter(|file| is_plain(file, ending));
            let plain = plain.ok_or_else(|| {
                wrong(format!(
                    "tensor `{tensor}` is in {file}; expected the name of a file that ends in {ending}"
                ))
            })?;
            files.insert(plain.to_owned());
            places.insert(tensor.clone(), plain.to_owned());
            if files.len() > MAX_SHARDS {
                return Err(wrong(format!("more than {MAX_SHARDS} files")));
            }
        }
        if files.is_empty() {
            return Err(wrong("`weight_map` has no tensors".to_owned()));
        }
        Ok(Self { name, files: files.into_iter().collect(), places })
    }
}

/// Whether a name is that of a file in the same folder, on every system and in a URL.
fn is_plain(file: &str, ending: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    file.len() <= 255 && !file.starts_with('.') && file.bytes().all(known) && file.ends_with(ending)
}
