//! The two files of a PEFT directory into an adapter, every tensor accounted for.

use std::collections::{BTreeMap, BTreeSet};

use super::selection::{Module, split};
use super::settings::{self, Settings};
use super::{AdapterError, AdapterFiles, AdapterMeta, PREFIX, SECTION, plain, prefix, tensor_name};
use crate::base::{Architecture, BertConfig, TensorFile};
use crate::model::{Adapter, LoraConfig, LoraVariant, SCORE_HEAD, SlotKind, Target};

/// What to do where an adapter leaves a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Seed of a fresh score head for an adapter that has none, as PEFT writes it for a bare
    /// encoder; training can start from it. `None` refuses such an adapter.
    pub new_head: Option<u64>,
}

/// Reads an adapter written by LoRB, or by PEFT with a score head, and checks it against a base.
///
/// # Errors
/// [`AdapterError`] names the setting or tensor at fault: nothing in the files is left unused,
/// nothing needed is made up.
pub fn read(
    files: &AdapterFiles,
    base: &BertConfig,
) -> Result<(Adapter, AdapterMeta), AdapterError> {
    read_with(files, base, ReadOptions::default())
}

/// As [`read`], with a choice for adapters that lack a score head.
///
/// # Errors
/// As for [`read`].
pub fn read_with(
    files: &AdapterFiles,
    base: &BertConfig,
    options: ReadOptions,
) -> Result<(Adapter, AdapterMeta), AdapterError> {
    let map = settings::object(&files.config)?;
    if map.contains_key(plain::KEY) {
        return plain::read(map, &files.weights, base);
    }
    if map.get("peft_type").and_then(|kind| kind.as_str()) == Some(prefix::PEFT_TYPE) {
        return prefix::read(map, &files.weights, base);
    }
    let settings = Settings::from_map(map, base.architecture)?;
    let selected = settings.selection.modules(base)?;
    let file = TensorFile::open(files.weights.as_slice())?;
    let mut meta = match file.metadata().get(SECTION) {
        Some(text) => AdapterMeta::from_text(text)?,
        None => AdapterMeta::default(),
    };
    meta.base_name.clone_from(&settings.base_name);
    let found = Found::in_file(&file, settings.variant, base.architecture)?;
    let modules = match selected {
        Some(selected) => {
            found.within(&selected, base)?;
            selected
        }
        None => found.modules(base)?,
    };
    let (targets, layers) = split(&modules, base)?;
    let config = LoraConfig {
        rank: settings.rank,
        alpha: settings.alpha,
        dropout: settings.dropout,
        targets,
        rslora: settings.rslora,
        layers,
        variant: settings.variant,
    };
    // The fresh head is kept only where the file has none; every other value is replaced below.
    let mut adapter = Adapter::drawn(base, config.into(), options.new_head.unwrap_or(0))?;
    let headless = !found.names.keys().any(|(module, _)| module == SCORE_HEAD);
    if headless && options.new_head.is_none() {
        return Err(AdapterError::NoScoreHead);
    }
    for slot in adapter.layout.slots() {
        if headless && slot.module == SCORE_HEAD {
            continue;
        }
        let Some(name) = found.names.get(&(slot.module.clone(), slot.kind)) else {
            return Err(AdapterError::Missing {
                name: tensor_name(&slot.module, slot.kind, adapter.method.kind()),
                why: format!(
                    "`{}` is adapted or saved by adapter_config.json or by its other tensor",
                    slot.module
                ),
            });
        };
        let shape = &file.entries()[name].shape;
        if *shape != slot.shape {
            return Err(AdapterError::Shape {
                name: name.clone(),
                found: shape.clone(),
                expected: slot.shape.clone(),
            });
        }
        adapter.parameters[slot.range()].copy_from_slice(&file.read(name)?.data);
    }
    let stray =
        found.names.iter().find(|((module, kind), _)| adapter.layout.find(module, *kind).is_none());
    if let Some((_, stored)) = stray {
        return Err(unused(stored, "adapter_config.json does not set `use_dora`"));
    }
    Ok((adapter, meta))
}

