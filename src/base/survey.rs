//! Maps the tensors of files to those of the encoder by their names, and checks headers against the configuration.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use safetensors::Dtype;

use super::tensor_file::Header;
use super::weights::masked_head_tensors;
use super::{BaseError, BertConfig, TensorEntry, expected_tensors};
use crate::bounds::MAX_UNUSED_BYTES;

/// Suffix for the name of an int8 weight's scales.
pub(super) const SCALES: &str = "_scale";

/// Modules that wrap others, by PyTorch's name: `torch.compile`, sharded training and gradient checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The role of a tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The encoder tensor with this name (without prefix).
    Tensor(String),
    /// The row scales of this weight.
    Scales(String),
    /// Not used: other heads, pooler, stored position ids.
    None,
}

/// A tensor of a file: its name there, its entry, and its role.
pub(super) type Placed = (String, TensorEntry, Role);

/// The roles of all tensors of a base, from their names.
#[derive(Debug)]
pub(super) struct Plan {
    config: BertConfig,
    expected: BTreeMap<String, Vec<usize>>,
    /// By the name in the file.
    roles: BTreeMap<String, Role>,
    ignored: BTreeSet<String>,
    head: BTreeMap<String, Vec<usize>>,
    unused: u64,
    largest_unused: (u64, String),
}

