//! `lorb export`: writes a base in another precision, in shards, or with an adapter merged in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use lorb::adapter::{self, AdapterFiles, ReadOptions};
use lorb::base::{Base, Export, LinearFormat};
use lorb::digest::sha256;
use lorb::packed::Format;
use serde_json::json;

use super::args::{ReadArgs, RunArgs, words};
use super::error::CliError;
use super::export_check::Check;
use super::output::{self, Directory, Files, current};
use super::source::{self, BasePaths};
use super::terminal::say;
use super::{adapter_dir, interrupt, threads};

/// Name of the list of all files with their hashes.
const MANIFEST: &str = "manifest.json";

/// Directory, within the output, of the score head of a merged adapter.
const HEAD: &str = "adapter";

#[derive(Args)]
pub struct ExportArgs {
    /// Accepted for older scripts: every exported base can be read by the npm package
    #[arg(long, hide = true)]
    web: bool,
    /// Pretrained BERT or DistilBERT: a directory with config.json, model.safetensors and tokenizer.json or
    /// vocab.txt, or a Hugging Face hub id
    #[arg(long, value_name = "DIR|ID")]
    model: OsString,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Precision of the linear layers in the files; int4 has a scale for 32 inputs, and becomes int8, f16 or f32 when it is
    /// read
    #[arg(long, default_value_t = LinearFormat::F16, value_parser = words::<LinearFormat>(&["f32", "f16", "int8", "int4"]))]
    precision: LinearFormat,
    /// Precision of the word embeddings in the files [default: f32 with f32, int8 with int4, else f16]
    #[arg(long, value_name = "NAME", value_parser = ["f16", "int8"])]
    embeddings: Option<String>,
    /// Write weights in files of at most this size, such as 10MB or 1GiB, with their index, and manifest.json with the size
    /// and SHA-256 of every file. A larger tensor has a larger file
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shards: Option<u64>,
    /// Merge this adapter into the base. Its score head is written to OUTPUT/adapter; use both together
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Score these lists with the original and the written base, and print how far the scores differ, and both WERs if there
    /// are references. Needs --adapter or --check-adapter; may be repeated
    #[arg(long, value_name = "FILE")]
    check: Vec<PathBuf>,
    /// Adapter for --check that is not merged
    #[arg(long, value_name = "DIR", conflicts_with = "adapter", requires = "check")]
    check_adapter: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadArgs,
    /// Output directory
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Overwrite an existing base
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &ExportArgs) -> Result<(), CliError> {
    interrupt::listen();
    args.check_paths()?;
    let place = Directory::open("--output", &args.output)?;
    let adapter = args.adapter.as_deref();
    let files = adapter.map(|path| adapter_dir::read_files(path, "--adapter")).transpose()?;
    if let Some(path) = &args.check_adapter {
        adapter_dir::expect(path, "--check-adapter")?;
    }
    let paths = source::locate(&args.model, args.revision.as_deref(), args.run.quiet)?;
    args.check_place(&paths)?;
    let mut base = source::read_located(&paths, &args.model)?;
    interrupt::check()?;
    let head = match (adapter, files) {
        (Some(path), Some(files)) => Some(merge(&mut base, path, &files)?),
        _ => None,
    };
    let count = args.write(&place, &paths, base)?;
    if let Some(files) = head {
        let head = Directory::open("--output", &args.output.join(HEAD))?;
        adapter_dir::write_files(&head, &files)?;
    }
    drop(place);
    if !args.run.quiet {
        let (files, bytes) = count;
        let (size, shown) = (bytes as f64 / 1e6, args.output.display());
        say!("{shown}: {size:.1} MB in {}, {files} files", args.precision);
    }
    let merged = adapter.map(|path| (path, args.output.join(HEAD)));
    let adapters = merged.or_else(|| args.check_adapter.as_deref().map(|p| (p, p.to_owned())));
    match adapters {
        Some((original, written)) if !args.check.is_empty() => Check {
            model: &args.model,
            revision: args.revision.as_deref(),
            output: &args.output,
            adapters: [original, &written],
            lists: &args.check,
            reading: &args.reading,
            run: &args.run,
        }
        .report(),
        _ => Ok(()),
    }
}

/// Merges an adapter into its base. Returns the score head as an adapter.
fn merge(base: &mut Base, path: &Path, files: &AdapterFiles) -> Result<AdapterFiles, CliError> {
    // The pool must exist before the first product.
    threads::start()?;
    let (adapter, meta) =
        adapter_dir::parse(files, path, "--adapter", base, ReadOptions::default())?;
    let at = |error: &(dyn std::error::Error + 'static)| {
        CliError::at(format_args!("--adapter {}", path.display()), error)
    };
    let (head, meta) = adapter::merge(base, &adapter, &meta).map_err(|error| at(&error))?;
    adapter::write(&head, &meta).map_err(|error| at(&error))
}

