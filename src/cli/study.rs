//! `lorb study`: compares methods in a series of runs, and writes a report.

mod cell;
mod inputs;
mod job;
mod memory;
mod queue;
mod settings;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use lorb::study::{Outcome, Plan, Record, StudyConfig, plan, report};

use super::args::RunArgs;
use super::error::CliError;
use super::interrupt;
use super::output::{self, Directory, Files};
use super::terminal::say;
use inputs::Study;
use store::Store;

pub use cell::{CellArgs, run as run_cell};

/// The report.
const HTML: &str = "report.html";
const MARKDOWN: &str = "report.md";

/// The files of a study's directory.
const OUTPUTS: [&str; 4] = [store::RESULTS, store::IDENTITY, HTML, MARKDOWN];

#[derive(Args)]
pub struct StudyArgs {
    /// Configuration file; paths in it are relative to the file
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Directory for results and report; an existing study is resumed
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// List the cells and their state without running them
    #[arg(long)]
    dry_run: bool,
    /// Write the report from existing results without running cells
    #[arg(long, conflicts_with = "dry_run")]
    report_only: bool,
    /// Run failed cells again
    #[arg(long)]
    retry_failed: bool,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &StudyArgs) -> Result<(), CliError> {
    let config = inputs::config(&args.config)?;
    if args.report_only {
        let (inputs, train_utterances) = store::inputs_of(&args.output, &config)?;
        let plan = plan(&config, &inputs, train_utterances).map_err(|e| args.wrong(&e))?;
        let _place = Directory::open("--output", &args.output)?;
        let store = Store::open(&args.output)?;
        return write_report(args, &config, &plan, &store.records);
    }
    interrupt::listen_with("stopping the current cell; press Ctrl-C again to end immediately");
    args.outputs(&config)?;
    // A list of cells is available while another process runs them.
    let _place = match args.dry_run {
        true => None,
        false => Some(Directory::open("--output", &args.output)?),
    };
    let study = Study::read(config, &args.config, args.run.quiet)?;
    let plan = study.plan().map_err(|e| args.wrong(&e))?;
    if args.dry_run {
        let records = store::records_of(&args.output)?;
        return output::print(&listing(&plan, &records));
    }
    let mut store = Store::open(&args.output)?;
    store.identify(&study)?;
    let again = if args.retry_failed { store::Again::Failed } else { store::Again::No };
    queue::run(args, &study, &plan, &mut store, again)?;
    write_report(args, &study.config, &plan, &store.records)?;
    let failed = count(&plan, &store.records, |outcome| matches!(outcome, Outcome::Failed { .. }));
    if failed > 0 {
        let all = plan.cells.len();
        return Err(CliError::Failed(format!(
            "{failed} of {all} cells failed; the report has the others; use --retry-failed to run them again"
        )));
    }
    Ok(())
}

impl StudyArgs {
    /// Refuses a directory whose files are inputs of the study.
    fn outputs(&self, config: &StudyConfig) -> Result<(), CliError> {
        let folder = self.config.parent().unwrap_or(Path::new(""));
        let target = &config.target;
        let others =
            config.non_target.iter().flat_map(|domain| domain.dev.iter().chain(&domain.test));
        let lists = [&target.train, &target.dev, &target.test].into_iter().flatten().chain(others);
        let lists: Vec<PathBuf> = lists.map(|path| folder.join(path)).collect();
        let dictionary = config.robustness.iter().map(|robustness| &robustness.dictionary);
        let dictionary: Vec<PathBuf> = dictionary.map(|path| folder.join(path)).collect();
        Files::default()
            .reads("CONFIG", [&self.config])
            .reads("the configuration's lists", &lists)
            .reads("robustness.dictionary", &dictionary)
            .writes_in("--output", &self.output, &OUTPUTS)
            .check()
    }

    fn wrong(&self, error: &lorb::study::StudyError) -> CliError {
        CliError::at(self.config.display(), error)
    }
}

/// The planned cells with the given outcome.
fn count(plan: &Plan, records: &[Record], wanted: impl Fn(&Outcome) -> bool) -> usize {
    let is = |id: &str| records.iter().any(|r| r.id == id && wanted(&r.outcome));
    plan.cells.iter().filter(|planned| is(&planned.id)).count()
}

/// One line per cell.
fn listing(plan: &Plan, records: &[Record]) -> String {
    let mut text = String::new();
    for planned in &plan.cells {
        let state = match records.iter().find(|record| record.id == planned.id) {
            None => "to do",
            Some(Record { outcome: Outcome::Done(_), .. }) => "done",
            Some(Record { outcome: Outcome::Failed { .. }, .. }) => "failed",
        };
        text.push_str(&format!("{}  {state:<6}  {}\n", planned.id, planned.cell.describe()));
    }
    let to_do = plan.cells.len() - count(plan, records, |_| true);
    text.push_str(&format!("{} cells, {to_do} to do\n", plan.cells.len()));
    text
}

/// Writes report and figures, and prints the summary tables.
fn write_report(
    args: &StudyArgs,
    config: &StudyConfig,
    plan: &Plan,
    records: &[Record],
) -> Result<(), CliError> {
    let document = report::document(config, plan, records);
    let directory = &args.output;
    output::write_file(&directory.join(HTML), document.html().as_bytes())?;
    output::write_file(&directory.join(MARKDOWN), document.markdown().as_bytes())?;
    let figures = document.figures();
    if !figures.is_empty() {
        let figures = directory.join("figures");
        fs::create_dir_all(&figures).map_err(|error| CliError::io("create", &figures, &error))?;
    }
    for (name, svg) in figures {
        output::write_file(&directory.join("figures").join(name), svg.as_bytes())?;
    }
    if !args.run.quiet {
        say!("report written to {}", directory.join(HTML).display());
    }
    output::print(&document.summary())
}
