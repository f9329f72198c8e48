//! `lorb tune`: tunes the weights of the score combination on dev lists.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use lorb::score::{Search, TextCheck, TunePoint, Tuned};
use lorb::text::{Conventions, Unit};

use super::args::{BaseArgs, ReadArgs, RunArgs, ScoringArgs, TextArgs};
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::input::Utterances;
use super::output::{self, Directory, Files};
use super::progress::Meter;
use super::terminal::say;
use super::{adapter_dir, interrupt};

#[derive(Args)]
pub struct TuneArgs {
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter directory; the tuned weights are stored in it
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Lists with references to tune on
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    dev: Vec<PathBuf>,
    /// Also tune a word insertion reward
    #[arg(long)]
    gamma: bool,
    /// Also tune a weight for each part of the first-pass scores (am, lm, ctc, ...) beside the score itself. On
    /// without this flag for an adapter that stores such weights
    #[arg(long)]
    parts: bool,
    #[command(flatten)]
    reading: ReadArgs,
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &TuneArgs) -> Result<(), CliError> {
    interrupt::listen();
    let names = &adapter_dir::FILES;
    Files::default()
        .reads("--dev", &args.dev)
        .reads_with(&args.reading)
        .writes_in("--adapter", &args.adapter, names)
        .check()?;
    adapter_dir::expect(&args.adapter, "--adapter")?;
    let place = Directory::open("--adapter", &args.adapter)?;
    let mut input = Utterances::open(&args.dev, &args.reading.reading()?)?;
    let mut engine = Engine::open(&args.base, &args.adapter, &args.run, &args.scoring, args.texts)?;
    let conventions = engine.conventions()?;
    let mut check = TextCheck::new(conventions);
    let mut meter = Meter::new(args.run.quiet, input.total_bytes());
    let (mut lists, mut without, mut done) = (Vec::new(), 0_u64, 0_u64);
    loop {
        let mut chunk = next_chunk(&mut input)?;
        if chunk.is_empty() {
            break;
        }
        done += chunk.len() as u64;
        let all = chunk.len();
        chunk.retain(|utterance| utterance.reference.is_some());
        without += (all - chunk.len()) as u64;
        let scored = engine.scored_lists(&chunk)?;
        chunk.iter().zip(&scored).for_each(|(utterance, list)| check.add_scored(utterance, list));
        lists.extend(scored);
        let rate = done as f64 / meter.seconds();
        meter.update(input.bytes_read(), || format!("{done} utterances, {rate:.0}/s"));
    }
    meter.finish();
    input.unused_references();
    if lists.is_empty() {
        let read =
            if without == 0 { "contain no list" } else { "contain no list with a reference" };
        return Err(CliError::Failed(format!(
            "--dev: the files {read}, so there is nothing to tune on"
        )));
    }
    let stored = engine.part_weights()?;
    let search = Search { gamma: args.gamma, parts: args.parts };
    let tuned = search.run(&lists, &stored);
    if tuned.reference_words == 0 {
        let message = "--dev: all references are empty, so there is no WER to reduce";
        return Err(CliError::Failed(message.into()));
    }
    warn(&input, &engine, without, &tuned, conventions.unit);
    check.findings().iter().for_each(|found| say!("warning: --dev: {found}"));
    input.print_score_warnings("", &input.score_warnings(None));
    let parts = input.parts().join(", ");
    if args.parts && parts.is_empty() {
        say!("warning: --parts: the scores of these lists have no parts");
    } else if !args.parts && stored.is_empty() && !parts.is_empty() && !args.run.quiet {
        say!("note: the scores have parts ({parts}); --parts tunes a weight for each");
    }
    interrupt::check()?;
    engine.store_weights(&place, tuned.weights.clone())?;
    output::print(&(table(&tuned, args.gamma, conventions) + &steps(&tuned)))
}

fn warn(input: &Utterances, engine: &Engine, without: u64, tuned: &Tuned, unit: Unit) {
    for note in input.warnings().chain(engine.truncated_note()) {
        say!("warning: {note}");
    }
    if without > 0 {
        say!("warning: skipped {without} lists without a reference");
    }
    if tuned.errors >= tuned.errors_first {
        say!(
            "warning: no LM weight reduces the {} of the first pass; the stored weights keep the first-pass order",
            unit.rate()
        );
    }
    if tuned.at_edge {
        say!("warning: the best weights are at the edge of the search range; use more dev lists");
    }
}

/// One row per beta at the best gamma; with gamma, first one row per gamma at its best beta.
fn table(tuned: &Tuned, with_gamma: bool, conventions: Conventions) -> String {
    let rate = |errors: u64| 100.0 * errors as f64 / tuned.reference_words as f64;
    let mut text = String::new();
    let mut row = |point: &TunePoint, chosen: bool| {
        let (beta, gamma) = (point.weights.beta, point.weights.gamma);
        let mark = if chosen { "  <- stored" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{beta:>10.5} {gamma:>9.4} {:>8} {:>8.2}{mark}",
            point.errors,
            rate(point.errors)
        );
    };
    if with_gamma {
        let mut best: BTreeMap<u64, TunePoint> = BTreeMap::new();
        for point in at_parts(tuned) {
            let kept = best.entry(order(point.weights.gamma)).or_insert_with(|| point.clone());
            if point.errors < kept.errors {
                *kept = point.clone();
            }
        }
        best.values().for_each(|point| row(point, false));
    }
    let mut betas: BTreeMap<u64, TunePoint> = BTreeMap::new();
    let at_gamma = at_parts(tuned).filter(|p| p.weights.gamma == tuned.weights.gamma);
    betas.extend(at_gamma.map(|point| (order(point.weights.beta), point.clone())));
    betas.values().for_each(|point| row(point, point.weights == tuned.weights));
    let (name, units) = (conventions.unit.rate(), conventions.unit.plural());
    format!(
        "{:>10} {:>9} {:>8} {:>8}\n{text}first pass {name} {:.2}, with these weights {:.2} ({} and {} errors in {} {units})\n\
         texts compared with {conventions}\n",
        "beta",
        "gamma",
        "errors",
        name,
        rate(tuned.errors_first),
        rate(tuned.errors),
        tuned.errors_first,
        tuned.errors,
        tuned.reference_words
    )
}

/// The points of the search at the tuned weights of parts.
fn at_parts(tuned: &Tuned) -> impl Iterator<Item = &TunePoint> {
    tuned.table.iter().filter(|point| point.weights.parts == tuned.weights.parts)
}

/// One row for each step of the search for weights of parts.
fn steps(tuned: &Tuned) -> String {
    let mut text = String::new();
    for point in &tuned.steps {
        let weights: Vec<String> =
            point.weights.named().map(|(name, value)| format!("{name} {value:.5}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} errors with {}", point.errors, weights.join(", "));
    }
    text
}

/// A key with the sort order of the number.
fn order(number: f64) -> u64 {
    let bits = number.to_bits();
    if number.is_sign_negative() { !bits } else { bits | (1 << 63) }
}