impl Plan {
    /// Assigns roles to the tensors with these names, which are those of all files of the base.
    ///
    /// The encoder's names have one prefix, which is found from the names: none, that of models with a head (`bert.`), or that
    /// of modules around the encoder (`module.`, `model.`, `0.auto_model.`).
    pub fn new<'a>(
        names: impl Iterator<Item = &'a String>,
        config: &BertConfig,
    ) -> Result<Self, BaseError> {
        let expected: BTreeMap<_, _> = expected_tensors(config).into_iter().collect();
        let stored: Vec<(&String, String)> =
            names.map(|name| (name, plain(name, config))).collect();
        let prefix = prefix(&stored, &expected, config)?;
        let attribute = format!("{}.", config.architecture.attribute);
        let outside = prefix.strip_suffix(&attribute).unwrap_or(&prefix).to_owned();
        let inside = format!("{outside}{attribute}");
        let mut found: BTreeMap<Role, &String> = BTreeMap::new();
        let mut take = |role: Role, name: &str, stored: &'a String| match found.entry(role) {
            Entry::Vacant(place) => {
                place.insert(stored);
                Ok(())
            }
            Entry::Occupied(first) => {
                let (first, second) = ((*first.get()).clone(), stored.clone());
                Err(BaseError::Ambiguous { name: name.to_owned(), first, second })
            }
        };
        let head: BTreeMap<_, _> = masked_head_tensors(config).into_iter().collect();
        let mut heads = Vec::new();
        let mut ignored = BTreeSet::new();
        for (stored, plain) in &stored {
            // The longer one first, because it begins with the other.
            let name = plain.strip_prefix(&inside).or_else(|| plain.strip_prefix(&outside));
            let Some(name) = name else {
                ignored.insert((*stored).clone());
                continue;
            };
            let weight = name.strip_suffix(SCALES).filter(|weight| {
                let shape = expected.get(*weight);
                shape.is_some_and(|shape| config.architecture.is_linear(weight, shape))
            });
            if expected.contains_key(name) {
                take(Role::Tensor(name.to_owned()), name, stored)?;
            } else if head.contains_key(name) {
                heads.push((name.to_owned(), *stored));
            } else if let Some(weight) = weight {
                take(Role::Scales(weight.to_owned()), name, stored)?;
            } else {
                refuse_unknown(stored, name, config)?;
                ignored.insert((*stored).clone());
            }
        }
        // All or none, because the head is optional.
        let names: BTreeSet<_> = heads.iter().map(|(name, _)| name).collect();
        let complete = names.len() == head.len();
        for (name, stored) in heads.iter().map(|(name, stored)| (name, *stored)) {
            if complete {
                take(Role::Tensor(name.clone()), name, stored)?;
            } else {
                ignored.insert(stored.clone());
            }
        }
        for (name, _) in expected_tensors(config) {
            if !found.contains_key(&Role::Tensor(name.clone())) {
                let hint = near_miss(&stored, &name, &prefix);
                return Err(BaseError::MissingTensor { name, hint });
            }
        }
        let roles = found.into_iter().map(|(role, stored)| (stored.clone(), role)).collect();
        Ok(Self {
            config: config.clone(),
            expected,
            roles,
            ignored,
            head: if complete { head } else { BTreeMap::new() },
            unused: 0,
            largest_unused: (0, String::new()),
        })
    }

    /// Checks the shapes and types of a file's tensors; returns them in byte order. `here` is whether a name belongs to
    /// this file: others are not used.
    pub fn file(
        &mut self,
        header: &Header,
        here: impl Fn(&str) -> bool,
    ) -> Result<Vec<Placed>, BaseError> {
        self.check_head(header);
        let mut parts = Vec::new();
        for (stored, entry) in &header.entries {
            let role = self.roles.get(stored).filter(|_| here(stored)).cloned();
            match &role {
                Some(Role::Tensor(name)) => self.check(stored, name, entry)?,
                Some(Role::Scales(weight)) => {
                    let in_8_bits = |weight: &str| {
                        let mut all = self.roles.iter();
                        let stored = all.find(|(_, r)| matches!(r, Role::Tensor(n) if n == weight));
                        let entry = stored.and_then(|(stored, _)| header.entries.get(stored));
                        entry.is_none_or(|entry| entry.dtype == Dtype::I8)
                    };
                    if in_8_bits(weight) {
                        check_shape(stored, entry, &self.expected[weight][..1])?;
                        entry.check_dtype(stored)?;
                    } else {
                        refuse_unknown(stored, weight, &self.config)?;
                    }
                }
                Some(Role::None) | None => {}
            }
            parts.push((stored.clone(), entry.clone(), role.unwrap_or(Role::None)));
        }
        parts.sort_by_key(|(_, entry, _)| (entry.range.start, entry.range.end));
        Ok(parts)
    }

    /// Counts the tensors that are read for nothing, and limits them.
    pub fn count_unused(&mut self, parts: &[Placed]) -> Result<(), BaseError> {
        for (name, entry, _) in parts.iter().filter(|(_, _, role)| *role == Role::None) {
            let bytes = entry.range.len() as u64;
            self.unused += bytes;
            if bytes > self.largest_unused.0 {
                self.largest_unused = (bytes, name.clone());
            }
        }
        if self.unused > MAX_UNUSED_BYTES {
            let (bytes, limit) = (self.unused, MAX_UNUSED_BYTES);
            return Err(BaseError::TooMuchUnused {
                bytes,
                name: self.largest_unused.1.clone(),
                limit,
            });
        }
        Ok(())
    }

    /// Whether the encoder tensor or the head's tensor with this name is used.
    pub fn is_used(&self, name: &str) -> bool {
        self.expected.contains_key(name) || self.head.contains_key(name)
    }

    /// The names that are not used, sorted.
    pub fn into_ignored(self) -> Vec<String> {
        self.ignored.into_iter().collect()
    }

    /// Drops a head with other shapes than this base's.
    fn check_head(&mut self, header: &Header) {
        let fits = self.roles.iter().all(|(stored, role)| {
            let Role::Tensor(name) = role else { return true };
            let (Some(shape), Some(entry)) = (self.head.get(name), header.entries.get(stored))
            else {
                return true;
            };
            entry.shape == *shape && entry.check_dtype(stored).is_ok()
        });
        if fits {
            return;
        }
        let head = std::mem::take(&mut self.head);
        let dropped = |role: &Role| matches!(role, Role::Tensor(name) if head.contains_key(name));
        let gone = self.roles.extract_if(.., |_, role| dropped(role));
        self.ignored.extend(gone.map(|(stored, _)| stored));
    }

    fn check(&self, stored: &str, name: &str, entry: &TensorEntry) -> Result<(), BaseError> {
        let Some(shape) = self.expected.get(name) else { return Ok(()) };
        check_shape(stored, entry, shape)?;
        if entry.dtype != Dtype::I8 || !self.config.architecture.is_linear(name, shape) {
            return Ok(entry.check_dtype(stored)?);
        }
        if !self.roles.values().any(|role| matches!(role, Role::Scales(of) if of == name)) {
            let hint = format!("; `{stored}` has dtype I8, which needs one scale per row");
            return Err(BaseError::MissingTensor { name: format!("{name}{SCALES}"), hint });
        }
        Ok(())
    }
}

