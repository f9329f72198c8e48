//! `adapter_config.json`: what it says, and a refusal of everything in it that LoRB would compute
//! differently.

use serde_json::{Map, Value};

use super::AdapterError;
use super::selection::Selection;
use crate::base::Architecture;
use crate::model::LoraVariant;

/// The settings of an adapter, before they are held against a base.
#[derive(Debug)]
pub(super) struct Settings {
    pub rank: usize,
    pub alpha: f32,
    pub dropout: f32,
    pub rslora: bool,
    pub variant: LoraVariant,
    pub selection: Selection,
    pub base_name: Option<String>,
}

/// Keys that say where an adapter comes from or how it was started, and change no score.
const HARMLESS: [&str; 11] = [
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "inference_mode",
    "loftq_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

impl Settings {
    pub(super) fn from_map(
        mut map: Map<String, Value>,
        architecture: &Architecture,
    ) -> Result<Self, AdapterError> {
        let adalora = match map.shift_remove("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => false,
            Some(Value::String(kind)) if kind == "ADALORA" => true,
            Some(other) => {
                return Err(AdapterError::setting(
                    "peft_type",
                    format!("is {other}; LoRB reads \"LORA\", \"ADALORA\" and \"PREFIX_TUNING\""),
                ));
            }
            None => {
                return Err(AdapterError::setting("peft_type", "is missing; expected \"LORA\""));
            }
        };
        check_init(map.shift_remove("init_lora_weights"))?;
        check_saved_modules(map.shift_remove("modules_to_save"))?;
        match map.shift_remove("bias") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind == "none" => {}
            Some(other) => {
                return Err(AdapterError::setting(
                    "bias",
                    format!("is {other}; LoRB reads adapters with bias \"none\""),
                ));
            }
        }
        let base_name = match map.get("base_model_name_or_path") {
            Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        // PEFT's own defaults where a key is left out.
        let (rank, variant) = if adalora { adalora_ranks(&mut map)? } else { lora_rank(&mut map)? };
        let settings = Self {
            rank,
            alpha: number(&mut map, "lora_alpha")?.unwrap_or(8.0),
            dropout: number(&mut map, "lora_dropout")?.unwrap_or(0.0),
            rslora: flag(&mut map, "use_rslora")?.unwrap_or(false),
            variant,
            selection: Selection::from_settings(&mut map, architecture)?,
            base_name,
        };
        refuse_the_rest(map)?;
        Ok(settings)
    }
}

fn lora_rank(map: &mut Map<String, Value>) -> Result<(usize, LoraVariant), AdapterError> {
    let dora = flag(map, "use_dora")? == Some(true);
    let variant = if dora { LoraVariant::Dora } else { LoraVariant::Plain };
    Ok((whole(map, "r")?.unwrap_or(8), variant))
}

/// AdaLoRA's ranks. What it says of its schedule belongs to training alone; `r` is not used.
fn adalora_ranks(map: &mut Map<String, Value>) -> Result<(usize, LoraVariant), AdapterError> {
    let rank = whole(map, "init_r")?.unwrap_or(12);
    let target_rank = whole(map, "target_r")?.unwrap_or(8);
    for key in ["r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step"]
    {
        map.shift_remove(key);
    }
    Ok((rank, LoraVariant::AdaLora { target_rank }))
}

/// Initialisations after which the adapter means what its tensors say. PiSSA, OLoRA, CorDA, LoftQ
/// and LoRA-GA change the base's weights at the start, so their adapters are right on that changed
/// base only.
fn check_init(value: Option<Value>) -> Result<(), AdapterError> {
    match value {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if matches!(name.as_str(), "gaussian" | "orthogonal" | "eva") => {
            Ok(())
        }
        Some(other) => Err(AdapterError::setting(
            "init_lora_weights",
            format!(
                "is {other}, which may change the base's weights too; convert the adapter in PEFT with \
                 path_initial_model_for_weight_conversion"
            ),
        )),
    }
}

/// The score head alone may be saved whole. `classifier` is named by PEFT for every classification
/// task, whether the model has such a module or not; its tensors, if any, are refused by name
/// later.
fn check_saved_modules(value: Option<Value>) -> Result<(), AdapterError> {
    let key = "modules_to_save";
    for module in strings(value, key)?.unwrap_or_default() {
        if module != "score" && module != "classifier" {
            return Err(AdapterError::setting(
                key,
                format!("names {module:?}; LoRB reads a `score` head alone"),
            ));
        }
    }
    Ok(())
}

/// Whatever is left must be harmless or unset: an unknown setting may change scores.
pub(super) fn refuse_the_rest(map: Map<String, Value>) -> Result<(), AdapterError> {
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
        let what = match key.as_str() {
            "rank_pattern" | "alpha_pattern" => {
                "is set; LoRB takes one rank and one alpha for all modules".to_owned()
            }
            _ => format!("is {value}; LoRB does not know what this does to the scores"),
        };
        return Err(AdapterError::Setting { key, what });
    }
    Ok(())
}

/// `adapter_config.json` as an object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, AdapterError> {
    let error = |what: String| AdapterError::ConfigJson(what);
    match serde_json::from_slice(bytes).map_err(|e| error(e.to_string()))? {
        Value::Object(map) => Ok(map),
        _ => Err(error("expected a JSON object".into())),
    }
}

/// A text; `None` when unset or empty.
pub(super) fn text(
    map: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<String>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(other) => Err(AdapterError::setting(key, format!("is {other}; expected a text"))),
    }
}

pub(super) fn whole(
    map: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<usize>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
            number.map(Some).ok_or_else(|| {
                AdapterError::setting(key, format!("is {value}; expected a whole number"))
            })
        }
    }
}

fn number(map: &mut Map<String, Value>, key: &str) -> Result<Option<f32>, AdapterError> {
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

pub(super) fn flag(map: &mut Map<String, Value>, key: &str) -> Result<Option<bool>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(other) => {
            Err(AdapterError::setting(key, format!("is {other}; expected true or false")))
        }
    }
}

/// A list of strings; `None` when unset.
pub(super) fn strings(
    value: Option<Value>,
    key: &str,
) -> Result<Option<Vec<String>>, AdapterError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => {
            let text = |v: Value| match v {
                Value::String(text) => Ok(text),
                other => Err(AdapterError::setting(
                    key,
                    format!("holds {other}; expected names of modules"),
                )),
            };
            list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
        }
        Some(other) => Err(AdapterError::setting(
            key,
            format!("is {other}; expected a list of names of modules"),
        )),
    }
}
