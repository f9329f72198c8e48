//! LoRA and its variants in PEFT's format.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::patterns::Patterns;
use super::selection::{Module, Selection, split};
use super::{LORA_B, LoraConfig};
use crate::base::{Architecture, BertConfig, TensorFile};
use crate::methods::lora_config;
use crate::model::{Adapter, Method, SCORE_HEAD, Slot, SlotKind, Target};
use crate::peft::{
    AdapterError, FileFormat, NamedTensor, PREFIX, SECTION, flag, number, refuse_the_rest, strings,
};

/// Kinds of slots and the names of their tensors within a module.
pub type Tensors = &'static [(SlotKind, &'static str)];

/// The rank of the factors in the file, and the target rank if the method has one.
pub type Ranks = (usize, Option<usize>);

/// The format of a low-rank method.
pub struct LowRankFiles {
    /// PEFT's `peft_type`.
    pub peft_type: &'static str,
    /// Whether `use_dora` is set, which distinguishes DoRA from LoRA.
    pub dora: bool,
    /// Its tensors.
    pub tensors: Tensors,
    /// Removes the ranks from the keys of `adapter_config.json` and returns them.
    pub ranks: fn(&mut Map<String, Value>) -> Result<Ranks, AdapterError>,
    /// The method with these settings, and the target rank.
    pub method: fn(LoraConfig, Option<usize>) -> Method,
    /// `adapter_config.json`.
    pub config: fn(&Adapter, &LoraConfig, Option<&str>) -> Result<Value, AdapterError>,
}

impl LowRankFiles {
    /// Name of a tensor in the file.
    fn name(&self, module: &str, kind: SlotKind) -> String {
        let tensor = match kind {
            SlotKind::HEAD_WEIGHT => "weight",
            SlotKind::HEAD_BIAS => "bias",
            kind => {
                let named = self.tensors.iter().find(|(known, _)| *known == kind);
                named.map_or(kind.0, |(_, name)| name)
            }
        };
        format!("{PREFIX}{module}.{tensor}")
    }
}

/// The settings of `adapter_config.json`, before they are checked against tensors.
struct Stored {
    lora: LoraConfig,
    target_rank: Option<usize>,
    selection: Selection,
    patterns: Patterns,
}

impl LowRankFiles {
    fn settings(
        &self,
        mut map: Map<String, Value>,
        architecture: &Architecture,
    ) -> Result<Stored, AdapterError> {
        map.shift_remove("peft_type");
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
        // PEFT's defaults for missing keys.
        flag(&mut map, "use_dora")?;
        let (rank, target_rank) = (self.ranks)(&mut map)?;
        let lora = LoraConfig {
            rank,
            alpha: number(&mut map, "lora_alpha")?.unwrap_or(8.0),
            dropout: number(&mut map, "lora_dropout")?.unwrap_or(0.0),
            rslora: flag(&mut map, "use_rslora")?.unwrap_or(false),
            ..LoraConfig::default()
        };
        let selection = Selection::from_settings(&mut map, architecture)?;
        let patterns = Patterns::from_settings(&mut map)?;
        refuse_the_rest(map)?;
        Ok(Stored { lora, target_rank, selection, patterns })
    }
}