/// A name without wrapping modules, and with current suffixes.
fn plain(stored: &str, config: &BertConfig) -> String {
    let wrapped = stored.split('.').any(|part| WRAPPERS.contains(&part));
    let parts = stored.split('.').filter(|part| !WRAPPERS.contains(part));
    let name = if wrapped { &parts.collect::<Vec<_>>().join(".") } else { stored };
    config.architecture.current_name(name)
}

/// The prefix of the encoder's names: the one under which all tensors are, or else most.
fn prefix(
    stored: &[(&String, String)],
    expected: &BTreeMap<String, Vec<usize>>,
    config: &BertConfig,
) -> Result<String, BaseError> {
    let outside_layers =
        || expected.keys().filter(|name| config.architecture.split(name).is_none());
    let mut candidates: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, plain) in stored {
        for name in outside_layers() {
            let before = plain.strip_suffix(name.as_str());
            let before = before.filter(|before| before.is_empty() || before.ends_with('.'));
            if let Some(before) = before {
                candidates.insert(before, 0);
            }
        }
    }
    // Every candidate is compared with every name, so there must be few.
    if candidates.len() > 64 {
        let (first, second) = (stored[0].0.clone(), stored[1].0.clone());
        let name = config.architecture.embeddings.words.to_owned();
        return Err(BaseError::Ambiguous { name, first, second });
    }
    for (candidate, count) in &mut candidates {
        let rest = stored.iter().filter_map(|(_, plain)| plain.strip_prefix(candidate));
        *count = rest.filter(|name| expected.contains_key(*name)).count();
    }
    let Some(&most) = candidates.values().max() else { return Ok(String::new()) };
    let best: Vec<&str> =
        candidates.iter().filter(|(_, count)| **count == most).map(|(p, _)| *p).collect();
    if let [one] = best[..] {
        return Ok(one.to_owned());
    }
    // Several encoders in one file.
    let under = |prefix: &str| {
        let mut all = stored.iter();
        let found = all.find(|(_, plain)| {
            plain.strip_prefix(prefix).is_some_and(|name| expected.contains_key(name))
        });
        found.map(|(stored, plain)| ((*stored).clone(), plain[prefix.len()..].to_owned()))
    };
    match (under(best[0]), under(best[1])) {
        (Some((first, name)), Some((second, _))) => {
            Err(BaseError::Ambiguous { name, first, second })
        }
        _ => Ok(best[0].to_owned()),
    }
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

/// Accepts tensors outside the encoder; tensors of the encoder must be known.
fn refuse_unknown(stored: &str, name: &str, config: &BertConfig) -> Result<(), BaseError> {
    if !config.architecture.is_of_encoder(name) {
        return Ok(());
    }
    let hint = format!("{} is {}", config.architecture.keys.layers, config.num_hidden_layers);
    Err(BaseError::Unexpected { name: stored.to_owned(), hint })
}

/// A hint for a missing tensor that exists under another prefix.
fn near_miss(stored: &[(&String, String)], name: &str, prefix: &str) -> String {
    let tail = format!(".{name}");
    match stored.iter().find(|(_, plain)| plain.ends_with(&tail)) {
        Some((other, _)) => {
            let place = if prefix.is_empty() { "no prefix" } else { &format!("`{prefix}`") };
            format!(", but `{other}` exists; the other tensors of the encoder have {place}")
        }
        None => String::new(),
    }
}
