//! An adapter into the two files of a PEFT directory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::selection::names;
use super::{AdapterError, AdapterFiles, AdapterMeta, SECTION, plain, prefix, tensor_name};
use crate::base::{Architecture, TensorFault, write_f32};
use crate::model::{Adapter, LoraConfig, LoraVariant, Method, SCORE_HEAD, Slot};

/// Writes an adapter, its score head and its metadata. Equal input gives equal bytes.
///
/// The files load with `PeftModel.from_pretrained` on the bare encoder (`BertModel`, `DistilBertModel`), with
/// or without a linear layer `score`.
///
/// # Errors
/// [`AdapterError::Tensor`] names a tensor with a NaN or an infinity, [`AdapterError::Unwritable`]
/// says what else cannot be put into the files.
pub fn write(adapter: &Adapter, meta: &AdapterMeta) -> Result<AdapterFiles, AdapterError> {
    if adapter.parameters.len() != adapter.layout.len() {
        let (found, expected) = (adapter.parameters.len(), adapter.layout.len());
        return Err(AdapterError::Unwritable(format!(
            "it has {found} values where its layout has {expected}"
        )));
    }
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = match adapter.method {
        Method::Prefix { .. } => prefix::tensors(adapter),
        _ => {
            let name = |module: &str, kind| match adapter.method.lora() {
                Some(_) => tensor_name(module, kind, adapter.method.kind()),
                None => plain::tensor_name(module, kind),
            };
            let slots = adapter.layout.slots().iter();
            let tensor = |slot: &Slot| {
                (name(&slot.module, slot.kind), slot.shape.clone(), adapter.values(slot).to_vec())
            };
            slots.map(tensor).collect()
        }
    };
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, _, values) in &tensors {
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            let (name, value) = (name.clone(), values[index]);
            return Err(TensorFault::NotFinite { name, index, value }.into());
        }
    }
    // PyTorch's loaders look for the format.
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (SECTION.to_owned(), meta.to_text()?),
    ]);
    let weights = write_f32(
        &metadata,
        tensors
            .iter()
            .map(|(name, shape, values)| (name.clone(), shape.as_slice(), values.as_slice())),
    )
    .map_err(AdapterError::Unwritable)?;
    let config = match &adapter.method {
        Method::Lora(lora) => lora_config(lora, adapter.layout.architecture(), meta)?,
        Method::Prefix { .. } => prefix::config(adapter, meta),
        method => plain::config(method, meta),
    };
    let mut config =
        serde_json::to_vec_pretty(&config).map_err(|e| AdapterError::Unwritable(e.to_string()))?;
    config.push(b'\n');
    Ok(AdapterFiles { config, weights })
}

/// `adapter_config.json`: keys in PEFT's (alphabetical) order.
fn lora_config(
    lora: &LoraConfig,
    architecture: &Architecture,
    meta: &AdapterMeta,
) -> Result<Value, AdapterError> {
    let (targets, excluded) = names(lora, architecture);
    if let LoraVariant::AdaLora { target_rank } = lora.variant {
        return adalora_config(lora, target_rank, targets, excluded, meta);
    }
    Ok(json!({
        "alpha_pattern": {},
        "base_model_name_or_path": meta.base_name,
        "bias": "none",
        "exclude_modules": if excluded.is_empty() { Value::Null } else { json!(excluded) },
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": lora.layers,
        "lora_alpha": shortest(lora.alpha)?,
        "lora_dropout": shortest(lora.dropout)?,
        "modules_to_save": [SCORE_HEAD],
        "peft_type": "LORA",
        "r": lora.rank,
        "rank_pattern": {},
        "revision": null,
        "target_modules": targets,
        "task_type": null,
        "use_dora": lora.variant == LoraVariant::Dora,
        "use_rslora": lora.rslora,
    }))
}

/// AdaLoRA's, of a run that is over: its ranks are the first ones, with factors of 0 where training kept
/// none. PEFT wants a schedule that could be; this one does nothing.
fn adalora_config(
    lora: &LoraConfig,
    target_rank: usize,
    targets: Vec<&str>,
    excluded: Vec<&str>,
    meta: &AdapterMeta,
) -> Result<Value, AdapterError> {
    Ok(json!({
        "base_model_name_or_path": meta.base_name,
        "bias": "none",
        "exclude_modules": if excluded.is_empty() { Value::Null } else { json!(excluded) },
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_r": lora.rank,
        "layers_pattern": null,
        "layers_to_transform": lora.layers,
        "lora_alpha": shortest(lora.alpha)?,
        "lora_dropout": shortest(lora.dropout)?,
        "modules_to_save": [SCORE_HEAD],
        "peft_type": "ADALORA",
        "rank_pattern": null,
        "revision": null,
        "target_modules": targets,
        "target_r": target_rank,
        "task_type": null,
        "tfinal": 0,
        "tinit": 0,
        "total_step": 1,
    }))
}

/// The shortest decimal that gives the same f32 again, and a whole number without a point, as
/// people write them.
fn shortest(value: f32) -> Result<Value, AdapterError> {
    serde_json::from_str(&value.to_string())
        .map_err(|_| AdapterError::Unwritable(format!("a setting is {value}")))
}
