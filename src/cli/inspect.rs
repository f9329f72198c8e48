//! `lorb inspect`: describes a base, an adapter or lists.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use lorb::adapter::{self, AdapterFiles, AdapterMeta, ReadOptions};
use lorb::base::{Architecture, TensorEntry, TensorFile, expected_tensors};
use lorb::methods::LoraConfig;
use lorb::model::{Layout, Method};
use lorb::text::Conventions;

use super::args::{ReadArgs, TextArgs};
use super::error::CliError;
use super::source::NamedBase;
use super::terminal::shown;
use super::{adapter_dir, inspect_lists, output, source};

#[derive(Args)]
pub struct InspectArgs {
    /// A base or an adapter (a directory), or N-best lists (a file, an ESPnet directory)
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Base of the adapter: check that they match, and show the fraction of trainable parameters
    #[arg(long, value_name = "DIR|ID")]
    model: Option<OsString>,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME", requires = "model")]
    revision: Option<String>,
    #[command(flatten)]
    reading: ReadArgs,
    #[command(flatten)]
    texts: TextArgs,
}

pub fn run(args: &InspectArgs) -> Result<(), CliError> {
    let path = &args.path;
    let text = if adapter_dir::holds_adapter(path) {
        let base = match &args.model {
            Some(model) => Some(source::load(model, args.revision.as_deref(), true)?),
            None => None,
        };
        adapter_text(path, base.as_ref())?
    } else if args.model.is_some() {
        let message = "--model is only valid with an adapter directory";
        return Err(CliError::Usage(message.into()));
    } else if path.join("config.json").exists() || source::is_built_in(path) {
        base_text(path)?
    } else {
        let conventions = args.texts.changes().over(Conventions::default());
        inspect_lists::text(path, &args.reading.reading()?, conventions)?
    };
    output::print(&text)
}

fn base_text(path: &Path) -> Result<String, CliError> {
    let NamedBase { base, name } = source::load(path, None, true)?;
    let config = &base.config;
    let mut text = String::new();
    line(&mut text, "base", &name);
    match base.weights.origin() {
        None => line(&mut text, "sha256", &base.hash),
        // Of the original, which is not there to check it.
        Some(_) => line(&mut text, "sha256 of the original", &format!("{} (claimed)", base.hash)),
    }
    line(&mut text, "architecture", config.architecture.name);
    line(&mut text, "layers", &config.num_hidden_layers.to_string());
    if let Some(width) = config.embedding_size {
        line(&mut text, "embedding size", &width.to_string());
    }
    line(&mut text, "hidden size", &config.hidden_size.to_string());
    line(&mut text, "heads", &config.num_attention_heads.to_string());
    line(&mut text, "feed-forward size", &config.intermediate_size.to_string());
    let positions = match &config.rotary {
        None => config.max_position_embeddings.to_string(),
        Some(rotary) => {
            let local = rotary.local.iter().filter(|local| **local).count();
            format!("rotary; {local} layers attend to {} tokens on either side", rotary.reach)
        }
    };
    line(&mut text, "positions", &positions);
    line(&mut text, "longest text", &format!("{} tokens", config.max_tokens()));
    let pieces = base.tokenizer.vocabulary_size();
    line(&mut text, "vocabulary", &format!("{} rows, {pieces} word pieces", config.vocab_size));
    let parameters = count(expected_tensors(config).iter().map(|(_, shape)| shape.as_slice()));
    line(&mut text, "parameters", &format!("{parameters} in the encoder, frozen"));
    // The default adapter does not fit every base: its rank may exceed a tiny hidden size.
    if let Ok(layout) = Layout::new(config, &LoraConfig::default().into()) {
        let share = percent(layout.len(), parameters);
        line(&mut text, "default adapter", &format!("{} parameters, {share} of all", layout.len()));
    }
    let ignored = base.weights.ignored();
    if !ignored.is_empty() {
        line(&mut text, "not used", &ignored.join(", "));
    }
    text.push('\n');
    tensors(&mut text, base.weights.entries());
    Ok(text)
}

