//! Composes the text of a variant from the files in `shaders/` and the variant's constants.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One variant of a kernel.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique among all variants.
    pub name: String,
    /// The value of each axis of its kernel.
    pub values: Vec<String>,
    /// WGSL extensions, for `enable` lines.
    pub enable: Vec<String>,
    /// Shared files in addition to those that the kernel names.
    pub uses: Vec<String>,
    /// Constants: an integer becomes a u32, a fraction an f32.
    pub constants: BTreeMap<String, Value>,
}

impl Variant {
    /// The lines before everything else.
    pub fn head(&self) -> Result<String, String> {
        let mut head: String =
            self.enable.iter().map(|extension| format!("enable {extension};\n")).collect();
        for (name, value) in &self.constants {
            let (kind, literal) = match value {
                Value::Bool(flag) => ("bool", flag.to_string()),
                Value::Number(n) if n.is_u64() => ("u32", format!("{n}u")),
                Value::Number(n) => ("f32", format!("{:?}", n.as_f64().unwrap_or(f64::NAN))),
                other => return Err(format!("{}: constant {name} is {other}", self.name)),
            };
            head += &format!("const {name}: {kind} = {literal};\n");
        }
        Ok(head)
    }
}

/// A piece of a variant's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Lines that only this variant has.
    Head(String),
    /// A file by its path below `shaders/`, without its extension.
    File(String),
}

/// The shader files read so far: path below `shaders/` to text without comments and `#use` lines.
pub struct Files {
    root: PathBuf,
    texts: BTreeMap<String, (String, Vec<String>)>,
}

impl Files {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), texts: BTreeMap::new() }
    }

    /// The files read so far, by path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, (text, _))| (path.as_str(), text.as_str()))
    }

    pub fn text<'a>(&'a self, part: &'a Part) -> &'a str {
        match part {
            Part::Head(text) => text,
            Part::File(path) => &self.texts[path].0,
        }
    }

    /// The parts of a variant, in order; each file once.
    pub fn parts(&mut self, kernel: &str, variant: &Variant) -> Result<Vec<Part>, String> {
        let mut parts = vec![Part::Head(variant.head()?)];
        for shared in &variant.uses {
            self.append(&format!("shared/{shared}"), &mut parts)?;
        }
        self.append(kernel, &mut parts)?;
        Ok(parts)
    }

    fn append(&mut self, path: &str, parts: &mut Vec<Part>) -> Result<(), String> {
        let part = Part::File(path.to_owned());
        if parts.contains(&part) {
            return Ok(());
        }
        self.read(path)?;
        let uses = self.texts[path].1.clone();
        parts.push(part);
        uses.iter().try_for_each(|shared| self.append(&format!("shared/{shared}"), parts))
    }

    fn read(&mut self, path: &str) -> Result<(), String> {
        if self.texts.contains_key(path) {
            return Ok(());
        }
        let file = self.root.join(path).with_extension("wgsl");
        let whole = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let (mut text, mut uses) = (String::new(), Vec::new());
        for line in whole.lines() {
            if let Some(shared) = line.strip_prefix("#use ") {
                uses.push(shared.trim().to_owned());
            } else if !line.trim_start().starts_with("//") && !line.trim().is_empty() {
                text.push_str(line);
                text.push('\n');
            }
        }
        self.texts.insert(path.to_owned(), (text, uses));
        Ok(())
    }

    /// Rejects a kernel that `variants.json` does not describe, because it would never be used.
    pub fn every_kernel_is_described(&self, names: &[&str]) -> Result<(), String> {
        let entries = fs::read_dir(&self.root).map_err(|e| e.to_string())?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let described = names.contains(&stem.as_str());
            if path.extension().is_some_and(|extension| extension == "wgsl") && !described {
                return Err(format!("{}: not described in variants.json", path.display()));
            }
        }
        Ok(())
    }
}
