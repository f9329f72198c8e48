//! Runs the remaining cells one after the other.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lorb::study::{Measured, Outcome, Plan, Planned, Record, expected_seconds};

use super::StudyArgs;
use super::inputs::Study;
use super::job::{CellMessage, Job};
use super::store::{Again, Store};
use crate::cli::command_line;
use crate::cli::error::CliError;
use crate::cli::interrupt;
use crate::cli::progress::clock;
use crate::cli::terminal::{self, say};

/// Interval of the checks for Ctrl-C while a cell prints nothing.
const PATIENCE: Duration = Duration::from_millis(200);

/// Runs the remaining cells, and records each one when it ends.
pub fn run(
    args: &StudyArgs,
    study: &Study,
    plan: &Plan,
    store: &mut Store,
    again: Again,
) -> Result<(), CliError> {
    let left: Vec<&Planned> =
        plan.cells.iter().filter(|planned| store.wants(&planned.id, again)).collect();
    let mut screen = Screen::new(args.run.quiet, plan.cells.len(), left.len());
    for (at, planned) in left.iter().enumerate() {
        let began = Instant::now();
        screen.begin(planned, &left[at..], store);
        let ended = run_cell(args, study, planned, |part, what| {
            screen.at(part, what, planned, &left[at..], store, began.elapsed());
        })?;
        let outcome = match ended {
            Ended::Interrupted => {
                screen.bar.finish_and_clear();
                let (done, all) = (plan.cells.len() - left.len() + at, plan.cells.len());
                let message =
                    format!("interrupted; {done} of {all} cells are done; continue with:");
                let command = command_line::again(&["--retry-failed"], &[]);
                return Err(CliError::Resumable { message, command });
            }
            Ended::Done(mut measured) => {
                // Measured from outside, so it includes the start of the process.
                measured.seconds.total = began.elapsed().as_secs_f64();
                Outcome::Done(measured)
            }
            Ended::Failed(error) => {
                Outcome::Failed { error, seconds: began.elapsed().as_secs_f64() }
            }
        };
        let (id, cell) = (planned.id.clone(), planned.cell.clone());
        let record = Record { id, cell, outcome };
        store.add(record.clone())?;
        screen.end(&record, &left[at + 1..], store);
    }
    screen.bar.finish_and_clear();
    Ok(())
}

enum Ended {
    Done(Box<Measured>),
    Failed(String),
    Interrupted,
}

/// Ends the process when dropped early.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself, which is not an error here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_cell(
    args: &StudyArgs,
    study: &Study,
    planned: &Planned,
    mut at: impl FnMut(f64, &str),
) -> Result<Ended, CliError> {
    let broken = |error: std::io::Error| CliError::at("a cell's process", &error);
    let program = std::env::current_exe().map_err(broken)?;
    let mut child = Command::new(program)
        .args(["study-cell", "--quiet", "--device", &args.run.device.to_string()])
        .args(["--tiles", &args.run.tiles.to_string(), "--folder"])
        .arg(&study.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut child = Guarded(child);
    let job = Job {
        config: study.config.clone(),
        inputs: study.inputs.clone(),
        cell: planned.cell.clone(),
    };
    let job = serde_json::to_vec(&job).map_err(|error| CliError::at("job", &error))?;
    if let Some(mut input) = input {
        // If the process already ended, its other pipes have the reason.
        let _ = input.write_all(&job);
    }
    let errors = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        // Unreadable output is not shown.
        let _ = errors.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let errors = errors.map_err(broken)?;
    let (sender, messages) = mpsc::channel();
    let reader = thread::Builder::new().spawn(move || {
        for line in output.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
            let message =
                line.ok().and_then(|line| serde_json::from_str::<CellMessage>(&line).ok());
            if message.is_none_or(|message| sender.send(message).is_err()) {
                break;
            }
        }
    });
    reader.map_err(broken)?;
    let mut ended = None;
    loop {
        if interrupt::asked() {
            return Ok(Ended::Interrupted);
        }
        match messages.recv_timeout(PATIENCE) {
            Ok(CellMessage::At(part, what)) => at(part, &what),
            Ok(CellMessage::Done(measured)) => ended = Some(Ended::Done(measured)),
            Ok(CellMessage::Failed(error)) => ended = Some(Ended::Failed(error)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.0.wait().map_err(broken)?;
    if interrupt::asked() {
        return Ok(Ended::Interrupted);
    }
    Ok(ended.unwrap_or_else(|| {
        let said = errors.join().unwrap_or_default();
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = said.last().map_or(String::new(), |line| format!(": {line}"));
        Ended::Failed(format!("its process ended early, {status}{last}"))
    }))
}

/// The progress display of a study.
struct Screen {
    bar: ProgressBar,
    lines: bool,
    all: usize,
    done: usize,
}

impl Screen {
    fn new(quiet: bool, all: usize, left: usize) -> Self {
        let hidden = quiet || !std::io::stderr().is_terminal();
        let target =
            if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        // In thousandths of a cell, so that the bar moves during a cell.
        let bar = ProgressBar::with_draw_target(Some(1000 * all as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        bar.set_position(1000 * (all - left) as u64);
        if !quiet && left > 0 {
            say!("{left} of {all} cells to run");
        }
        Self { bar, lines: !quiet, all, done: all - left }
    }

    fn begin(&mut self, planned: &Planned, left: &[&Planned], store: &Store) {
        self.at(0.0, "", planned, left, store, Duration::ZERO);
    }

    fn at(
        &self,
        part: f64,
        what: &str,
        planned: &Planned,
        left: &[&Planned],
        store: &Store,
        elapsed: Duration,
    ) {
        self.bar.set_position((1000.0 * (self.done as f64 + part)) as u64);
        let rest = remaining(left, store).map(|rest| (rest - elapsed.as_secs_f64()).max(0.0));
        let rest = rest.map_or(String::new(), |rest| format!(", {} left", clock(rest)));
        let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
        let (number, all) = (self.done + 1, self.all);
        let cell = planned.cell.describe();
        let message = format!("cell {number} of {all}{rest}: {cell}{what}");
        self.bar.set_message(terminal::shown(&message));
    }

    fn end(&mut self, record: &Record, left: &[&Planned], store: &Store) {
        self.done += 1;
        self.bar.set_position(1000 * self.done as u64);
        let (done, all, cell) = (self.done, self.all, record.cell.describe());
        let rest = match remaining(left, store) {
            Some(rest) if !left.is_empty() => format!(", {} left", clock(rest)),
            _ => String::new(),
        };
        let line = match &record.outcome {
            Outcome::Failed { error, .. } => {
                format!("warning: cell {done} of {all} failed, {cell}: {error}")
            }
            Outcome::Done(measured) => {
                let wer = measured.domains.first().and_then(|domain| domain.wer_rescored());
                let wer = wer.map_or(String::new(), |wer| format!(", WER {:.2}", 100.0 * wer));
                let took = clock(measured.seconds.total);
                format!("cell {done} of {all} in {took}{rest}: {cell}{wer}")
            }
        };
        if self.lines || matches!(record.outcome, Outcome::Failed { .. }) {
            self.bar.suspend(|| terminal::line(&line));
        }
    }
}

/// Estimated seconds for these cells, based on finished ones; `None` if there are none.
fn remaining(left: &[&Planned], store: &Store) -> Option<f64> {
    left.iter().map(|planned| expected_seconds(&planned.cell, &store.records)).sum()
}
