//! `lorb merge-adapters`: combines LoRA adapters of one base into one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use lorb::adapter::{Combination, ReadOptions, Weighted, combine};

use super::args::{at_least_one, choices, finite};
use super::error::CliError;
use super::output::{self, Directory};
use super::terminal::say;
use super::{adapter_dir, interrupt, source};

#[derive(Args)]
pub struct MergeArgs {
    /// Directories of LoRA adapters of one base
    #[arg(value_name = "ADAPTER", required = true, num_args = 2..)]
    adapters: Vec<PathBuf>,
    /// Base of the adapters: a directory with config.json, model.safetensors and tokenizer.json or vocab.txt, or a Hugging
    /// Face hub id
    #[arg(long, value_name = "DIR|ID")]
    model: OsString,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Weight of each adapter, in their order [default: equal weights with the sum 1]
    #[arg(long, value_name = "W,W..", value_delimiter = ',', value_parser = finite, allow_hyphen_values = true)]
    weights: Vec<f64>,
    /// How the updates are combined, by PEFT's names
    #[arg(long, default_value_t = Combination::Cat, value_parser = choices::<Combination>(Combination::NAMES))]
    mode: Combination,
    /// Rank of the result of svd [default: the largest of the ranks]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    rank: Option<usize>,
    /// Output directory
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Overwrite an existing adapter
    #[arg(long)]
    overwrite: bool,
    /// Show only errors and warnings
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &MergeArgs) -> Result<(), CliError> {
    interrupt::listen();
    let mode = args.combination()?;
    let weights = args.weights()?;
    for adapter in &args.adapters {
        output::check_directory("--output", &args.output, "ADAPTER", adapter)?;
    }
    let place = Directory::open("--output", &args.output)?;
    if !args.overwrite && adapter_dir::holds_adapter(&args.output) {
        let shown = args.output.display();
        return Err(CliError::Failed(format!(
            "--output {shown}: contains an adapter; choose another directory, or replace it with --overwrite"
        )));
    }
    let mut files = Vec::new();
    for adapter in &args.adapters {
        files.push(adapter_dir::read_files(adapter, "ADAPTER")?);
    }
    let base = source::load(&args.model, args.revision.as_deref(), args.quiet)?.base;
    interrupt::check()?;
    let mut read = Vec::new();
    for (path, files) in args.adapters.iter().zip(&files) {
        let options = ReadOptions::default();
        let (adapter, meta) = adapter_dir::parse(files, path, "ADAPTER", &base, options)?;
        read.push((path.display().to_string(), adapter, meta));
    }
    let parts: Vec<Weighted<'_>> = read
        .iter()
        .zip(&weights)
        .map(|((name, adapter, meta), weight)| Weighted { name, adapter, meta, weight: *weight })
        .collect();
    let (adapter, meta) = combine(&base.config, &parts, mode)
        .map_err(|error| CliError::at(format_args!("--mode {mode}"), &error))?;
    adapter_dir::write(&place, &adapter, &meta)?;
    if !args.quiet {
        let shown = args.output.display();
        let rank = lorb::methods::lora_config(&adapter.method).map_or(0, |lora| lora.rank);
        say!("{shown}: {} adapters combined by {mode}, rank {rank}", parts.len());
    }
    if read.iter().any(|(_, _, meta)| meta.weights.is_some()) && !args.quiet {
        say!("note: beta and gamma of the adapters do not fit the result; run `lorb tune`");
    }
    Ok(())
}

impl MergeArgs {
    fn combination(&self) -> Result<Combination, CliError> {
        match (self.mode, self.rank) {
            (Combination::Svd(_), rank) => Ok(Combination::Svd(rank)),
            (mode, None) => Ok(mode),
            (mode, Some(_)) => Err(CliError::Usage(format!(
                "--rank: needs --mode svd; the rank of {mode} is given"
            ))),
        }
    }

    fn weights(&self) -> Result<Vec<f32>, CliError> {
        let count = self.adapters.len();
        if self.weights.is_empty() {
            return Ok(vec![1.0 / count as f32; count]);
        }
        if self.weights.len() != count {
            let given = self.weights.len();
            let message = format!("--weights: {given} weights for {count} adapters");
            return Err(CliError::Usage(message));
        }
        Ok(self.weights.iter().map(|weight| *weight as f32).collect())
    }
}
