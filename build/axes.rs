//! Expands the axes in `variants.json` into the variants of each kernel.
//!
//! An axis is a list of values, each with a suffix for the name of the variant and named settings. A kernel lists
//! its axes; its variants are all combinations of their values except those in `without`. In a kernel's `use` and
//! `const`, `$name` stands for that setting of the variant's values. A constant can also be a table by the values
//! of one axis. A constant is omitted if the variant's values lack its setting.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::compose::Variant;

/// `variants.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub axes: BTreeMap<String, Axis>,
    kernels: BTreeMap<String, Entry>,
    /// Whether the build is for browsers.
    #[serde(skip)]
    browser: bool,
}

/// One axis.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Path of its Rust type, if the crate defines it. Otherwise an enum is generated.
    pub rust: Option<String>,
    /// Documentation of the generated enum.
    #[serde(default)]
    pub doc: String,
    pub values: Vec<Value>,
}

/// One value of an axis.
#[derive(Deserialize)]
pub struct Value {
    /// In Rust.
    pub name: String,
    /// In the name of a variant.
    #[serde(default)]
    suffix: String,
    /// Documentation of the generated enum's variant.
    #[serde(default)]
    pub doc: String,
    /// Its variants are only in native builds, because no browser selects them.
    #[serde(default)]
    native: bool,
    /// WGSL extensions of its variants, in addition to the kernel's.
    #[serde(default)]
    enable: Vec<String>,
    #[serde(flatten)]
    pub settings: BTreeMap<String, Json>,
}

/// One kernel.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    /// The same description as the kernel of this name.
    Like(String),
    Own(Kernel),
}

/// What a kernel's variants differ in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Names of axes, in the order of their suffixes.
    #[serde(default)]
    pub axes: Vec<String>,
    /// Combinations that do not exist: some values of each of some axes.
    #[serde(default)]
    without: Vec<BTreeMap<String, Vec<String>>>,
    /// It is only in native builds, because no browser has what it needs.
    #[serde(default)]
    native: bool,
    #[serde(default)]
    enable: Vec<String>,
    #[serde(default, rename = "use")]
    uses: Vec<String>,
    #[serde(default, rename = "const")]
    constants: BTreeMap<String, Json>,
}

impl Description {
    pub fn read(shaders: &Path, browser: bool) -> Result<Self, String> {
        let path = shaders.join("variants.json");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let read = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { browser, ..read })
    }

    /// Every kernel, by name.
    pub fn kernels(&self) -> Result<Vec<(&str, &Kernel)>, String> {
        self.kernels
            .iter()
            .map(|(name, entry)| Ok((name.as_str(), self.own(name, entry)?)))
            .collect()
    }

    /// Whether a kernel is part of the build.
    pub fn built(&self, kernel: &Kernel) -> bool {
        !self.browser || !kernel.native
    }

    fn own<'a>(&'a self, name: &str, entry: &'a Entry) -> Result<&'a Kernel, String> {
        match entry {
            Entry::Own(kernel) => Ok(kernel),
            Entry::Like(other) => match self.kernels.get(other) {
                Some(Entry::Own(kernel)) => Ok(kernel),
                _ => {
                    Err(format!("variants.json: {name} is like {other}, which has no description"))
                }
            },
        }
    }

    /// The variants of a kernel; the last axis varies fastest.
    pub fn variants(&self, name: &str, kernel: &Kernel) -> Result<Vec<Variant>, String> {
        let mut chosen: Vec<Vec<&Value>> = vec![Vec::new()];
        for axis in &kernel.axes {
            let known = self.axes.get(axis);
            let known = known.ok_or_else(|| format!("variants.json: {name}: no axis {axis}"))?;
            let values = &known.values;
            chosen = chosen
                .iter()
                .flat_map(|before| {
                    values.iter().map(move |value| before.iter().copied().chain([value]).collect())
                })
                .collect();
        }
        self.check(name, kernel)?;
        let exists = |values: &Vec<&Value>| {
            !kernel.without.iter().any(|combination| {
                kernel.axes.iter().zip(values).all(|(axis, value)| {
                    combination.get(axis).is_none_or(|excluded| excluded.contains(&value.name))
                })
            })
        };
        let built =
            |values: &&Vec<&Value>| !self.browser || values.iter().all(|value| !value.native);
        let existing = chosen.iter().filter(|values| exists(values)).filter(built);
        existing.map(|values| kernel.variant(name, values)).collect()
    }

    /// Rejects misspelt names, which would omit a constant or exclude nothing.
    fn check(&self, name: &str, kernel: &Kernel) -> Result<(), String> {
        let values = |axis: &String| self.axes.get(axis).into_iter().flat_map(|axis| &axis.values);
        for (axis, excluded) in kernel.without.iter().flatten() {
            for value in excluded {
                if !kernel.axes.contains(axis) || values(axis).all(|known| known.name != *value) {
                    return Err(format!(
                        "variants.json: {name} has no {axis} {value} to be without"
                    ));
                }
            }
        }
        for setting in kernel.constants.values().filter_map(Json::as_str) {
            let known = setting.strip_prefix('$').is_some_and(|setting| {
                let mut all = kernel.axes.iter().flat_map(values);
                all.any(|value| value.settings.contains_key(setting))
            });
            if !known {
                return Err(format!("variants.json: {name}: no axis has the setting {setting}"));
            }
        }
        Ok(())
    }
}

impl Kernel {
    fn variant(&self, kernel: &str, values: &[&Value]) -> Result<Variant, String> {
        let suffixes: String = values.iter().map(|value| value.suffix.as_str()).collect();
        let name = format!("{kernel}{suffixes}");
        let setting = |of: &str| values.iter().find_map(|value| value.settings.get(of));
        let uses = self.uses.iter().map(|file| match file.strip_prefix('$') {
            None => Ok(file.clone()),
            Some(of) => match setting(of) {
                Some(Json::String(file)) => Ok(file.clone()),
                _ => Err(format!(
                    "variants.json: {name} uses {file}, which is not the name of a file"
                )),
            },
        });
        let mut constants = BTreeMap::new();
        for (constant, value) in &self.constants {
            let value = match value {
                Json::String(of) => of.strip_prefix('$').and_then(setting),
                Json::Object(table) => {
                    let found = values.iter().find_map(|value| table.get(&value.name));
                    Some(found.ok_or_else(|| {
                        format!(
                            "variants.json: {name}: the table of {constant} has no value for it"
                        )
                    })?)
                }
                other => Some(other),
            };
            if let Some(value) = value {
                constants.insert(constant.clone(), value.clone());
            }
        }
        let enable = self.enable.iter().chain(values.iter().flat_map(|value| &value.enable));
        Ok(Variant {
            values: values.iter().map(|value| value.name.clone()).collect(),
            enable: enable.cloned().collect(),
            uses: uses.collect::<Result<_, _>>()?,
            constants,
            name,
        })
    }
}