/// The tensors of a file by module and kind.
struct Found {
    names: BTreeMap<(String, SlotKind), String>,
}

impl Found {
    fn in_file(
        file: &TensorFile<&[u8]>,
        variant: LoraVariant,
        architecture: &Architecture,
    ) -> Result<Self, AdapterError> {
        let mut names: BTreeMap<(String, SlotKind), String> = BTreeMap::new();
        for stored in file.entries().keys() {
            let Some((module, kind)) = parse(stored, variant, architecture) else {
                return Err(unused(
                    stored,
                    "LoRB knows LoRA tensors of the encoder and a linear layer `score`",
                ));
            };
            if architecture.pooler == Some(module.as_str()) {
                check_pooler(file, stored, kind)?;
                continue;
            }
            if module != SCORE_HEAD && Target::of_module(architecture, &module).is_none() {
                return Err(unused(stored, &format!("LoRB adapts no module `{module}`")));
            }
            if let Some(first) = names.insert((module, kind), stored.clone()) {
                return Err(unused(stored, &format!("`{first}` stands for the same module")));
            }
        }
        Ok(Self { names })
    }

    /// The adapted modules; each must have its place in the base.
    fn modules(&self, base: &BertConfig) -> Result<BTreeSet<Module>, AdapterError> {
        let modules: BTreeSet<_> = self
            .names
            .keys()
            .filter_map(|(m, _)| Target::of_module(base.architecture, m))
            .collect();
        if modules.is_empty() {
            let what =
                "is a pattern, and the weights hold no LoRA tensor that says what it matched";
            return Err(AdapterError::setting("target_modules", what));
        }
        self.within(&modules, base)?;
        Ok(modules)
    }

    /// Refuses a tensor of a module that is not selected, or that the base lacks.
    fn within(&self, selected: &BTreeSet<Module>, base: &BertConfig) -> Result<(), AdapterError> {
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
    variant: LoraVariant,
    architecture: &Architecture,
) -> Option<(String, SlotKind)> {
    let name = stored.strip_prefix(PREFIX)?;
    match name {
        "score.weight" => return Some((SCORE_HEAD.to_owned(), SlotKind::HeadWeight)),
        "score.bias" => return Some((SCORE_HEAD.to_owned(), SlotKind::HeadBias)),
        _ => {}
    }
    let name = architecture.without_attribute(name);
    let kinds = match variant {
        LoraVariant::AdaLora { .. } => [
            (".lora_A", SlotKind::LoraA),
            (".lora_B", SlotKind::LoraB),
            (".lora_E", SlotKind::LoraE),
        ],
        _ => [
            (".lora_A.weight", SlotKind::LoraA),
            (".lora_B.weight", SlotKind::LoraB),
            (".lora_magnitude_vector", SlotKind::Magnitude),
        ],
    };
    kinds
        .into_iter()
        .find_map(|(end, kind)| name.strip_suffix(end).map(|module| (module.to_owned(), kind)))
}

/// PEFT adapts the pooler of a BertModel when asked for every `dense` or linear layer. The score
/// does not pass through it, so its update may be left out as long as training never moved it: B is
/// 0 then. One that was trained belongs to a score that LoRB does not compute.
fn check_pooler(
    file: &TensorFile<&[u8]>,
    stored: &str,
    kind: SlotKind,
) -> Result<(), AdapterError> {
    if kind == SlotKind::LoraB && file.read(stored)?.data.iter().any(|v| *v != 0.0) {
        return Err(unused(
            stored,
            "the pooler was trained, but LoRB scores the encoder's output at [CLS] without it",
        ));
    }
    Ok(())
}

fn unused(stored: &str, why: &str) -> AdapterError {
    AdapterError::Unused { name: stored.to_owned(), why: why.to_owned() }
}
