//! `lorb convert`: writes lists in another format.

use std::path::PathBuf;

use clap::Args;
use lorb::nbest::{Target, Utterance};
use lorb::score::{best, first_pass};

use super::args::{ReadArgs, choices, targets};
use super::error::CliError;
use super::input::{Reading, Utterances};
use super::list_output::ListOutput;
use super::output::Files;
use super::terminal::say;
use super::{interrupt, progress::Meter};

#[derive(Args)]
pub struct ConvertArgs {
    /// N-best lists, in any format that LoRB reads; use - for standard input
    #[arg(value_name = "INPUT", required = true)]
    input: Vec<PathBuf>,
    /// Output file, or a new folder for a format of several files; use - for standard output
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,
    /// Format of the output
    #[arg(long, value_name = "FORMAT", value_parser = choices::<String>(targets()))]
    to: String,
    #[command(flatten)]
    reading: ReadArgs,
    /// Show only errors and warnings
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: &ConvertArgs) -> Result<(), CliError> {
    interrupt::listen();
    Files::default()
        .reads("INPUT", &args.input)
        .reads_with(&args.reading)
        .writes("--output", &args.output)
        .check()?;
    let reading = Reading { one_by_one: true, ..args.reading.reading()? };
    let mut input = Utterances::open(&args.input, &reading)?;
    let target = Target::by_name(&args.to);
    let mut output = ListOutput::open(&args.output, target, input.begins_with_folder())?;
    let mut meter = Meter::new(args.quiet, input.total_bytes());
    let mut done = 0_u64;
    while let Some(mut utterance) = input.next()? {
        interrupt::check()?;
        if let Some(Target::Transcript(_)) = target {
            best_first(&mut utterance);
        }
        output.write(&utterance, input.first_format())?;
        done += 1;
        if done.is_multiple_of(1 << 10) {
            meter.update(input.bytes_read(), || format!("{done} lists"));
        }
    }
    interrupt::check()?;
    let notes = output.finish(input.first_format())?;
    meter.finish();
    input.unused_references();
    input.warnings().for_each(|warning| say!("warning: {warning}"));
    input.print_score_warnings("", &input.score_warnings(None));
    for note in notes {
        say!("note: {note}");
    }
    if !args.quiet {
        say!("{done} {} written as {}", if done == 1 { "list" } else { "lists" }, args.to);
    }
    Ok(())
}

/// Moves the best hypothesis to the front: by the totals of an earlier rescoring, else by the first pass, as `eval` does.
fn best_first(utterance: &mut Utterance) {
    let totals: Option<Vec<f64>> = utterance.hypotheses.iter().map(|h| h.total).collect();
    let place = best(&totals.unwrap_or_else(|| first_pass(utterance)));
    utterance.hypotheses.swap(0, place);
}