impl ExportArgs {
    /// Refuses outputs that are inputs, and a check without an adapter.
    fn check_paths(&self) -> Result<(), CliError> {
        let has_adapter = self.adapter.is_some() || self.check_adapter.is_some();
        if !self.check.is_empty() && !has_adapter {
            let message =
                "--check: needs --adapter, which is merged, or --check-adapter, which is not";
            return Err(CliError::Usage(message.into()));
        }
        output::check_directory("--output", &self.output, "--model", Path::new(&self.model))?;
        for (flag, adapter) in
            [("--adapter", &self.adapter), ("--check-adapter", &self.check_adapter)]
        {
            let Some(adapter) = adapter else { continue };
            output::check_directory("--output", &self.output, flag, adapter)?;
            output::check_directory("--output", &self.output.join(HEAD), flag, adapter)?;
        }
        let own = [MANIFEST].into_iter().chain(source::FILES).collect::<Vec<_>>();
        Files::default()
            .reads("--check", &self.check)
            .reads_with(&self.reading)
            .writes_in("--output", &self.output, &own)
            .check()
    }

    /// Writes the base, and returns the number of files and of their bytes.
    fn write(
        &self,
        place: &Directory,
        paths: &BasePaths,
        base: Base,
    ) -> Result<(usize, usize), CliError> {
        let Base { config, mut weights, hash, .. } = base;
        let export = Export {
            linear: self.precision,
            words: match self.embeddings.as_deref() {
                Some("int8") => Format::Int8,
                Some(_) => Format::F16,
                None => Export::words_with(self.precision),
            },
            base_sha256: &hash,
            shard_bytes: self.shards,
        };
        let written = weights.write(&config, &export).map_err(|error| {
            CliError::at(format_args!("--model {}", self.model.display()), &error)
        })?;
        let small = paths.read_small()?.into_iter();
        let mut files: Vec<_> = small.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        for (name, bytes) in &written {
            let most = self.shards.filter(|most| bytes.len() as u64 > *most);
            if most.is_some() && name.ends_with(".safetensors") && !self.run.quiet {
                let size = bytes.len() as f64 / 1e6;
                say!("note: {name} has {size:.1} MB, because a tensor is not split");
            }
        }
        files.extend(written);
        if self.shards.is_some() {
            files.push((MANIFEST.to_owned(), manifest(&files, &hash)?));
        }
        let named: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        interrupt::check()?;
        place.replace(&named)?;
        Ok((files.len(), files.iter().map(|(_, bytes)| bytes.len()).sum()))
    }

    /// Checks that the output directory has no base, or that it may be replaced.
    fn check_place(&self, paths: &BasePaths) -> Result<(), CliError> {
        let shown = self.output.display();
        let there = |name: &&&str| current(&self.output, name).exists();
        let found = source::FILES.iter().find(there).copied();
        let head = self.adapter.is_some() && adapter_dir::holds_adapter(&self.output.join(HEAD));
        if let Some(found) = found.or(head.then_some(HEAD)).filter(|_| !self.overwrite) {
            return Err(CliError::Failed(format!(
                "--output {shown}: contains {found}; choose another directory, or replace its base with --overwrite"
            )));
        }
        // The new base would use them, or they would describe another one.
        let mut stale: Vec<&str> = source::FILES
            .into_iter()
            .filter(|name| {
                !source::WEIGHT_FILES.contains(name)
                    && !paths.all().any(|(of_base, _)| of_base == *name)
            })
            .collect();
        match self.shards {
            Some(_) => stale.push(source::WEIGHTS),
            None => stale.push(MANIFEST),
        }
        match stale.iter().find(there) {
            Some(found) => Err(CliError::Failed(format!(
                "--output {shown}: contains {found}, which the new base does not have; remove it"
            ))),
            None => Ok(()),
        }
    }
}

/// Names, sizes and hashes of files.
fn manifest(files: &[(String, Vec<u8>)], hash: &str) -> Result<Vec<u8>, CliError> {
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        (name.clone(), json!({"bytes": bytes.len(), "sha256": sha256(bytes)}))
    };
    let files: serde_json::Map<_, _> = files.iter().map(entry).collect();
    let manifest = json!({"format": 1, "base_sha256": hash, "files": files});
    let text = serde_json::to_string_pretty(&manifest);
    let text = text.map_err(|error| CliError::at(MANIFEST, &error))?;
    Ok((text + "\n").into_bytes())
}

/// A number of bytes, with a unit of 1000 or 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("expected a size, such as 10MB or 1GiB".into()),
    };
    let bytes = number.parse().map(|number: f64| (number * factor) as u64).unwrap_or(0);
    if bytes == 0 { Err("expected a size, such as 10MB or 1GiB".into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units_of_1000_and_1024() {
        for (text, bytes) in
            [("10MB", 10_000_000), ("1.5 GiB", 1_610_612_736), ("4096", 4096), ("2kb", 2000)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MB", "-1", "10 parsecs", "1.2.3MB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
