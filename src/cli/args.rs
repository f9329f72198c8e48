//! Flags shared by several commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use lorb::device::{DeviceChoice, Fallback, Selected, SelectedKind, check_precision, select};
use lorb::nbest::{FORMATS, ScoreKind, ScoreReading, Target, format_by_name};
use lorb::ops::Precision;
use lorb::score::Weights;
use lorb::text::{Changes, Normalize, Unit};

use super::error::{CliError, chain};
use super::input::{Reading, read_references};
use super::terminal::say;
use super::threads;
use super::tiles::{self, TilesArg};

/// The base.
#[derive(Args, Debug, Clone)]
pub struct BaseArgs {
    /// Pretrained base: a directory with config.json, model.safetensors and tokenizer.json or vocab.txt, a Hugging Face
    /// hub id, or built-in, the small base inside the program
    #[arg(long, value_name = "DIR|ID")]
    pub model: OsString,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
}

/// Precision of the base.
#[derive(Args, Debug, Clone, Copy)]
pub struct PrecisionArgs {
    /// Precision of the frozen linear layers: on a GPU, f16 and int8 use half and a quarter of the memory; mixed stores
    /// f16 and also multiplies f16 in the forward pass, with sums in f32, on GPUs with `shader-f16`
    #[arg(long, default_value_t = Precision::F32, value_parser = words::<Precision>(&["f32", "f16", "int8", "mixed"]))]
    pub precision: Precision,
}

/// How lists are read.
#[derive(Args, Debug, Clone)]
pub struct ReadArgs {
    /// Format of the lists
    #[arg(long, alias = "from", value_name = "FORMAT", default_value = AUTO, value_parser = choices::<String>(formats()))]
    pub format: String,
    /// Skip invalid lines and count them, instead of stopping at the first
    #[arg(long)]
    pub skip_invalid: bool,
    /// References in a separate file, with an utterance id and its words on each line; they replace those of the
    /// lists
    #[arg(long, value_name = "FILE")]
    pub references: Option<PathBuf>,
    /// NeMo's manifest, for a file of its beams
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The scores of JSON lines, also those by part, are costs: lower is better. Short for --score-kind cost
    #[arg(long, conflicts_with = "score_kind")]
    pub costs: bool,
    /// What the scores of JSON lines are
    #[arg(long, value_name = "KIND", default_value_t = ScoreKind::LogProb, value_parser = choices::<ScoreKind>(ScoreKind::ALL.map(|kind| (kind.name(), kind.help()))))]
    pub score_kind: ScoreKind,
    /// Key of the hypotheses of JSON lines that holds the score, or the name of a part [default: score]
    #[arg(long, value_name = "KEY", value_parser = score_key)]
    pub score_key: Option<String>,
    /// Factor of Kaldi's acoustic scores in the first-pass score [default: 0.1]
    #[arg(long, value_name = "FACTOR", value_parser = finite)]
    pub acoustic_scale: Option<f64>,
}

/// The value of `--format` that detects it.
const AUTO: &str = "auto";

/// The values of `--format`, each with its help.
fn formats() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = FORMATS.iter().map(|format| (format.name(), format.doc()));
    std::iter::once((
        AUTO,
        "detect the format from the content of the file or the layout of the folder",
    ))
    .chain(named)
}

/// The values of `--to`, each with its help.
pub fn targets() -> impl Iterator<Item = (&'static str, &'static str)> {
    Target::all().map(|target| (target.name(), target.doc()))
}

impl ReadArgs {
    /// What the scores are.
    pub fn scores(&self) -> ScoreReading {
        let kind = if self.costs { ScoreKind::Cost } else { self.score_kind };
        ScoreReading { key: self.score_key.clone(), kind }
    }

    /// The same settings for the reader.
    pub fn reading(&self) -> Result<Reading, CliError> {
        let references = self.references.as_deref().map(read_references).transpose()?;
        Ok(Reading {
            format: format_by_name(&self.format),
            skip_invalid: self.skip_invalid,
            references,
            scores: self.scores(),
            acoustic_scale: self.acoustic_scale,
            manifest: self.manifest.clone(),
            one_by_one: false,
        })
    }
}

/// Device and verbosity.
#[derive(Args, Debug, Clone)]
pub struct RunArgs {
    /// auto: a GPU if available, else the CPU; software: a software adapter, for tests
    #[arg(long, default_value_t = DeviceChoice::Auto, value_parser = words::<DeviceChoice>(&["auto", "gpu", "cpu", "software"]))]
    pub device: DeviceChoice,
    /// Tiles of matrix products on a GPU: those of LoRB's table, or the fastest ones, measured at
    /// first use and stored in the cache directory
    #[arg(long, default_value_t = TilesArg::Table, value_parser = words::<TilesArg>(&["table", "measured"]))]
    pub tiles: TilesArg,
    /// Show only errors and warnings
    #[arg(long, short)]
    pub quiet: bool,
}

