//! Maps the tensors of files to those of the encoder by their names, and checks headers against the configuration.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::Dtype;

use super::tensor_file::Header;
use super::weights::masked_head_tensors;
use super::{BaseError, BertConfig, TensorEntry, expected_tensors, int4};
use crate::bounds::MAX_UNUSED_BYTES;

/// Suffix for the name of the scales of a weight in int8 or int4.
pub(super) const SCALES: &str = "_scale";

/// Modules that wrap others, by PyTorch's name: `torch.compile`, sharded training and gradient checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Prefixes under which a file may have tensors of an encoder.
const MAX_PREFIXES: usize = 64;

/// The role of a tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// The encoder tensor with this name (without prefix).
    Tensor(String),
    /// The scales of this weight.
    Scales(String),
    /// Not used: other heads, pooler, stored position ids.
    None,
}

/// A tensor of a file: its name there, its entry, and its role.
pub(super) type Placed = (String, TensorEntry, Role);

/// The roles of all tensors of a base, from their names.
///
/// Its maps have types that other code has too: every other type is another copy of their code in the wasm module.
#[derive(Debug)]
pub(super) struct Plan {
    config: BertConfig,
    expected: BTreeMap<String, Vec<usize>>,
    /// Names of encoder tensors, and of the head's, by their names in the file.
    tensors: BTreeMap<String, String>,
    /// Names of weights by the names of their scales in the file.
    scales: BTreeMap<String, String>,
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
    #[inline(never)]
    pub fn new(names: &[&str], config: &BertConfig) -> Result<Self, BaseError> {
        let mut expected = BTreeMap::new();
        for (name, shape) in expected_tensors(config) {
            expected.insert(name, shape);
        }
        let mut head = BTreeMap::new();
        for (name, shape) in masked_head_tensors(config) {
            head.insert(name, shape);
        }
        let stored: Vec<(&str, String)> =
            names.iter().map(|name| (*name, plain(name, config))).collect();
        let prefix = prefix(&stored, &expected, config)?;
        let attribute = format!("{}.", config.architecture.attribute);
        let outside = prefix.strip_suffix(&attribute).unwrap_or(&prefix).to_owned();
        let inside = format!("{outside}{attribute}");
        // Names in the file by the encoder's, and by the scales'.
        let (mut found, mut of_scales) = (BTreeMap::new(), BTreeMap::new());
        let (mut heads, mut ignored) = (BTreeMap::new(), BTreeSet::new());
        for (stored, plain) in &stored {
            // The longer one first, because it begins with the other.
            let name = plain.strip_prefix(&inside).or_else(|| plain.strip_prefix(&outside));
            let Some(name) = name else {
                ignored.insert((*stored).to_owned());
                continue;
            };
            let weight = name.strip_suffix(SCALES).filter(|weight| {
                let shape = expected.get(*weight);
                shape.is_some_and(|shape| config.architecture.has_scales(weight, shape))
            });
            let (map, key) = match weight {
                _ if expected.contains_key(name) => (&mut found, name),
                _ if head.contains_key(name) => (&mut heads, name),
                Some(weight) => (&mut of_scales, weight),
                None => {
                    refuse_unknown(stored, name, config)?;
                    ignored.insert((*stored).to_owned());
                    continue;
                }
            };
            if let Some(first) = map.insert(key.to_owned(), (*stored).to_owned()) {
                let (name, second) = (name.to_owned(), (*stored).to_owned());
                return Err(BaseError::Ambiguous { name, first, second });
            }
        }
        for (name, _) in expected_tensors(config) {
            if !found.contains_key(&name) {
                let hint = near_miss(&stored, &name, &prefix);
                return Err(BaseError::MissingTensor { name, hint });
            }
        }
        // All or none, because the head is optional.
        if heads.len() == head.len() {
            found.append(&mut heads);
        } else {
            head = BTreeMap::new();
            for (_, stored) in heads {
                ignored.insert(stored);
            }
        }
        let by_stored = |names: BTreeMap<String, String>| {
            let mut inverse = BTreeMap::new();
            for (name, stored) in names {
                inverse.insert(stored, name);
            }
            inverse
        };
        Ok(Self {
            config: config.clone(),
            expected,
            tensors: by_stored(found),
            scales: by_stored(of_scales),
            ignored,
            head,
            unused: 0,
            largest_unused: (0, String::new()),
        })
    }

