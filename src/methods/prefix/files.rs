//! Prefix tuning in PEFT's format: `peft_type` PREFIX_TUNING without projection, one tensor
//! `prompt_embeddings` `[P, layers * 2 * H]` with a layer's keys before its values, and the score head as
//! `modules_to_save`.

use serde_json::{Map, Value, json};

use super::{KEYS, Prefix, VALUES};
use crate::base::{Architecture, BertConfig, TensorFile};
use crate::model::{Adapter, SCORE_HEAD, Slot, SlotKind};
use crate::peft::{
    AdapterError, FileFormat, NamedTensor, flag, refuse_the_rest, strings, text, whole,
};

/// PEFT's name of the method.
const PEFT_TYPE: &str = "PREFIX_TUNING";

const PROMPT: &str = "prompt_embeddings";

/// Name of a tensor of the score head.
fn head_name(kind: SlotKind) -> String {
    let tensor = if kind == SlotKind::HEAD_WEIGHT { "weight" } else { "bias" };
    format!("base_model.{SCORE_HEAD}.{tensor}")
}

/// First column of a slot in the prompt, in units of the base's width: `2 l`, plus one for values.
fn column(slot: &Slot, architecture: &Architecture) -> Option<usize> {
    let value = match slot.kind {
        KEYS => 0,
        VALUES => 1,
        _ => return None,
    };
    let (layer, _) = architecture.split(&slot.module)?;
    Some(2 * layer + value)
}

/// Prefix tuning in PEFT's format.
pub struct PrefixFiles;

impl FileFormat for PrefixFiles {
    fn peft_type(&self) -> Option<&'static str> {
        Some(PEFT_TYPE)
    }

    fn claims(&self, config: &Map<String, Value>) -> bool {
        config.get("peft_type").and_then(Value::as_str) == Some(PEFT_TYPE)
    }

    fn read(
        &self,
        mut map: Map<String, Value>,
        file: &TensorFile<&[u8]>,
        base: &BertConfig,
        _new_head: Option<u64>,
    ) -> Result<Adapter, AdapterError> {
        map.shift_remove("peft_type");
        let Some(length) = whole(&mut map, "num_virtual_tokens")? else {
            return Err(AdapterError::setting("num_virtual_tokens", "is missing"));
        };
        if flag(&mut map, "prefix_projection")? == Some(true) {
            let what = "is true; LoRB reads prefixes without projection";
            return Err(AdapterError::setting("prefix_projection", what));
        }
        for (key, expected) in [
            ("token_dim", base.hidden_size),
            ("num_layers", base.num_hidden_layers),
            ("num_transformer_submodules", 1),
        ] {
            if let Some(found) = whole(&mut map, key)?.filter(|found| *found != expected) {
                let what = format!("is {found}; this base requires {expected}");
                return Err(AdapterError::setting(key, what));
            }
        }
        // They describe the unused projection, and the heads, which the base defines.
        for key in ["encoder_hidden_size", "num_attention_heads", "init_weights"] {
            map.shift_remove(key);
        }
        let saved = strings(map.shift_remove("modules_to_save"), "modules_to_save")?;
        if let Some(other) = saved.iter().flatten().find(|module| *module != SCORE_HEAD) {
            let what = format!("names {other:?}; LoRB reads only a `score` head");
            return Err(AdapterError::setting("modules_to_save", what));
        }
        text(&mut map, "base_model_name_or_path")?;
        refuse_the_rest(map)?;
        fill(base, Prefix { length }, file)
    }

    fn config(&self, adapter: &Adapter, base_name: Option<&str>) -> Result<Value, AdapterError> {
        let slots = adapter.layout.slots();
        let layers = slots.iter().filter(|slot| slot.kind == KEYS).count();
        let [length, hidden] = [slots[0].shape[0], slots[0].shape[1]];
        Ok(json!({
            "auto_mapping": null,
            "base_model_name_or_path": base_name,
            "encoder_hidden_size": hidden,
            "inference_mode": true,
            "modules_to_save": [SCORE_HEAD],
            "num_layers": layers,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": length,
            "peft_type": PEFT_TYPE,
            "prefix_projection": false,
            "revision": null,
            "task_type": "FEATURE_EXTRACTION",
            "token_dim": hidden,
        }))
    }

    fn tensors(&self, adapter: &Adapter) -> Vec<NamedTensor> {
        let slots = adapter.layout.slots();
        let blocks = slots.iter().filter(|slot| slot.kind == KEYS).count() * 2;
        let Some([length, hidden]) = slots.first().map(|slot| [slot.shape[0], slot.shape[1]])
        else {
            unreachable!("a layout with a prefix starts with its keys")
        };
        let width = blocks * hidden;
        let (mut prompt, mut tensors) = (vec![0.0; length * width], Vec::new());
        for slot in slots {
            let values = adapter.values(slot);
            match column(slot, adapter.layout.architecture()) {
                Some(column) => {
                    let rows = prompt.chunks_exact_mut(width).zip(values.chunks_exact(hidden));
                    rows.for_each(|(row, values)| {
                        row[column * hidden..][..hidden].copy_from_slice(values);
                    });
                }
                None => tensors.push((head_name(slot.kind), slot.shape.clone(), values.to_vec())),
            }
        }
        tensors.push((PROMPT.to_owned(), vec![length, width], prompt));
        tensors
    }
}

fn fill(
    base: &BertConfig,
    method: Prefix,
    file: &TensorFile<&[u8]>,
) -> Result<Adapter, AdapterError> {
    let mut adapter = Adapter::with_random_weights(base, method.into(), 0)?;
    // The tensors that a file of this adapter has, by name and shape.
    let expected = PrefixFiles.tensors(&adapter);
    if let Some(name) = file.entries().keys().find(|n| expected.iter().all(|e| e.0 != **n)) {
        let why = "a prefix has `prompt_embeddings` and a linear layer `score`".to_owned();
        return Err(AdapterError::Unused { name: name.clone(), why });
    }
    for (name, shape, _) in expected {
        let Some(entry) = file.entries().get(&name) else {
            if name != PROMPT {
                return Err(AdapterError::NoScoreHead);
            }
            let why = "it contains the prefix".to_owned();
            return Err(AdapterError::Missing { name, why });
        };
        if entry.shape != shape {
            return Err(AdapterError::Shape { name, found: entry.shape.clone(), expected: shape });
        }
    }
    let prompt = file.read(PROMPT)?.data;
    let (hidden, layers) = (base.hidden_size, base.num_hidden_layers);
    for slot in adapter.layout.slots() {
        let values = match column(slot, base.architecture) {
            Some(column) => {
                let rows = prompt.chunks_exact(2 * layers * hidden);
                rows.flat_map(|row| row[column * hidden..][..hidden].to_vec()).collect()
            }
            None => file.read(&head_name(slot.kind))?.data,
        };
        adapter.parameters[slot.range()].copy_from_slice(&values);
    }
    Ok(adapter)
}