fn adapter_text(path: &Path, base: Option<&NamedBase>) -> Result<String, CliError> {
    let files = adapter_dir::read_files(path, "adapter")?;
    let mut text = String::new();
    line(&mut text, "adapter", &path.display().to_string());
    match base {
        Some(NamedBase { base, name }) => {
            let options = ReadOptions::default();
            let (adapter, meta) = adapter_dir::parse(&files, path, "adapter", base, options)?;
            line(&mut text, "base", name);
            let fits = if meta.base_hash.is_some() {
                "yes"
            } else {
                "shapes match; the adapter stores no hash"
            };
            line(&mut text, "trained on this base", fits);
            method(&mut text, &adapter.method, base.config.architecture);
            let frozen = count(expected_tensors(&base.config).iter().map(|(_, s)| s.as_slice()));
            let trained = adapter.layout.len();
            let share = percent(trained, frozen);
            line(&mut text, "parameters", &format!("{trained}, {share} of {}", trained + frozen));
            described(&mut text, &meta);
        }
        None => settings(&mut text, &files, path)?,
    }
    let file = TensorFile::open(&files.weights).map_err(|e| CliError::at(path.display(), &e))?;
    if base.is_none() {
        let trained = count(file.entries().values().map(|entry| entry.shape.as_slice()));
        line(&mut text, "parameters", &format!("{trained} (use --model to see the fraction)"));
        for (key, value) in file.metadata() {
            line(&mut text, &format!("metadata {key}"), value);
        }
    }
    text.push('\n');
    tensors(&mut text, file.entries());
    Ok(text)
}

/// The method and its settings.
fn method(text: &mut String, method: &Method, architecture: &Architecture) {
    line(text, "method", method.name());
    for (name, value) in method.describe(architecture) {
        line(text, name, &value);
    }
}

fn described(text: &mut String, meta: &AdapterMeta) {
    match &meta.weights {
        Some(weights) => {
            line(text, "beta", &weights.beta.to_string());
            line(text, "gamma", &weights.gamma.to_string());
            for (name, alpha) in &weights.parts {
                line(text, &format!("weight of {name}"), &alpha.to_string());
            }
        }
        None => line(text, "beta", "not tuned; run `lorb tune`"),
    }
    let unknown = || "not known".to_owned();
    line(text, "text conventions", &meta.conventions.to_string());
    line(text, "objective", &meta.objective.clone().unwrap_or_else(unknown));
    line(text, "base when trained", &meta.base_name.clone().unwrap_or_else(unknown));
}

/// The contents of `adapter_config.json`, without checking them against a base.
fn settings(text: &mut String, files: &AdapterFiles, path: &Path) -> Result<(), CliError> {
    let at = || path.join(adapter::CONFIG_FILE).display().to_string();
    let json: serde_json::Value =
        serde_json::from_slice(&files.config).map_err(|error| CliError::at(at(), &error))?;
    let Some(map) = json.as_object() else {
        return Err(CliError::Failed(format!("{}: expected one JSON object", at())));
    };
    for key in
        ["base_model_name_or_path", "peft_type", "r", "lora_alpha", "target_modules", "use_rslora"]
    {
        if let Some(value) = map.get(key) {
            line(text, key, &value.to_string());
        }
    }
    Ok(())
}

/// Tensors by name; those that differ only in the layer number share a line.
fn tensors(text: &mut String, entries: &BTreeMap<String, TensorEntry>) {
    let mut groups: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for (name, entry) in entries {
        let (general, layer) = general(name);
        let kind = format!("{:?} {:?}", entry.dtype, entry.shape);
        groups.entry((general, kind)).or_default().extend(layer);
    }
    for ((name, kind), layers) in groups {
        let times =
            if layers.is_empty() { String::new() } else { format!("  in {} layers", layers.len()) };
        let (name, kind) = (shown(&name), shown(&kind));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<64} {kind}{times}");
    }
}

/// A name with `*` for the layer number, and that number.
fn general(name: &str) -> (String, Option<&str>) {
    let mut parts: Vec<&str> = name.split('.').collect();
    let place = parts.iter().position(|part| part.parse::<usize>().is_ok());
    let layer = place.map(|at| std::mem::replace(&mut parts[at], "*"));
    (parts.join("."), layer)
}

fn count<'a>(shapes: impl Iterator<Item = &'a [usize]>) -> usize {
    shapes.map(|shape| shape.iter().product::<usize>()).sum()
}

fn percent(trained: usize, frozen: usize) -> String {
    format!("{:.3} %", 100.0 * trained as f64 / (trained + frozen) as f64)
}

/// One name and its value.
pub fn line(text: &mut String, name: &str, value: &str) {
    let (name, value) = (shown(name), shown(value));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<24} {value}");
}