impl FileFormat for LowRankFiles {
    fn peft_type(&self) -> Option<&'static str> {
        Some(self.peft_type)
    }

    fn claims(&self, config: &Map<String, Value>) -> bool {
        let dora = config.get("use_dora") == Some(&Value::Bool(true));
        config.get("peft_type").and_then(Value::as_str) == Some(self.peft_type)
            && (dora == self.dora || self.peft_type != "LORA")
    }

    fn read(
        &self,
        config: Map<String, Value>,
        file: &TensorFile<&[u8]>,
        base: &BertConfig,
        new_head: Option<u64>,
    ) -> Result<Adapter, AdapterError> {
        let Stored { lora: given, target_rank, selection, patterns } =
            self.settings(config, base.architecture)?;
        let selected = selection.modules(base)?;
        let found = TensorsByModule::in_file(file, self.tensors, base.architecture)?;
        let modules = match selected {
            Some(selected) => {
                found.check_selected(&selected, base)?;
                selected
            }
            None => found.modules(base)?,
        };
        let (targets, layers) = split(&modules, base)?;
        let lora = patterns.widest(given.clone(), found.full_names());
        let method = (self.method)(LoraConfig { targets, layers, ..lora }, target_rank);
        // The new head is kept only if the file has none; every other value is replaced below.
        let mut adapter = Adapter::with_random_weights(base, method, new_head.unwrap_or(0))?;
        let headless = !found.names.keys().any(|(module, _)| module == SCORE_HEAD);
        if headless && new_head.is_none() {
            return Err(AdapterError::NoScoreHead);
        }
        let by_lorb = file.metadata().contains_key(SECTION);
        for slot in adapter.layout.slots() {
            if headless && slot.module == SCORE_HEAD {
                continue;
            }
            let name = found.names.get(&(slot.module.clone(), slot.kind));
            if slot.kind == SlotKind::HEAD_BIAS && name.is_none() && !by_lorb {
                // A linear layer without a bias. LoRB's own always have one.
                adapter.parameters[slot.range()].fill(0.0);
                continue;
            }
            let Some(name) = name else {
                return Err(AdapterError::Missing {
                    name: self.name(&slot.module, slot.kind),
                    why: format!(
                        "`{}` is adapted or saved by adapter_config.json or by its other tensor",
                        slot.module
                    ),
                });
            };
            let fit = patterns.fit(full_name(name), &given, &lora)?;
            let (shape, expected) = (&file.entries()[name].shape, fit.shape(slot));
            if *shape != expected {
                let (name, found) = (name.clone(), shape.clone());
                return Err(AdapterError::Shape { name, found, expected });
            }
            let values = file.read(name)?.data;
            fit.place(slot, &values, &mut adapter.parameters[slot.range()]);
        }
        Ok(adapter)
    }

    fn config(&self, adapter: &Adapter, base_name: Option<&str>) -> Result<Value, AdapterError> {
        let Some(lora) = lora_config(&adapter.method) else {
            let what = format!("{} has no low-rank terms", adapter.method.name());
            return Err(AdapterError::Unwritable(what));
        };
        (self.config)(adapter, lora, base_name)
    }

    fn tensors(&self, adapter: &Adapter) -> Vec<NamedTensor> {
        let tensor = |slot: &Slot| {
            let values = adapter.values(slot).to_vec();
            (self.name(&slot.module, slot.kind), slot.shape.clone(), values)
        };
        adapter.layout.slots().iter().map(tensor).collect()
    }
}

/// Initialisations that do not change the base. PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change the base's weights at the
/// start, so their adapters are valid only on the changed base.
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

/// Layers of the classifiers of Transformers that come before their last one.
const DENSE_LAYERS: [&str; 3] = ["pooler", "pre_classifier", "pooler.dense"];

/// Why a classifier of Transformers is refused.
const CLASSIFIER: &str = "a classifier of Transformers follows a dense layer with tanh, ReLU or GELU (in BERT the pooler), \
                          so no score head on the encoder's output at [CLS] gives the same scores; train a linear layer \
                          `score` on that output";

/// Only the score head may be a saved module. PEFT lists `classifier` for every classification task, even if the model
/// has no such module; its tensors, if any, are rejected later.
fn check_saved_modules(value: Option<Value>) -> Result<(), AdapterError> {
    let key = "modules_to_save";
    for module in strings(value, key)?.unwrap_or_default() {
        if DENSE_LAYERS.contains(&module.as_str()) {
            let what = format!("names {module:?}; {CLASSIFIER}");
            return Err(AdapterError::setting(key, what));
        }
        if module != "score" && module != "classifier" {
            return Err(AdapterError::setting(
                key,
                format!("names {module:?}; LoRB reads only a `score` head"),
            ));
        }
    }
    Ok(())
}

/// The tensors of a file by module and kind.
struct TensorsByModule {
    names: BTreeMap<(String, SlotKind), String>,
}

