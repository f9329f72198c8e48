//! Reads an adapter from the two files of a directory, in the format of its method.

use serde_json::{Map, Value};

use super::meta::settings_hash;
use super::{AdapterError, AdapterFiles, AdapterMeta, SECTION};
use crate::base::{BertConfig, TensorFile};
use crate::methods::METHODS;
use crate::model::Adapter;
use crate::peft::{FileFormat, object};

/// Options for reading an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Seed of a new score head for an adapter without one, as PEFT writes it for a bare encoder; training can start
    /// from it. `None` rejects such an adapter.
    pub new_head: Option<u64>,
}

/// Reads an adapter written by LoRB, or by PEFT with a score head, and validates it against a base.
///
/// # Errors
/// [`AdapterError`] names the invalid setting or tensor. Unused and missing tensors are errors.
pub fn read(
    files: &AdapterFiles,
    base: &BertConfig,
) -> Result<(Adapter, AdapterMeta), AdapterError> {
    read_with(files, base, ReadOptions::default())
}

/// As [`read`], with options for adapters without a score head.
///
/// # Errors
/// As for [`read`].
pub fn read_with(
    files: &AdapterFiles,
    base: &BertConfig,
    options: ReadOptions,
) -> Result<(Adapter, AdapterMeta), AdapterError> {
    let config = object(&files.config)?;
    let format = format(&config)?;
    let base_name = match config.get("base_model_name_or_path") {
        Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    let file = TensorFile::open(files.weights.as_slice())?;
    let adapter = format.read(config, &file, base, options.new_head)?;
    let (meta, saved) = match file.metadata().get(SECTION) {
        Some(text) => AdapterMeta::from_text(text)?,
        None => (AdapterMeta::default(), None),
    };
    if saved.is_some_and(|saved| saved != settings_hash(&adapter)) {
        return Err(AdapterError::Mixed);
    }
    Ok((adapter, AdapterMeta { base_name, ..meta }))
}

/// The format of the first method that claims the files.
fn format(config: &Map<String, Value>) -> Result<&'static dyn FileFormat, AdapterError> {
    let mut formats = METHODS.iter().map(|info| info.files);
    if let Some(format) = formats.find(|format| format.claims(config)) {
        return Ok(format);
    }
    match config.get("peft_type") {
        None | Some(Value::Null) => {
            Err(AdapterError::setting("peft_type", "is missing; expected \"LORA\""))
        }
        Some(other) => {
            let mut known: Vec<&str> =
                METHODS.iter().filter_map(|info| info.files.peft_type()).collect();
            known.sort_unstable();
            known.dedup();
            let what = format!("is {other}; LoRB reads {}", known.join(", "));
            Err(AdapterError::setting("peft_type", what))
        }
    }
}
