//! LoRB's metadata of an adapter: the `lorb` entry of the safetensors metadata, a JSON object as text.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::AdapterError;
use crate::bounds::{MAX_JSON_BYTES, MAX_SCORE_PARTS};
use crate::digest::hex;
use crate::methods::{TARGET_ENTRY, lora_config, target_names};
use crate::model::Adapter;
use crate::score::{PartWeights, Weights};
use crate::text::Conventions;

/// Hash of the settings that the weights were saved with.
const SETTINGS: &str = "settings_sha256";

/// Newest version of the section; readers reject newer ones.
const NEWEST: u64 = 2;

/// Key of the weights by part.
const PARTS: &str = "parts";

/// Metadata of an adapter. Every field may be absent, as in an adapter written by PEFT.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdapterMeta {
    /// Weights of the score combination, tuned on dev data.
    pub weights: Option<Weights>,
    /// SHA-256 of the base's `model.safetensors`, 64 hexadecimal digits.
    pub base_hash: Option<String>,
    /// Hub id or name of the base; `base_model_name_or_path` of `adapter_config.json`.
    pub base_name: Option<String>,
    /// Training objective.
    pub objective: Option<String>,
    /// How texts were compared in training and tuning; the default for an adapter that stores nothing about it.
    pub conventions: Conventions,
    /// Other entries, preserved unchanged.
    pub extra: Map<String, Value>,
}