impl TensorsByModule {
    fn in_file(
        file: &TensorFile<&[u8]>,
        tensors: Tensors,
        architecture: &Architecture,
    ) -> Result<Self, AdapterError> {
        let mut names: BTreeMap<(String, SlotKind), String> = BTreeMap::new();
        for stored in file.entries().keys() {
            let Some((module, kind)) = parse(stored, tensors, architecture) else {
                let classifier = [".classifier.", ".pre_classifier."];
                let why = if classifier.iter().any(|part| stored.contains(part)) {
                    CLASSIFIER
                } else {
                    "LoRB supports LoRA tensors of the encoder and a linear layer `score`"
                };
                return Err(unused(stored, why));
            };
            if architecture.pooler == Some(module.as_str()) {
                check_pooler(file, stored, kind)?;
                continue;
            }
            if module != SCORE_HEAD && Target::of_module(architecture, &module).is_none() {
                return Err(unused(stored, &format!("LoRB does not adapt a module `{module}`")));
            }
            if let Some(first) = names.insert((module, kind), stored.clone()) {
                return Err(unused(stored, &format!("`{first}` means the same module")));
            }
        }
        Ok(Self { names })
    }

    /// The names of adapted modules in PEFT's model.
    fn full_names(&self) -> impl Iterator<Item = &str> {
        let stored = self.names.iter().filter(|((module, _), _)| module != SCORE_HEAD);
        stored.map(|(_, stored)| full_name(stored))
    }

    /// The adapted modules; each must exist in the base.
    fn modules(&self, base: &BertConfig) -> Result<BTreeSet<Module>, AdapterError> {
        let modules: BTreeSet<_> = self
            .names
            .keys()
            .filter_map(|(m, _)| Target::of_module(base.architecture, m))
            .collect();
        if modules.is_empty() {
            let what =
                "is a pattern, and the weights have no LoRA tensor that shows what it matched";
            return Err(AdapterError::setting("target_modules", what));
        }
        self.check_selected(&modules, base)?;
        Ok(modules)
    }

    /// Rejects a tensor of a module that is not selected or does not exist in the base.
    fn check_selected(
        &self,
        selected: &BTreeSet<Module>,
        base: &BertConfig,
    ) -> Result<(), AdapterError> {
        for ((module, _), stored) in &self.names {
            let Some(place) = Target::of_module(base.architecture, module) else { continue };
            if place.0 >= base.num_hidden_layers {
                return Err(unused(
                    stored,
                    &format!("the base has layers 0 to {}", base.num_hidden_layers - 1),
                ));
            }
            if !selected.contains(&place) {
                return Err(unused(
                    stored,
                    &format!("adapter_config.json does not adapt `{module}`"),
                ));
            }
        }
        Ok(())
    }
}

/// Module and kind of a tensor's name. A model with a head puts the encoder's attribute before its modules.
fn parse(
    stored: &str,
    tensors: Tensors,
    architecture: &Architecture,
) -> Option<(String, SlotKind)> {
    let name = stored.strip_prefix(PREFIX)?;
    match name {
        "score.weight" => return Some((SCORE_HEAD.to_owned(), SlotKind::HEAD_WEIGHT)),
        "score.bias" => return Some((SCORE_HEAD.to_owned(), SlotKind::HEAD_BIAS)),
        _ => {}
    }
    let name = architecture.without_attribute(name);
    tensors
        .iter()
        .find_map(|(kind, end)| Some((name.strip_suffix(end)?.strip_suffix('.')?, *kind)))
        .map(|(module, kind)| (module.to_owned(), kind))
}

/// PEFT adapts the pooler of a BertModel if all `dense` or linear layers are selected. LoRB's score does not use the
/// pooler, so its update can be ignored if it was not trained (B is 0). A trained one belongs to a score that LoRB does
/// not compute.
fn check_pooler(
    file: &TensorFile<&[u8]>,
    stored: &str,
    kind: SlotKind,
) -> Result<(), AdapterError> {
    if kind == LORA_B && file.read(stored)?.data.iter().any(|v| *v != 0.0) {
        return Err(unused(
            stored,
            "the pooler was trained, but LoRB scores the encoder's output at [CLS] without it",
        ));
    }
    Ok(())
}

/// The name in PEFT's model of the module that a tensor belongs to.
fn full_name(stored: &str) -> &str {
    let name = stored.strip_prefix(PREFIX).unwrap_or(stored);
    name.find(".lora_").map_or(name, |end| &name[..end])
}

fn unused(stored: &str, why: &str) -> AdapterError {
    AdapterError::Unused { name: stored.to_owned(), why: why.to_owned() }
}

/// The shortest decimal that gives the same f32, and integers without a decimal point.
pub fn shortest(value: f32) -> Result<Value, AdapterError> {
    serde_json::from_str(&value.to_string())
        .map_err(|_| AdapterError::Unwritable(format!("a setting is {value}")))
}
