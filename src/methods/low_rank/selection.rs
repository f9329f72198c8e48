//! Selects the modules that an `adapter_config.json` adapts, by PEFT's rules.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::LoraConfig;
use crate::base::{Architecture, BertConfig};
use crate::model::{ModelError, Target};
use crate::peft::{AdapterError, strings};

/// One linear layer of one encoder layer.
pub(super) type Module = (usize, Target);

/// How the adapted modules are specified.
#[derive(Debug)]
pub(super) enum Selection {
    /// By lists: what they select is known without the tensors.
    Lists { targets: Vec<String>, excluded: Vec<String>, layers: Option<Vec<usize>> },
    /// By a regular expression in Python's dialect: the tensors show what it matched.
    Tensors,
}

impl Selection {
    pub(super) fn from_settings(
        map: &mut Map<String, Value>,
        architecture: &Architecture,
    ) -> Result<Self, AdapterError> {
        let layers = layers(map.shift_remove("layers_to_transform"))?;
        check_pattern(map.shift_remove("layers_pattern"), architecture)?;
        let (targets, excluded) =
            (map.shift_remove("target_modules"), map.shift_remove("exclude_modules"));
        let by_pattern = matches!(&targets, Some(Value::String(s)) if s != "all-linear");
        let excludes_by_pattern = matches!(&excluded, Some(Value::String(s)) if !s.is_empty());
        if by_pattern || excludes_by_pattern {
            if layers.is_some() && by_pattern {
                let what =
                    "is set together with a `target_modules` pattern, which PEFT rejects too";
                return Err(AdapterError::setting("layers_to_transform", what));
            }
            return Ok(Self::Tensors);
        }
        let targets = match targets {
            Some(Value::String(all)) => vec![all],
            other => strings(other, "target_modules")?.unwrap_or_default(),
        };
        if targets.is_empty() {
            return Err(AdapterError::setting(
                "target_modules",
                "is missing or empty; expected module names",
            ));
        }
        let excluded = match excluded {
            Some(Value::String(_)) => Vec::new(),
            other => strings(other, "exclude_modules")?.unwrap_or_default(),
        };
        Ok(Self::Lists { targets, excluded, layers })
    }

    /// The modules of a base that the lists select; `None` if only the tensors can show that.
    ///
    /// An entry selects the module with exactly its name, or, in the selected layers, every module whose name ends in
    /// it after a dot.
    pub(super) fn modules(
        &self,
        base: &BertConfig,
    ) -> Result<Option<BTreeSet<Module>>, AdapterError> {
        let Self::Lists { targets, excluded, layers } = self else {
            return Ok(None);
        };
        let architecture = base.architecture;
        // In a model with a head, full names start with the encoder's attribute.
        let same = |name: &str, entry: &str| name == architecture.without_attribute(entry);
        let chosen = |layer: usize| layers.as_ref().is_none_or(|l| l.contains(&layer));
        let mut found = BTreeSet::new();
        for layer in 0..base.num_hidden_layers {
            for target in Target::all_in(architecture) {
                let name = target.module(architecture, layer);
                let selected = targets.iter().any(|entry| {
                    entry == "all-linear"
                        || same(&name, entry)
                        || (chosen(layer) && matches_suffix(&name, entry))
                });
                if selected
                    && !excluded
                        .iter()
                        .any(|entry| same(&name, entry) || matches_suffix(&name, entry))
                {
                    found.insert((layer, target));
                }
            }
        }
        if let Some(beyond) = layers.iter().flatten().find(|&&l| l >= base.num_hidden_layers) {
            let what = format!(
                "names layer {beyond}, but the base has layers 0 to {}",
                base.num_hidden_layers - 1
            );
            return Err(ModelError::Lora { setting: "layers_to_transform", what }.into());
        }
        if found.is_empty() {
            let linears = architecture.linears();
            let known: Vec<_> = linears.iter().map(|linear| linear.peft).collect();
            let known = known.join(", ");
            let name = architecture.name;
            let given = targets.join(", ");
            let what = format!("selects {given}, but {name}'s linear layers are {known}");
            return Err(AdapterError::setting("target_modules", what));
        }
        Ok(Some(found))
    }
}

fn layers(value: Option<Value>) -> Result<Option<Vec<usize>>, AdapterError> {
    let error = |value: &Value| {
        AdapterError::setting("layers_to_transform", format!("is {value}; expected layer numbers"))
    };
    let index = |value: &Value| {
        value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| error(value))
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) if list.is_empty() => Ok(None),
        Some(Value::Array(list)) => list.iter().map(index).collect::<Result<_, _>>().map(Some),
        Some(single) => index(&single).map(|layer| Some(vec![layer])),
    }
}

/// With any pattern other than the list of layers, PEFT would adapt nothing.
fn check_pattern(value: Option<Value>, architecture: &Architecture) -> Result<(), AdapterError> {
    let expected = architecture.layers_pattern();
    let sound = match &value {
        None | Some(Value::Null) => true,
        Some(Value::String(pattern)) => pattern.is_empty() || pattern == expected,
        Some(Value::Array(list)) => list.is_empty() || list.iter().any(|p| p == expected),
        Some(_) => false,
    };
    match value {
        Some(value) if !sound => Err(AdapterError::setting(
            "layers_pattern",
            format!("is {value}; in this base it is {expected:?}"),
        )),
        _ => Ok(()),
    }
}

/// Targets and layers of a set of modules, which must contain every target in every layer.
pub(super) fn split(
    modules: &BTreeSet<Module>,
    base: &BertConfig,
) -> Result<(BTreeSet<Target>, Option<Vec<usize>>), AdapterError> {
    let targets: BTreeSet<_> = modules.iter().map(|m| m.1).collect();
    let layers: BTreeSet<_> = modules.iter().map(|m| m.0).collect();
    for &layer in &layers {
        for &target in &targets {
            if !modules.contains(&(layer, target)) {
                return Err(AdapterError::Uneven {
                    module: target.module(base.architecture, layer),
                });
            }
        }
    }
    let all = layers.len() == base.num_hidden_layers;
    let targets = LoraConfig { targets, ..LoraConfig::default() }.synonyms_in(base.architecture);
    Ok((targets, (!all).then(|| layers.into_iter().collect())))
}

/// `target_modules` and `exclude_modules` that select exactly the adapter's targets in PEFT.
pub fn names(
    config: &LoraConfig,
    architecture: &Architecture,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let name = |target: &Target| target.name_in(architecture);
    let adapted = config.targets_in(architecture);
    let targets: Vec<_> = adapted.iter().map(|target| name(target).peft).collect();
    // BERT's `output.dense` ends the name of the attention's output too.
    let matched = |path: &str| targets.iter().any(|entry| matches_suffix(path, entry));
    let others = Target::all_in(architecture).filter(|target| !adapted.contains(target));
    let excluded = others.map(|target| name(&target).path).filter(|path| matched(path)).collect();
    (targets, excluded)
}

/// `layers_pattern`, where PEFT needs it to find the numbers of the adapted layers: if their list begins the names.
pub fn layers_pattern(lora: &LoraConfig, architecture: &Architecture) -> Option<&'static str> {
    let begins = !architecture.layers.contains('.');
    lora.layers.as_ref().filter(|_| begins).map(|_| architecture.layers_pattern())
}

/// Whether a module's name ends in an entry after a dot.
fn matches_suffix(name: &str, entry: &str) -> bool {
    name.strip_suffix(entry).is_some_and(|head| head.ends_with('.'))
}
