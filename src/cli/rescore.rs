//! `lorb rescore`: reads lists and writes them re-ranked.

use std::path::{Path, PathBuf};

use clap::Args;
use lorb::nbest::Target;

use super::args::{
    BaseArgs, ReadArgs, RunArgs, ScoringArgs, TextArgs, WeightArgs, choices, targets,
};
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::input::Utterances;
use super::list_output::ListOutput;
use super::output::Files;
use super::progress::Meter;
use super::terminal::say;
use super::{adapter_dir, interrupt, source};

#[derive(Args)]
pub struct RescoreArgs {
    /// N-best lists, in any format that LoRB reads, plain or gzip; use - for standard input
    #[arg(value_name = "INPUT", default_value = "-")]
    input: Vec<PathBuf>,
    /// Output file, or a new folder for a format of several files, created only when it is complete; use - for
    /// standard output
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,
    /// Format of the output [default: the format of the first INPUT; JSON lines for a folder and standard output]
    #[arg(long, value_name = "FORMAT", value_parser = choices::<String>(targets()))]
    to: Option<String>,
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter directory
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    reading: ReadArgs,
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &RescoreArgs) -> Result<(), CliError> {
    interrupt::listen();
    Files::default()
        .reads("INPUT", &args.input)
        .reads("--references", &args.reading.references)
        .reads_in("--adapter", &args.adapter, &adapter_dir::FILES)
        .reads_in("--model", Path::new(&args.base.model), &source::FILES)
        .writes("--output", &args.output)
        .check()?;
    let mut input = Utterances::open(&args.input, &args.reading.reading())?;
    let to = args.to.as_deref().and_then(Target::by_name);
    let mut output = ListOutput::open(&args.output, to, input.begins_with_folder())?;
    let scores = args.reading.scores();
    let mut engine = Engine::open(&args.base, &args.adapter, &args.run, &args.scoring, args.texts)?;
    let weights = engine.weights(&args.weights, &args.adapter)?;
    let mut meter = Meter::new(args.run.quiet, input.total_bytes());
    let (mut done, mut hypotheses, mut changed) = (0_u64, 0_u64, 0_u64);
    loop {
        let chunk = next_chunk(&mut input)?;
        if chunk.is_empty() {
            break;
        }
        let ranked = engine.rescore(&chunk, &weights)?;
        done += chunk.len() as u64;
        for (utterance, ranked) in chunk.into_iter().zip(&ranked) {
            changed += u64::from(utterance.hypotheses[0].text != ranked.hypotheses[0].text);
            let mut utterance = ranked.apply(utterance);
            if to.is_none_or(|to| input.first_format().is_some_and(|from| from.name() == to.name()))
            {
                utterance = scores.as_given(utterance);
            }
            output.write(&utterance, input.first_format())?;
            hypotheses += utterance.hypotheses.len() as u64;
        }
        let rate = done as f64 / meter.seconds();
        meter.update(input.bytes_read(), || format!("{done} utterances, {rate:.0}/s"));
    }
    interrupt::check()?;
    let notes = output.finish(input.first_format())?;
    let seconds = meter.seconds();
    meter.finish();
    for note in [input.skipped_note(), engine.truncated_note()].into_iter().flatten() {
        say!("warning: {note}");
    }
    for note in notes {
        say!("note: {note}");
    }
    if !args.run.quiet {
        let rate = hypotheses as f64 / seconds;
        say!(
            "{done} utterances rescored ({hypotheses} hypotheses, {rate:.0}/s); {changed} have a new first hypothesis"
        );
    }
    Ok(())
}
