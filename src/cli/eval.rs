//! `lorb eval`: WER with and without rescoring, and its significance.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lorb::nbest::Utterance;
use lorb::score::{Changes, Evaluation, RESAMPLES, Report, ScoreWarning, Weights};
use lorb::text::Conventions;
use serde::Serialize;

use super::args::{BaseArgs, PrecisionArgs, ReadArgs, RunArgs, ScoringArgs, TextArgs, WeightArgs};
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::eval_html::{Page, html};
use super::input::Utterances;
use super::output::{Files, Replacement};
use super::progress::Meter;
use super::terminal::say;
use super::{adapter_dir, interrupt, output, source};

#[derive(Args)]
pub struct EvalArgs {
    /// N-best lists with references; use - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Base of the adapter, as in the other commands
    #[arg(long, value_name = "DIR|ID", requires = "adapter")]
    model: Option<OsString>,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME", requires = "model")]
    revision: Option<String>,
    /// Adapter directory; without it, only the first pass and the oracle are reported
    #[arg(long, value_name = "DIR", requires = "model")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Also write a report for browsers: changed utterances, words gained and lost, errors by length and rank. The
    /// file needs nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What a reference without a list counts as
    #[arg(long, value_enum, default_value_t = Missing::Skip)]
    missing: Missing,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    reading: ReadArgs,
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// What a reference without a list counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Missing {
    /// Nothing: it is reported, but not part of the WER
    Skip,
    /// The recogniser returned nothing: all its words are deletions
    Deletions,
}

/// The output of `--json`: the inputs, then the report.
#[derive(Serialize)]
struct Output<'a> {
    files: Vec<String>,
    model: Option<String>,
    adapter: Option<String>,
    weights: Option<Weights>,
    invalid_lines: u64,
    unused_references: u64,
    duplicate_ids: u64,
    truncated_hypotheses: u64,
    score_warnings: &'a [ScoreWarning],
    #[serde(flatten)]
    report: &'a Report,
}

pub fn run(args: &EvalArgs) -> Result<(), CliError> {
    interrupt::listen();
    let mut page = args.html.as_deref().map(|path| open_page(args, path)).transpose()?;
    let mut input = Utterances::open(&args.files, &args.reading.reading()?)?;
    let mut rescoring = match (&args.model, &args.adapter) {
        (Some(model), Some(adapter)) => {
            let base = BaseArgs {
                model: model.clone(),
                revision: args.revision.clone(),
                precision: args.precision,
            };
            let engine = Engine::open(&base, adapter, &args.run, &args.scoring, args.texts)?;
            let weights = engine.weights(&args.weights, adapter)?;
            Some((engine, weights))
        }
        _ if args.weights.given() => {
            return Err(CliError::Usage(
                "--beta, --gamma and --part need --model and --adapter".into(),
            ));
        }
        _ => None,
    };
    let conventions = match &rescoring {
        Some((engine, _)) => engine.conventions()?,
        None => args.texts.changes().over(Conventions::default()),
    };
    let mut evaluation = Evaluation::with(conventions);
    let mut changes = Changes::new(conventions);
    let mut meter = Meter::new(args.run.quiet, input.total_bytes());
    let mut done = 0_u64;
    loop {
        let chunk = next_chunk(&mut input)?;
        if chunk.is_empty() {
            break;
        }
        let choices = choose(&chunk, rescoring.as_mut())?;
        for (utterance, choice) in chunk.iter().zip(choices) {
            evaluation.add(utterance, choice);
            if let Some(choice) = choice.filter(|_| page.is_some()) {
                changes.add(utterance, choice);
            }
        }
        done += chunk.len() as u64;
        let rate = done as f64 / meter.seconds();
        meter.update(input.bytes_read(), || format!("{done} utterances, {rate:.0}/s"));
    }
    meter.finish();
    let unused = input.unused_references();
    if args.missing == Missing::Deletions {
        unused.iter().for_each(|reference| evaluation.add_missing(&reference.text));
    } else if !unused.is_empty() {
        say!(
            "warning: the result leaves out {} references without a list; --missing deletions counts them",
            unused.len()
        );
    }
    let report = evaluation.report(RESAMPLES, args.seed);
    if report.utterances == 0 {
        let what = if done == 0 { "no list" } else { "no list with a reference" };
        return Err(CliError::Failed(format!("{}: {what}, so there is no WER", names(args))));
    }
    let truncated = rescoring.as_ref().and_then(|(engine, _)| engine.truncated_note());
    let findings = report.warnings.iter().map(ToString::to_string);
    let mut warnings: Vec<String> = input.warnings().chain(truncated).chain(findings).collect();
    warnings.iter().for_each(|warning| say!("warning: {warning}"));
    let score_warnings = input.score_warnings(rescoring.as_ref().map(|(_, weights)| weights));
    input.print_score_warnings("", &score_warnings);
    warnings.extend(score_warnings.iter().map(ToString::to_string));
    let files: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let model = args.model.as_ref().map(|model| model.display().to_string());
    let adapter = args.adapter.as_ref().map(|path| path.display().to_string());
    if let Some(mut file) = page.take() {
        let page = Page {
            files: &files,
            model: model.as_deref(),
            adapter: adapter.as_deref(),
            report: &report,
            warnings: &warnings,
        };
        let text = html(&page, &mut changes);
        file.write_with(|out| out.write_all(text.as_bytes()))?;
        file.finish()?;
    }
    if !args.json {
        return output::print(&report.to_string());
    }
    let output = Output {
        files,
        model,
        adapter,
        weights: rescoring.as_ref().map(|(_, weights)| weights.clone()),
        invalid_lines: input.skipped,
        unused_references: unused.len() as u64,
        duplicate_ids: input.repeated.count,
        truncated_hypotheses: rescoring.as_ref().map_or(0, |(engine, _)| engine.truncated),
        score_warnings: &score_warnings,
        report: &report,
    };
    let json = serde_json::to_string_pretty(&output).map_err(|e| CliError::at("--json", &e))?;
    output::print_exact(&(json + "\n"))
}

/// The file of `--html`, checked before any work.
fn open_page(args: &EvalArgs, path: &Path) -> Result<Replacement, CliError> {
    let mut files = Files::default()
        .reads("FILE", &args.files)
        .reads_with(&args.reading)
        .writes("--html", path);
    if let Some(adapter) = &args.adapter {
        files = files.reads_in("--adapter", adapter, &adapter_dir::FILES);
    }
    if let Some(model) = &args.model {
        files = files.reads_in("--model", Path::new(model), &source::FILES);
    }
    files.check()?;
    Replacement::open(path)
}

/// The selected hypothesis of each list, `None` without rescoring.
fn choose(
    chunk: &[Utterance],
    rescoring: Option<&mut (Engine, Weights)>,
) -> Result<Vec<Option<usize>>, CliError> {
    let Some((engine, weights)) = rescoring else {
        return Ok(vec![None; chunk.len()]);
    };
    Ok(engine.rescore(chunk, weights)?.iter().map(|list| Some(list.choice())).collect())
}

fn names(args: &EvalArgs) -> String {
    let names: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