impl RunArgs {
    /// Opens the device and prints its name.
    pub fn open_device(&self) -> Result<Selected, CliError> {
        let choice = threads::start()?.allow(self.device)?;
        let selected = select(choice)
            .map_err(|error| CliError::at(format_args!("--device {choice}"), &error))?;
        if !self.quiet {
            say!("device: {}{}", selected.name, why(&selected));
        } else if let Some(Fallback::Refused(_)) = selected.fallback {
            say!("warning: computing on the CPU{}", why(&selected));
        }
        if selected.kind == SelectedKind::Software && !self.quiet {
            say!("note: a software adapter is slower than --device cpu");
        }
        if self.tiles == TilesArg::Measured && selected.kind == SelectedKind::Gpu {
            tiles::measure(&selected.device);
        }
        Ok(selected)
    }

    /// Opens the device, and checks that it computes in a precision.
    pub fn open_device_for(&self, precision: Precision) -> Result<Selected, CliError> {
        let selected = self.open_device()?;
        check_precision(&selected, precision)
            .map_err(|error| CliError::flag("--precision", &error))?;
        Ok(selected)
    }
}

/// Why `auto` selected the CPU: a colon and the reason, or nothing.
pub fn why(selected: &Selected) -> String {
    match &selected.fallback {
        None => String::new(),
        Some(Fallback::Refused(error)) => format!(": {}", chain(&**error)),
        Some(fallback @ Fallback::NoGpu) => format!(": {fallback}"),
    }
}

/// Size of a scoring batch.
#[derive(Args, Debug, Clone)]
pub struct ScoringArgs {
    /// Maximum number of tokens per batch
    #[arg(long, value_name = "N", default_value_t = lorb::model::SCORING_BATCH_TOKENS, value_parser = at_least_one)]
    pub batch_tokens: usize,
}

/// Heading of the flags of text conventions.
const TEXTS: &str = "Text conventions";

/// How texts are compared.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct TextArgs {
    /// Normalisation of references and hypotheses before they are compared and scored [default: the adapter's, else none]
    #[arg(long, help_heading = TEXTS, value_name = "NAME", value_parser = choices::<Normalize>(Normalize::ALL.map(|kind| (kind.name(), kind.help()))))]
    pub normalize: Option<Normalize>,
    /// Unit of errors [default: the adapter's, else word]
    #[arg(long, help_heading = TEXTS, value_name = "NAME", value_parser = choices::<Unit>(Unit::ALL.map(|unit| (unit.name(), unit.help()))))]
    pub unit: Option<Unit>,
    /// Sum the first-pass probabilities of hypotheses that are equal after normalisation [default: the adapter's, else
    /// false]
    #[arg(long, help_heading = TEXTS, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub join: Option<bool>,
}

impl TextArgs {
    /// The conventions that the flags set.
    pub fn changes(self) -> Changes {
        let Self { normalize, unit, join } = self;
        Changes { normalize, unit, join }
    }
}

/// Weights of the score combination that override the adapter's own.
#[derive(Args, Debug, Clone)]
pub struct WeightArgs {
    /// LM weight, the weight of the adapter's score; overrides the tuned one
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub beta: Option<f64>,
    /// Word insertion reward: overrides the tuned one
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub gamma: Option<f64>,
    /// Weight of a part of the first-pass score, such as am=0.5: overrides the tuned one; may be repeated
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = named_number)]
    pub part: Vec<(String, f64)>,
}

impl WeightArgs {
    /// The weights, in place of stored ones. `None` without beta.
    pub fn over(&self, stored: Option<&Weights>) -> Option<Weights> {
        let beta = self.beta.or(stored.map(|weights| weights.beta))?;
        let gamma = self.gamma.or(stored.map(|weights| weights.gamma)).unwrap_or(0.0);
        let mut parts = stored.map(|weights| weights.parts.clone()).unwrap_or_default();
        parts.extend(self.part.iter().cloned());
        Some(Weights { beta, gamma, parts })
    }

    /// Whether any flag was used.
    pub fn given(&self) -> bool {
        self.beta.is_some() || self.gamma.is_some() || !self.part.is_empty()
    }
}

/// A parser for the words of a type; clap lists them in the help.
pub fn words<T>(names: &[&'static str]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    PossibleValuesParser::new(names.iter().copied()).try_map(|word| word.parse::<T>())
}

/// The same for names that each have a line of help.
pub fn choices<T>(
    choices: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let values = choices.into_iter().map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|word| word.parse::<T>())
}

/// A positive integer.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a positive integer".into()),
        Ok(number) => Ok(number),
    }
}

/// A key that can hold a score.
fn score_key(key: &str) -> Result<String, String> {
    match key {
        "" | "text" | "scores" => Err("expected a key that holds a number".into()),
        key => Ok(key.to_owned()),
    }
}

/// A name and a finite number, `am=0.5`.
fn named_number(text: &str) -> Result<(String, f64), String> {
    let (name, number) = text.rsplit_once('=').ok_or("expected NAME=WEIGHT, such as am=0.5")?;
    if name.is_empty() {
        return Err("expected a name before the =, such as am=0.5".into());
    }
    Ok((name.to_owned(), finite(number)?))
}

/// A finite number.
pub fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected a number".into())
}
