//! The command line: owns files, the network and the terminal.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 failure,
//! 2 usage error. An error is one line that begins with `error:`.

mod adapter_dir;
mod args;
mod bench;
mod bench_sweep;
mod bench_table;
mod command_line;
mod completions;
mod convert;
mod demo;
mod demo_base;
mod difference;
mod distill;
mod doctor;
mod engine;
mod error;
mod eval;
mod eval_html;
mod examples;
mod export;
mod export_check;
mod files;
mod hub;
mod input;
mod inspect;
mod inspect_lists;
mod interrupt;
mod list_output;
mod man;
mod merge_adapters;
mod output;
mod patient;
mod process;
mod progress;
mod repeated;
mod rescore;
mod rescore_state;
mod run_place;
mod score_warnings;
mod source;
mod study;
mod terminal;
mod threads;
mod tiles;
mod train;
mod train_args;
mod train_run;
mod training_args;
mod tune;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use error::CliError;

/// Adapts a frozen BERT or DistilBERT to a speech domain and re-ranks N-best lists with it.
#[derive(Parser)]
#[command(name = "lorb", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an adapter on N-best lists with references
    Train(Box<train_args::TrainArgs>),
    /// Tune the weights of the score combination on dev lists, and store them
    Tune(tune::TuneArgs),
    /// Re-rank N-best lists, and add `lm` and `total` to every hypothesis
    Rescore(rescore::RescoreArgs),
    /// Write N-best lists in another format, or their best hypotheses for scoring tools
    Convert(convert::ConvertArgs),
    /// Report WER of the first pass, the rescored result and the oracle
    Eval(eval::EvalArgs),
    /// Describe a base, an adapter or an N-best file
    Inspect(inspect::InspectArgs),
    /// Make a smaller base that imitates a larger one
    Distill(Box<distill::DistillArgs>),
    /// Write a base in lower precision, or with an adapter merged in
    Export(Box<export::ExportArgs>),
    /// Combine LoRA adapters of one base into one
    MergeAdapters(merge_adapters::MergeArgs),
    /// List the devices of this machine, and check that their results are correct
    Doctor(doctor::DoctorArgs),
    /// Benchmark training and rescoring, and compare with the machine's peak
    Bench(bench::BenchArgs),
    /// Compare methods over domains, sizes and settings, and write a report
    Study(study::StudyArgs),
    /// Run one cell of a study; started by `lorb study`
    #[command(hide = true)]
    StudyCell(study::CellArgs),
    /// Train on sample data and show the improvement
    Demo(demo::DemoArgs),
    /// Print a script that completes command lines in a shell
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write all of them
    Man(man::ManArgs),
}

/// Parses the command line and runs the command.
pub fn run() -> ExitCode {
    quieten_graphics();
    process::ignore_file_size_signal();
    lorb::ops::wgsl::set_clock(clock);
    let done = parse().and_then(dispatch);
    tiles::store();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// Seconds since the first call.
fn clock() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// The commands and their flags, with examples in the help.
fn command() -> clap::Command {
    examples::add(Cli::command())
}

/// The command line. Help, version and usage errors end here.
fn parse() -> Result<Option<Command>, CliError> {
    let parsed = command().try_get_matches();
    let error = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => return Ok(Some(cli.command)),
        Err(error) => error,
    };
    if !error.use_stderr() {
        process::check_output()?;
        return error.print().map(|()| None).map_err(|error| CliError::stdout(&error));
    }
    Err(CliError::Parsing(Box::new(error)))
}

fn dispatch(command: Option<Command>) -> Result<(), CliError> {
    let Some(command) = command else { return Ok(()) };
    match command {
        Command::Train(args) => train::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Rescore(args) => rescore::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Distill(args) => distill::run(&args),
        Command::Export(args) => export::run(&args),
        Command::MergeAdapters(args) => merge_adapters::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Study(args) => study::run(&args),
        Command::StudyCell(args) => study::run_cell(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Stops Mesa's device-selection layer from looking for a desktop session if there is none, because it
/// would print errors. LoRB selects a device by its kind, so the layer has no effect.
fn quieten_graphics() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: called first, while the process has only one thread.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn report(error: &CliError) -> ExitCode {
    interrupt::answered();
    match error {
        CliError::Parsing(usage) => print_usage(usage),
        CliError::Resumable { message, command } => {
            terminal::line_with_command(&format!("error: {}", error::one_line(message)), command);
        }
        _ => {
            if let Some(message) = error.message() {
                terminal::line(&format!("error: {message}"));
            }
        }
    }
    ExitCode::from(error.code())
}

/// Prints clap's error: in colour, unless the command line has characters that a terminal would act on.
fn print_usage(error: &clap::Error) {
    let safe = |word: std::ffi::OsString| {
        let word = word.to_string_lossy();
        lorb::printable::printable(&word) == word
    };
    if std::env::args_os().all(safe) {
        // The exit code says it too.
        let _ = error.print();
    } else {
        terminal::lines(&error.render().to_string());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
