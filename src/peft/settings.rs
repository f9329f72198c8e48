//! Readers of the keys of `adapter_config.json`. Each removes its key, so that the remaining keys
//! are those that were not read.

use serde_json::{Map, Value};

use super::AdapterError;
use crate::bounds::MAX_JSON_BYTES;
use crate::foreign::{Expected, Foreign};

/// Keys about the origin or initialisation of an adapter, which do not change scores.
const HARMLESS: [&str; 14] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Checks that the remaining keys are harmless or unset: an unknown setting may change scores.
///
/// # Errors
/// [`AdapterError::Setting`] names the first key that is neither.
pub fn refuse_the_rest(map: Map<String, Value>) -> Result<(), AdapterError> {
    for (key, value) in map {
        let unset = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        if unset || HARMLESS.contains(&key.as_str()) {
            continue;
        }
        let what =
            format!("is {value}; LoRB does not support this setting, which may change the scores");
        return Err(AdapterError::Setting { key, what });
    }
    Ok(())
}

/// `adapter_config.json` as an object.
///
/// # Errors
/// [`AdapterError::ConfigJson`] when it is not one.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, AdapterError> {
    let error = |what: String| AdapterError::ConfigJson(what);
    if let Some(what) = Foreign::of(bytes, Expected::Text) {
        return Err(AdapterError::Foreign(what));
    }
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let length = bytes.len();
        return Err(error(format!("it has {length} bytes; expected at most {MAX_JSON_BYTES}")));
    }
    match serde_json::from_slice(bytes).map_err(|e| error(e.to_string()))? {
        Value::Object(map) => Ok(map),
        _ => Err(error("expected a JSON object".into())),
    }
}

/// A string; `None` if unset or empty.
///
/// # Errors
/// As [`number`].
pub fn text(map: &mut Map<String, Value>, key: &str) -> Result<Option<String>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(other) => Err(AdapterError::setting(key, format!("is {other}; expected a string"))),
    }
}

/// A whole number; `None` when unset.
///
/// # Errors
/// As [`number`].
pub fn whole(map: &mut Map<String, Value>, key: &str) -> Result<Option<usize>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
            number.map(Some).ok_or_else(|| {
                AdapterError::setting(key, format!("is {value}; expected an integer"))
            })
        }
    }
}

/// A finite number; `None` when unset.
///
/// # Errors
/// [`AdapterError::Setting`] if it has another type.
pub fn number(map: &mut Map<String, Value>, key: &str) -> Result<Option<f32>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_f64().map(|n| n as f32).filter(|n| n.is_finite());
            number
                .map(Some)
                .ok_or_else(|| AdapterError::setting(key, format!("is {value}; expected a number")))
        }
    }
}

/// True or false; `None` when unset.
///
/// # Errors
/// As [`number`].
pub fn flag(map: &mut Map<String, Value>, key: &str) -> Result<Option<bool>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(other) => {
            Err(AdapterError::setting(key, format!("is {other}; expected true or false")))
        }
    }
}

/// A list of strings; `None` if unset.
///
/// # Errors
/// As [`number`].
pub fn strings(value: Option<Value>, key: &str) -> Result<Option<Vec<String>>, AdapterError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => {
            let text = |v: Value| match v {
                Value::String(text) => Ok(text),
                other => Err(AdapterError::setting(
                    key,
                    format!("contains {other}; expected module names"),
                )),
            };
            list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
        }
        Some(other) => {
            Err(AdapterError::setting(key, format!("is {other}; expected a list of module names")))
        }
    }
}