impl AdapterMeta {
    /// Checks that the adapter belongs to a base, if it stores a hash.
    ///
    /// # Errors
    /// [`AdapterError::ForeignBase`] if the stored hash differs.
    pub fn check_base(&self, hash: &str) -> Result<(), AdapterError> {
        match &self.base_hash {
            Some(expected) if expected != hash => Err(AdapterError::ForeignBase {
                expected: expected.clone(),
                found: hash.to_owned(),
                name: self.base_name.as_ref().map(|n| format!(" ({n})")).unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// The lowest version whose readers understand the section. Those of version 1 would ignore weights by part and
    /// conventions, and order lists differently.
    fn format(&self) -> u64 {
        let parts = self.weights.as_ref().is_some_and(|weights| !weights.parts.is_empty());
        if parts || !self.conventions.is_default() { 2 } else { 1 }
    }

    /// The section as JSON text, with the hash of the adapter's settings. Keys have a fixed order, so equal metadata
    /// gives equal text.
    pub(super) fn to_text(&self, settings: &str) -> Result<String, AdapterError> {
        let mut map = Map::new();
        map.insert("format".into(), self.format().into());
        map.insert("version".into(), env!("CARGO_PKG_VERSION").into());
        if let Some(weights) = &self.weights {
            if let Some((name, value)) = weights.named().find(|(_, value)| !value.is_finite()) {
                return Err(AdapterError::Unwritable(format!("{name} is {value}")));
            }
            map.insert("beta".into(), weights.beta.into());
            map.insert("gamma".into(), weights.gamma.into());
            if !weights.parts.is_empty() {
                let parts = weights.parts.iter().map(|(name, &alpha)| (name.clone(), alpha.into()));
                map.insert(PARTS.into(), Value::Object(parts.collect()));
            }
        }
        for (key, value) in [("base_sha256", &self.base_hash), ("objective", &self.objective)] {
            if let Some(value) = value {
                map.insert(key.into(), value.as_str().into());
            }
        }
        if !self.conventions.is_default()
            && let Ok(Value::Object(conventions)) = serde_json::to_value(self.conventions)
        {
            map.extend(conventions);
        }
        map.insert(SETTINGS.into(), settings.into());
        for (key, value) in &self.extra {
            if map.insert(key.clone(), value.clone()).is_some() {
                return Err(AdapterError::Unwritable(format!("metadata `{key}` is given twice")));
            }
        }
        serde_json::to_string(&map).map_err(|e| AdapterError::Unwritable(e.to_string()))
    }

    /// Reads the section, and the hash of the settings if it has one. `base_name` is stored elsewhere and stays empty.
    pub(super) fn from_text(text: &str) -> Result<(Self, Option<String>), AdapterError> {
        if text.len() as u64 > MAX_JSON_BYTES {
            let length = text.len();
            return Err(fault(
                ".",
                format!("has {length} bytes; expected at most {MAX_JSON_BYTES}"),
            ));
        }
        let mut map: Map<String, Value> = serde_json::from_str(text)
            .map_err(|e| fault(".", format!("is not valid JSON: {e}")))?;
        match map.shift_remove("format").map(|v| v.as_u64().ok_or(v)) {
            Some(Ok(1..=NEWEST)) => {}
            Some(Ok(newer)) => {
                return Err(fault(
                    "format",
                    format!("is {newer}; this version of LoRB supports {NEWEST}, use a newer one"),
                ));
            }
            Some(Err(other)) => {
                return Err(fault("format", format!("is {other}; expected {NEWEST}")));
            }
            None => return Err(fault("format", "is missing".into())),
        }
        // For information only; LoRB's own version is written back.
        map.shift_remove("version");
        let gamma = number(&mut map, "gamma")?;
        let parts = parts(&mut map)?;
        let weights = match number(&mut map, "beta")? {
            Some(beta) => Some(Weights {
                beta,
                gamma: gamma.unwrap_or(0.0),
                parts: parts.unwrap_or_default(),
            }),
            None if gamma.is_some() => return Err(fault("gamma", "is set without beta".into())),
            None if parts.is_some() => return Err(fault(PARTS, "is set without beta".into())),
            None => None,
        };
        let settings = string(&mut map, SETTINGS)?;
        let base_hash = string(&mut map, "base_sha256")?;
        if let Some(hash) = &base_hash
            && (hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(fault(
                "base_sha256",
                format!("is {hash:?}; expected 64 hexadecimal digits"),
            ));
        }
        let objective = string(&mut map, "objective")?;
        let conventions = conventions(&mut map)?;
        let meta = Self { weights, base_hash, base_name: None, objective, conventions, extra: map };
        Ok((meta, settings))
    }
}

/// SHA-256 over the settings of an adapter's method that may change scores, in hexadecimal digits. It binds the weights to
/// the settings they were saved with, however `adapter_config.json` expresses them.
pub(super) fn settings_hash(adapter: &Adapter) -> String {
    let Adapter { method, layout, .. } = adapter;
    let mut hasher = Sha256::new_with_prefix(method.name());
    // Dropout has an effect only in training.
    for (name, value) in method.settings().iter().filter(|(name, _)| !name.ends_with("dropout")) {
        match lora_config(method) {
            // One layer may have several names, of which the run was given some.
            Some(lora) if *name == TARGET_ENTRY => {
                let targets = target_names(&lora.synonyms_in(layout.architecture()));
                hasher.update(format!("\n{name}: {targets}"));
            }
            _ => hasher.update(format!("\n{name}: {value}")),
        }
    }
    hex(hasher)
}

/// Reads the conventions; one that is missing has its default.
fn conventions(map: &mut Map<String, Value>) -> Result<Conventions, AdapterError> {
    let mut conventions = Conventions::default();
    if let Some(name) = string(map, "normalize")? {
        conventions.normalize = name
            .parse()
            .map_err(|expected| fault("normalize", format!("is {name:?}; {expected}")))?;
    }
    if let Some(name) = string(map, "unit")? {
        conventions.unit =
            name.parse().map_err(|expected| fault("unit", format!("is {name:?}; {expected}")))?;
    }
    match map.shift_remove("join") {
        None => {}
        Some(Value::Bool(join)) => conventions.join = join,
        Some(other) => return Err(fault("join", format!("is {other}; expected true or false"))),
    }
    Ok(conventions)
}

fn fault(key: &str, what: String) -> AdapterError {
    AdapterError::Metadata { key: key.to_owned(), what }
}

/// The weights by part.
fn parts(map: &mut Map<String, Value>) -> Result<Option<PartWeights>, AdapterError> {
    let parts = match map.shift_remove(PARTS) {
        None => return Ok(None),
        Some(Value::Object(parts)) => parts,
        Some(other) => {
            return Err(fault(PARTS, format!("is {other}; expected an object of numbers")));
        }
    };
    if parts.len() > MAX_SCORE_PARTS {
        let count = parts.len();
        return Err(fault(PARTS, format!("has {count} parts; expected at most {MAX_SCORE_PARTS}")));
    }
    let weight = |(name, value): (String, Value)| {
        let alpha = finite(&value, || format!("{PARTS}.{name}"))?;
        Ok((name, alpha))
    };
    parts.into_iter().map(weight).collect::<Result<_, _>>().map(Some)
}

fn number(map: &mut Map<String, Value>, key: &str) -> Result<Option<f64>, AdapterError> {
    match map.shift_remove(key) {
        None => Ok(None),
        Some(value) => finite(&value, || key.to_owned()).map(Some),
    }
}

fn finite(value: &Value, key: impl FnOnce() -> String) -> Result<f64, AdapterError> {
    let number = value.as_f64().filter(|n| n.is_finite());
    number.ok_or_else(|| fault(&key(), format!("is {value}; expected a number")))
}

fn string(map: &mut Map<String, Value>, key: &str) -> Result<Option<String>, AdapterError> {
    match map.shift_remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(fault(key, format!("is {other}; expected a string"))),
    }
}
