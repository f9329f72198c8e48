//! The adapter format of methods for which PEFT has none.
//!
//! The two files have the same names as PEFT's. `adapter_config.json` contains `"lorb_method"` and
//! the method's settings. Tensors of the encoder have Transformers' names; the architecture's table
//! names the modules that a method adds.

use serde_json::{Map, Value, json};

use super::{METHODS, MethodInfo, Settings};
use crate::base::{BertConfig, TensorFile};
use crate::model::{Adapter, Slot, SlotKind};
use crate::peft::{AdapterError, FileFormat, NamedTensor, text};

/// The key that distinguishes these files from PEFT's.
pub const KEY: &str = "lorb_method";

/// The format, for every method.
pub struct PlainFiles;

/// A tensor's name.
fn name(slot: &Slot) -> String {
    let tensor = match slot.kind {
        SlotKind::HEAD_WEIGHT => "weight",
        SlotKind::HEAD_BIAS => "bias",
        kind => kind.0,
    };
    format!("{}.{tensor}", slot.module)
}

/// The method of `adapter_config.json`.
fn info(map: &mut Map<String, Value>) -> Result<&'static MethodInfo, AdapterError> {
    let name = text(map, KEY)?.unwrap_or_default();
    let info = MethodInfo::find(&name).ok_or_else(|| {
        let plain = METHODS.iter().filter(|info| info.files.peft_type().is_none());
        let names = plain.map(|info| info.name).collect::<Vec<_>>().join(", ");
        AdapterError::setting(KEY, format!("{name:?} is not a method; expected one of {names}"))
    })?;
    if info.files.peft_type().is_some() {
        let what = format!("is {name}, which is stored in PEFT's format");
        return Err(AdapterError::setting(KEY, what));
    }
    Ok(info)
}

impl FileFormat for PlainFiles {
    fn claims(&self, config: &Map<String, Value>) -> bool {
        config.contains_key(KEY)
    }

    fn read(
        &self,
        mut map: Map<String, Value>,
        file: &TensorFile<&[u8]>,
        base: &BertConfig,
        _new_head: Option<u64>,
    ) -> Result<Adapter, AdapterError> {
        let info = info(&mut map)?;
        text(&mut map, "base_model_name_or_path")?;
        let mut settings = Settings::new();
        for setting in info.settings {
            let Some(value) = map.shift_remove(setting.key) else {
                return Err(AdapterError::setting(setting.key, "is missing"));
            };
            settings = settings.with(setting, value);
        }
        if let Some(key) = map.keys().next() {
            return Err(AdapterError::setting(
                key,
                format!("is set, but {} has no {key}", info.name),
            ));
        }
        let mut adapter = Adapter::with_random_weights(base, (info.build)(&settings)?, 0)?;
        let mut unused: std::collections::BTreeSet<&String> = file.entries().keys().collect();
        for slot in adapter.layout.slots() {
            let name = name(slot);
            let Some(entry) = file.entries().get(&name) else {
                let why = format!("`{}` trains it", info.name);
                return Err(AdapterError::Missing { name, why });
            };
            if entry.shape != slot.shape {
                let (found, expected) = (entry.shape.clone(), slot.shape.clone());
                return Err(AdapterError::Shape { name, found, expected });
            }
            unused.remove(&name);
            adapter.parameters[slot.range()].copy_from_slice(&file.read(&name)?.data);
        }
        if let Some(name) = unused.first() {
            let why = format!("`{}` on this base has no such tensor", info.name);
            return Err(AdapterError::Unused { name: (*name).clone(), why });
        }
        Ok(adapter)
    }

    fn config(&self, adapter: &Adapter, base_name: Option<&str>) -> Result<Value, AdapterError> {
        let name = adapter.method.name();
        let mut config = json!({ "base_model_name_or_path": base_name, KEY: name });
        let settings = MethodInfo::find(name).map_or(&[][..], |info| info.settings);
        for (setting, (_, value)) in settings.iter().zip(adapter.method.settings()) {
            config[setting.key] = value;
        }
        Ok(config)
    }

    fn tensors(&self, adapter: &Adapter) -> Vec<NamedTensor> {
        let tensor = |slot: &Slot| (name(slot), slot.shape.clone(), adapter.values(slot).to_vec());
        adapter.layout.slots().iter().map(tensor).collect()
    }
}
