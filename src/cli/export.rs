//! `lorb export`: writes a base in lower precision, for browsers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use lorb::base::Base;
use lorb::ops::Precision;

use super::args::words;
use super::error::CliError;
use super::files::read_small;
use super::interrupt;
use super::output::{self, Directory, current};
use super::source::{self, BasePaths};
use super::terminal::say;

#[derive(Args)]
pub struct ExportArgs {
    /// Write a smaller base for the web; LoRB reads it in the browser and on the command line
    #[arg(long, required = true)]
    web: bool,
    /// Pretrained BERT or DistilBERT: a directory with config.json, model.safetensors and tokenizer.json or
    /// vocab.txt, or a Hugging Face hub id
    #[arg(long, value_name = "DIR|ID")]
    model: OsString,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Precision of the linear layers; embeddings are always f16
    #[arg(long, default_value_t = Precision::F16, value_parser = words::<Precision>(&["f16", "int8"]))]
    precision: Precision,
    /// Output directory
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Overwrite an existing base
    #[arg(long)]
    overwrite: bool,
    /// Show only errors and warnings
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &ExportArgs) -> Result<(), CliError> {
    interrupt::listen();
    output::check_directory("--output", &args.output, "--model", Path::new(&args.model))?;
    let place = Directory::open("--output", &args.output)?;
    let paths = source::locate(&args.model, args.revision.as_deref(), args.quiet)?;
    args.check_place(&paths)?;
    let Base { config, mut weights, hash, .. } = source::read_located(&paths, &args.model)?;
    interrupt::check()?;
    let weights = weights
        .write(&config, args.precision.format(), &hash)
        .map_err(|error| CliError::at(format_args!("--model {}", args.model.display()), &error))?;
    let mut files = Vec::new();
    // Also the settings of the tokenizer, which change what it does.
    for (name, path) in paths.all().filter(|(name, _)| *name != paths.weights.0) {
        files.push((name, read_small(path, source::limit(name))?));
    }
    files.push(("model.safetensors", weights));
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    interrupt::check()?;
    place.replace(&named)?;
    if !args.quiet {
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let size = bytes as f64 / 1e6;
        say!("{}: {size:.1} MB in {}", args.output.display(), args.precision);
    }
    Ok(())
}

impl ExportArgs {
    /// Checks that the output directory has no base, or that it may be replaced.
    fn check_place(&self, paths: &BasePaths) -> Result<(), CliError> {
        let shown = self.output.display();
        let there = |name: &&&str| current(&self.output, name).exists();
        let Some(found) = source::FILES.iter().find(there) else { return Ok(()) };
        if !self.overwrite {
            return Err(CliError::Failed(format!(
                "--output {shown}: contains {found}; choose another directory, or replace its base with --overwrite"
            )));
        }
        // The new base would use them.
        let stale = source::FILES.into_iter().filter(|name| {
            !source::WEIGHT_FILES.contains(name)
                && !paths.all().any(|(of_base, _)| of_base == *name)
        });
        let stale: Vec<&str> = stale.collect();
        match stale.iter().find(there) {
            Some(found) => Err(CliError::Failed(format!(
                "--output {shown}: contains {found}, which the new base does not have; remove it"
            ))),
            None => Ok(()),
        }
    }
}
