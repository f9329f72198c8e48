//! `lorb export`: writes a base in lower precision, for browsers.

use std::path::PathBuf;

use clap::Args;
use lorb::base::Base;
use lorb::ops::Precision;

use super::args::words;
use super::error::CliError;
use super::output::{check_directory, write_directory};
use super::source::{self, TokenizerPath, bytes};

#[derive(Args)]
pub struct ExportArgs {
    /// Write a smaller base for the web; LoRB reads it in the browser and on the command line
    #[arg(long, required = true)]
    web: bool,
    /// Pretrained BERT or DistilBERT: a directory with config.json, model.safetensors and tokenizer.json or
    /// vocab.txt, or a Hugging Face hub id
    #[arg(long, value_name = "DIR|ID")]
    model: String,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Precision of the linear layers; embeddings are always f16
    #[arg(long, default_value_t = Precision::F16, value_parser = words::<Precision>(&["f16", "int8"]))]
    precision: Precision,
    /// Output directory
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Show only errors and warnings
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &ExportArgs) -> Result<(), CliError> {
    check_directory(&args.output)?;
    let paths = source::locate(&args.model, args.revision.as_deref(), args.quiet)?;
    let Base { config, mut weights, hash, .. } = source::read_located(&paths, &args.model)?;
    let weights = weights
        .write(&config, args.precision, &hash)
        .map_err(|error| CliError::at(format_args!("--model {}", args.model), &error))?;
    let mut files = vec![("config.json", bytes(&paths.config)?)];
    match &paths.tokenizer {
        TokenizerPath::Json(json) => files.push(("tokenizer.json", bytes(json)?)),
        TokenizerPath::Vocab(vocab, settings) => {
            files.push(("vocab.txt", bytes(vocab)?));
            if let Some(settings) = settings {
                files.push(("tokenizer_config.json", bytes(settings)?));
            }
        }
    }
    files.push(("model.safetensors", weights));
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    write_directory(&args.output, &named)?;
    if !args.quiet {
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let size = bytes as f64 / 1e6;
        eprintln!("{}: {size:.1} MB in {}", args.output.display(), args.precision);
    }
    Ok(())
}