    /// Checks the shapes and types of a file's tensors; returns them in byte order. `here` is whether a name belongs to
    /// this file: others are not used.
    pub fn file(
        &mut self,
        header: &Header,
        here: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Placed>, BaseError> {
        self.check_head(header);
        let mut parts = Vec::new();
        for (stored, entry) in &header.entries {
            let role = if !here(stored) {
                Role::None
            } else if let Some(name) = self.tensors.get(stored) {
                self.check(stored, name, entry)?;
                Role::Tensor(name.clone())
            } else if let Some(weight) = self.scales.get(stored) {
                let of_weight = |(stored, name): (&String, &String)| {
                    (name == weight).then(|| header.entries.get(stored)).flatten()
                };
                let weight_here = self.tensors.iter().find_map(of_weight);
                let shape = &self.expected[weight];
                match weight_here.map(|entry| entry.dtype) {
                    Some(Dtype::I8) => check_shape(stored, entry, &shape[..1])?,
                    Some(Dtype::U8) => check_shape(stored, entry, &int4::scales_shape(shape))?,
                    Some(_) => refuse_unknown(stored, weight, &self.config)?,
                    // The weight is in another file. Their number is checked once both are read.
                    None => {}
                }
                entry.check_dtype(stored)?;
                Role::Scales(weight.clone())
            } else {
                Role::None
            };
            parts.push((stored.clone(), entry.clone(), role));
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
            let name = self.largest_unused.1.clone();
            return Err(BaseError::TooMuchUnused { bytes, name, limit });
        }
        Ok(())
    }

    /// The shape of an encoder tensor.
    pub fn shape(&self, name: &str) -> &[usize] {
        self.expected.get(name).map_or(&[], Vec::as_slice)
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
        let fits = self.tensors.iter().all(|(stored, name)| {
            match (self.head.get(name), header.entries.get(stored)) {
                (Some(shape), Some(entry)) => {
                    entry.shape == *shape && entry.check_dtype(stored).is_ok()
                }
                _ => true,
            }
        });
        if fits {
            return;
        }
        let head = std::mem::take(&mut self.head);
        for (stored, name) in std::mem::take(&mut self.tensors) {
            if head.contains_key(&name) {
                self.ignored.insert(stored);
            } else {
                self.tensors.insert(stored, name);
            }
        }
    }

    fn check(&self, stored: &str, name: &str, entry: &TensorEntry) -> Result<(), BaseError> {
        let Some(shape) = self.expected.get(name) else { return Ok(()) };
        let architecture = self.config.architecture;
        let needs = match entry.dtype {
            Dtype::I8 if architecture.has_scales(name, shape) => {
                "I8, which needs one scale per row"
            }
            Dtype::U8 if architecture.is_linear(name, shape) => {
                check_shape(stored, entry, &int4::bytes_shape(shape))?;
                "U8, which needs scales for groups of 32 inputs"
            }
            _ => {
                check_shape(stored, entry, shape)?;
                return Ok(entry.check_dtype(stored)?);
            }
        };
        if entry.dtype == Dtype::I8 {
            check_shape(stored, entry, shape)?;
        }
        if !self.scales.values().any(|weight| weight == name) {
            let hint = format!("; `{stored}` has dtype {needs}");
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
    stored: &[(&str, String)],
    expected: &BTreeMap<String, Vec<usize>>,
    config: &BertConfig,
) -> Result<String, BaseError> {
    let outside_layers = |name: &&String| config.architecture.split(name).is_none();
    let anchors: Vec<&String> = expected.keys().filter(outside_layers).collect();
    let mut candidates: Vec<&str> = Vec::new();
    for (_, plain) in stored {
        for name in &anchors {
            let before = plain.strip_suffix(name.as_str());
            let before = before.filter(|before| before.is_empty() || before.ends_with('.'));
            if let Some(before) = before.filter(|before| !candidates.contains(before)) {
                candidates.push(before);
            }
        }
        // Every candidate is compared with every name, so there must be few.
        if candidates.len() > MAX_PREFIXES {
            let (first, second) = (stored[0].0.to_owned(), stored[1].0.to_owned());
            let name = config.architecture.embeddings.words.to_owned();
            return Err(BaseError::Ambiguous { name, first, second });
        }
    }
    let of_encoder = |prefix: &str, plain: &str| {
        plain.strip_prefix(prefix).is_some_and(|name| expected.contains_key(name))
    };
    // The best one, and another that is as good: several encoders in one file.
    let (mut best, mut most, mut other) = ("", 0, None);
    for candidate in candidates {
        let count = stored.iter().filter(|(_, plain)| of_encoder(candidate, plain)).count();
        if count > most {
            (best, most, other) = (candidate, count, None);
        } else if count == most {
            other = Some(candidate);
        }
    }
    let Some(other) = other else { return Ok(best.to_owned()) };
    let under = |prefix: &str| {
        let first = stored.iter().find(|(_, plain)| of_encoder(prefix, plain));
        first.map(|(stored, plain)| ((*stored).to_owned(), plain[prefix.len()..].to_owned()))
    };
    match (under(best), under(other)) {
        (Some((first, name)), Some((second, _))) => {
            Err(BaseError::Ambiguous { name, first, second })
        }
        _ => Ok(best.to_owned()),
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
fn near_miss(stored: &[(&str, String)], name: &str, prefix: &str) -> String {
    let tail = format!(".{name}");
    match stored.iter().find(|(_, plain)| plain.ends_with(&tail)) {
        Some((other, _)) => {
            let place = if prefix.is_empty() { "no prefix" } else { &format!("`{prefix}`") };
            format!(", but `{other}` exists; the other tensors of the encoder have {place}")
        }
        None => String::new(),
    }
}
