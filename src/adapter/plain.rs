//! Methods that PEFT has no format for: the score head alone, biases, bottlenecks, the whole encoder.
//!
//! The two files have the same names. `adapter_config.json` says `"lorb_method"` and its settings;
//! the weights are named as Transformers names the encoder's, bottlenecks by the architecture's table.

use serde_json::{Map, Value, json};

use super::settings::{text, whole};
use super::{AdapterError, AdapterMeta, SECTION};
use crate::base::{BertConfig, TensorFile};
use crate::model::{Adapter, Method, MethodKind, SlotKind};

/// The key that tells these files from PEFT's.
pub(super) const KEY: &str = "lorb_method";

/// A tensor's name, without prefix.
pub(super) fn tensor_name(module: &str, kind: SlotKind) -> String {
    let tensor = match kind {
        SlotKind::Bias | SlotKind::HeadBias => "bias",
        _ => "weight",
    };
    format!("{module}.{tensor}")
}

/// `adapter_config.json`.
pub(super) fn config(method: &Method, meta: &AdapterMeta) -> Value {
    let mut value = json!({
        "base_model_name_or_path": meta.base_name,
        KEY: method.kind().name(),
    });
    if let Method::Houlsby { width } = method {
        value["width"] = json!(width);
    }
    value
}

fn method(mut map: Map<String, Value>) -> Result<(Method, Option<String>), AdapterError> {
    let name = text(&mut map, KEY)?.unwrap_or_default();
    let kind: MethodKind = name.parse().map_err(|what| AdapterError::setting(KEY, what))?;
    let width = whole(&mut map, "width")?;
    let base_name = text(&mut map, "base_model_name_or_path")?;
    let method = match (kind, width) {
        (MethodKind::Houlsby, Some(width)) => Method::Houlsby { width },
        (MethodKind::Houlsby, None) => {
            return Err(AdapterError::setting("width", "is missing; expected a whole number"));
        }
        (MethodKind::Head, None) => Method::Head,
        (MethodKind::BitFit, None) => Method::BitFit,
        (MethodKind::Full, None) => Method::Full,
        (MethodKind::Lora | MethodKind::Dora | MethodKind::AdaLora | MethodKind::Prefix, _) => {
            let what = format!("is {name}, which is kept in PEFT's format");
            return Err(AdapterError::setting(KEY, what));
        }
        _ => {
            return Err(AdapterError::setting("width", format!("is set, but {name} has no width")));
        }
    };
    match map.keys().next() {
        Some(key) => Err(AdapterError::setting(key, "is set; LoRB does not know this setting")),
        None => Ok((method, base_name)),
    }
}

/// Reads the two files; every tensor must be one that the method trains.
pub(super) fn read(
    settings: Map<String, Value>,
    weights: &[u8],
    base: &BertConfig,
) -> Result<(Adapter, AdapterMeta), AdapterError> {
    let (method, base_name) = method(settings)?;
    let file = TensorFile::open(weights)?;
    let mut meta = match file.metadata().get(SECTION) {
        Some(text) => AdapterMeta::from_text(text)?,
        None => AdapterMeta::default(),
    };
    meta.base_name = base_name;
    let layout = crate::model::Layout::new(base, &method)?;
    let mut parameters = vec![0.0; layout.len()];
    let mut unused: std::collections::BTreeSet<&String> = file.entries().keys().collect();
    for slot in layout.slots() {
        let name = tensor_name(&slot.module, slot.kind);
        let Some(entry) = file.entries().get(&name) else {
            let why = format!("`{}` trains it", method.kind());
            return Err(AdapterError::Missing { name, why });
        };
        if entry.shape != slot.shape {
            let (found, expected) = (entry.shape.clone(), slot.shape.clone());
            return Err(AdapterError::Shape { name, found, expected });
        }
        unused.remove(&name);
        parameters[slot.range()].copy_from_slice(&file.read(&name)?.data);
    }
    if let Some(name) = unused.first() {
        let why = format!("`{}` on this base has no such tensor", method.kind());
        return Err(AdapterError::Unused { name: (*name).clone(), why });
    }
    Ok((Adapter::from_parameters(base, method, parameters)?, meta))
}
