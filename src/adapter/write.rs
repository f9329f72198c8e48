//! Writes an adapter as the two files of a directory.

use std::collections::BTreeMap;

use super::meta::settings_hash;
use super::{AdapterError, AdapterFiles, AdapterMeta, SECTION};
use crate::base::{TensorFault, write_f32};
use crate::methods::MethodInfo;
use crate::model::Adapter;

/// Writes an adapter with score head and metadata. Equal input gives equal bytes.
///
/// The files load with `PeftModel.from_pretrained` on the bare encoder (`BertModel`, `DistilBertModel`), with
/// or without a linear layer `score`.
///
/// # Errors
/// [`AdapterError::Tensor`] names a tensor with a NaN or an infinity, [`AdapterError::Unwritable`] any other value that
/// cannot be written.
pub fn write(adapter: &Adapter, meta: &AdapterMeta) -> Result<AdapterFiles, AdapterError> {
    if adapter.parameters.len() != adapter.layout.len() {
        let (found, expected) = (adapter.parameters.len(), adapter.layout.len());
        return Err(AdapterError::Unwritable(format!(
            "it has {found} values, but its layout has {expected}"
        )));
    }
    let Some(info) = MethodInfo::find(adapter.method.name()) else {
        let what = format!("{} is not in the registry of methods", adapter.method.name());
        return Err(AdapterError::Unwritable(what));
    };
    let mut tensors = info.files.tensors(adapter);
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, _, values) in &tensors {
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            let (name, value) = (name.clone(), values[index]);
            return Err(TensorFault::NotFinite { name, index, value }.into());
        }
    }
    // PyTorch's loaders require the format.
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (SECTION.to_owned(), meta.to_text(&settings_hash(adapter))?),
    ]);
    let weights = write_f32(
        &metadata,
        tensors
            .iter()
            .map(|(name, shape, values)| (name.clone(), shape.as_slice(), values.as_slice())),
    )
    .map_err(AdapterError::Unwritable)?;
    let config = info.files.config(adapter, meta.base_name.as_deref())?;
    let mut config =
        serde_json::to_vec_pretty(&config).map_err(|e| AdapterError::Unwritable(e.to_string()))?;
    config.push(b'\n');
    Ok(AdapterFiles { config, weights })
}
