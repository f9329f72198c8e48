//! Checks a header against the configuration, and maps the tensors of the file to those of the encoder.

use std::collections::{BTreeMap, btree_map::Entry};

use safetensors::Dtype;

use super::tensor_file::Header;
use super::weights::masked_head_tensors;
use super::{BaseError, BertConfig, TensorEntry, expected_tensors};
use crate::bounds::MAX_UNUSED_BYTES;

/// Suffix for the name of an int8 weight's scales.
pub(super) const SCALES: &str = "_scale";

/// The role of a tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// The encoder tensor with this name (without prefix).
    Tensor(String),
    /// The row scales of this weight.
    Scales(String),
    /// Not used: other heads, pooler, stored position ids.
    None,
}

/// Tensors of a file in byte order.
#[derive(Debug)]
pub(super) struct Survey {
    pub parts: Vec<(String, TensorEntry, Role)>,
    pub ignored: Vec<String>,
}

/// Checks names, shapes and types of all tensors.
pub(super) fn survey(header: &Header, config: &BertConfig) -> Result<Survey, BaseError> {
    let expected: BTreeMap<String, Vec<usize>> = expected_tensors(config).into_iter().collect();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut others = Vec::new();
    for stored in header.entries.keys() {
        let name = config.architecture.plain_name(stored);
        if !expected.contains_key(&name) {
            others.push((stored, name));
            continue;
        }
        match found.entry(name) {
            Entry::Vacant(place) => {
                place.insert(stored.clone());
            }
            Entry::Occupied(first) => {
                let (name, first) = (first.key().clone(), first.get().clone());
                return Err(BaseError::Ambiguous { name, first, second: stored.clone() });
            }
        }
    }
    let entry_of = |name: &str| found.get(name).map(|stored| &header.entries[stored]);
    let in_8_bits = |name: &str| {
        let shape = expected.get(name)?;
        let entry = entry_of(name).filter(|entry| entry.dtype == Dtype::I8)?;
        config.architecture.is_linear(name, shape).then_some(entry)
    };
    let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
    let mut ignored = Vec::new();
    let head = masked_head(header, &others, config);
    for (stored, name) in others {
        if head.contains(&stored) {
            roles.insert(stored, Role::Tensor(name));
            continue;
        }
        let weight = name.strip_suffix(SCALES).filter(|weight| in_8_bits(weight).is_some());
        if let Some(weight) = weight {
            let role = Role::Scales(weight.to_owned());
            if let Some((first, _)) = roles.iter().find(|(_, known)| **known == role) {
                let first = (*first).to_owned();
                return Err(BaseError::Ambiguous { name, first, second: stored.clone() });
            }
            roles.insert(stored, role);
        } else {
            refuse_unknown(stored, &name, config)?;
            ignored.push(stored.clone());
        }
    }
    for (name, shape) in expected_tensors(config) {
        let Some(stored) = found.get(&name) else {
            return Err(BaseError::MissingTensor { hint: near_miss(header, &name, config), name });
        };
        let entry = &header.entries[stored];
        check_shape(stored, entry, &shape)?;
        if in_8_bits(&name).is_none() {
            entry.check_dtype(stored)?;
            continue;
        }
        let scales = roles.iter().find(|(_, role)| **role == Role::Scales(name.clone()));
        let Some((scales, _)) = scales else {
            let hint = format!("; `{stored}` has dtype I8, which needs one scale per row");
            return Err(BaseError::MissingTensor { name: format!("{name}{SCALES}"), hint });
        };
        let entry = &header.entries[*scales];
        check_shape(scales, entry, &shape[..1])?;
        entry.check_dtype(scales)?;
    }
    roles.extend(found.iter().map(|(name, stored)| (stored.as_str(), Role::Tensor(name.clone()))));
    let mut parts: Vec<_> = header
        .entries
        .iter()
        .map(|(stored, entry)| {
            let role = roles.get(stored.as_str()).cloned().unwrap_or(Role::None);
            (stored.clone(), entry.clone(), role)
        })
        .collect();
    parts.sort_by_key(|(_, entry, _)| (entry.range.start, entry.range.end));
    check_unused(&parts)?;
    Ok(Survey { parts, ignored })
}

/// The stored names of the masked-language-model head's tensors; all or none, because the head is optional.
fn masked_head<'a>(
    header: &Header,
    others: &[(&'a String, String)],
    config: &BertConfig,
) -> Vec<&'a String> {
    let find = |(name, shape): &(String, Vec<usize>)| {
        let (stored, _) = others.iter().find(|(_, plain)| plain == name)?;
        let entry = &header.entries[*stored];
        (entry.shape == *shape && entry.check_dtype(stored).is_ok()).then_some(*stored)
    };
    masked_head_tensors(config).iter().map(find).collect::<Option<_>>().unwrap_or_default()
}

fn check_shape(stored: &str, entry: &TensorEntry, expected: &[usize]) -> Result<(), BaseError> {
    if entry.shape == expected {
        return Ok(());
    }
    Err(BaseError::Shape {
        name: stored.to_owned(),
        found: entry.shape.clone(),
        expected: expected.to_vec(),
    })
}

/// Limits the tensors that are read for nothing.
fn check_unused(parts: &[(String, TensorEntry, Role)]) -> Result<(), BaseError> {
    let unused = || parts.iter().filter(|(_, _, role)| *role == Role::None);
    let bytes = unused().map(|(_, entry, _)| entry.range.len() as u64).sum();
    match unused().max_by_key(|(_, entry, _)| entry.range.len()) {
        Some((name, ..)) if bytes > MAX_UNUSED_BYTES => {
            let (name, limit) = (name.clone(), MAX_UNUSED_BYTES);
            Err(BaseError::TooMuchUnused { bytes, name, limit })
        }
        _ => Ok(()),
    }
}

/// Accepts tensors outside the encoder; tensors of the encoder must be known.
fn refuse_unknown(stored: &str, name: &str, config: &BertConfig) -> Result<(), BaseError> {
    if !config.architecture.is_of_encoder(name) {
        return Ok(());
    }
    let hint = format!("{} is {}", config.architecture.keys.layers, config.num_hidden_layers);
    Err(BaseError::Unexpected { name: stored.to_owned(), hint })
}

/// A hint for a missing tensor that exists under another prefix.
fn near_miss(header: &Header, name: &str, config: &BertConfig) -> String {
    let tail = format!(".{name}");
    match header.entries.keys().find(|k| k.ends_with(&tail)) {
        Some(other) => {
            let prefix = config.architecture.attribute;
            format!(", but `{other}` exists; LoRB reads names with the prefix `{prefix}.` or none")
        }
        None => String::new(),
    }
}
