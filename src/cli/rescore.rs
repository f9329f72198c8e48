//! `lorb rescore`: lists in, re-ordered lists out.

use std::path::PathBuf;

use clap::Args;
use lorb::nbest::{Utterance, write_jsonl};
use lorb::score::{Weights, combine};

use super::args::{BaseArgs, ReadArgs, RunArgs, ScoringArgs, WeightArgs};
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::input::Utterances;
use super::interrupt;
use super::output::Sink;
use super::progress::Meter;

#[derive(Args)]
pub struct RescoreArgs {
    /// N-best lists: JSON lines, plain or gzip, or an ESPnet directory; - is standard input
    #[arg(value_name = "INPUT", default_value = "-")]
    input: Vec<PathBuf>,
    /// Where the lists go; - is standard output. A file appears when it is whole
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
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
    scoring: ScoringArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &RescoreArgs) -> Result<(), CliError> {
    interrupt::listen();
    let mut input = Utterances::open(&args.input, &args.reading.reading())?;
    let mut sink = Sink::open(Some(&args.output))?;
    let mut engine = Engine::open(&args.base, &args.adapter, &args.run, &args.scoring)?;
    let weights = engine.weights(&args.weights, &args.adapter)?;
    let mut meter = Meter::new(args.run.quiet, input.total_bytes());
    let (mut done, mut hypotheses, mut changed) = (0_u64, 0_u64, 0_u64);
    loop {
        let mut chunk = next_chunk(&mut input)?;
        if chunk.is_empty() {
            break;
        }
        let scores = engine.score(&chunk)?;
        for (utterance, lm) in chunk.iter_mut().zip(&scores) {
            changed += u64::from(reorder(utterance, lm, weights));
            sink.write_with(|out| write_jsonl(&mut { out }, utterance))?;
            hypotheses += utterance.hypotheses.len() as u64;
        }
        done += chunk.len() as u64;
        let rate = done as f64 / meter.seconds();
        meter.update(input.bytes_read(), || format!("{done} utterances, {rate:.0}/s"));
    }
    sink.finish()?;
    let seconds = meter.seconds();
    meter.finish();
    for note in [input.skipped_note(), engine.truncated_note()].into_iter().flatten() {
        eprintln!("warning: {note}");
    }
    if !args.run.quiet {
        let rate = hypotheses as f64 / seconds;
        eprintln!(
            "{done} utterances rescored ({hypotheses} hypotheses, {rate:.0}/s); {changed} have another first hypothesis"
        );
    }
    Ok(())
}

/// Key under which an `lm` of the first pass stands once the model's own takes that name.
const FIRST_LM: &str = "first_lm";

/// Adds `lm` and `total` to every hypothesis and puts the best total first; equal ones keep their
/// order. Tells whether the first text changed.
fn reorder(utterance: &mut Utterance, lm: &[f64], weights: Weights) -> bool {
    let totals = combine(utterance, lm, weights);
    for ((hypothesis, &lm), &total) in utterance.hypotheses.iter_mut().zip(lm).zip(&totals) {
        // An `lm` without a `total` is the recogniser's, not that of an earlier rescoring.
        if let (Some(first_lm), None) = (hypothesis.lm, hypothesis.total) {
            hypothesis.extra.entry(FIRST_LM).or_insert_with(|| first_lm.into());
        }
        hypothesis.lm = Some(lm);
        hypothesis.total = Some(total);
    }
    let before = utterance.hypotheses[0].text.clone();
    let total = |h: &lorb::nbest::Hypothesis| h.total.unwrap_or(f64::NEG_INFINITY);
    utterance.hypotheses.sort_by(|a, b| total(b).total_cmp(&total(a)));
    before != utterance.hypotheses[0].text
}
