//! Drives a trainer and prints its messages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use lorb::text::Unit;
use lorb::train::{Message, Task, TrainError, Trainer, WarningKind};

use super::error::CliError;
use super::interrupt;
use super::progress::Meter;

/// Number of steps over which the displayed loss is averaged, because single losses are noisy.
const LOSS_WINDOW: usize = 20;

/// How the run ended.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Ended {
    /// The run finished.
    Finished,
    /// Ctrl-C.
    Interrupted,
}

/// The messages of a run as JSON lines.
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the file for appending, so that a resumed run continues it.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|error| CliError::io("write", path, &error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn write(&mut self, message: &Message) -> Result<(), CliError> {
        let mut line = serde_json::to_vec(message).map_err(|e| CliError::at("--log-json", &e))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| CliError::io("write", &self.path, &error))
    }
}

/// Prints a run's messages.
pub struct RunDisplay {
    quiet: bool,
    meter: Meter,
    log: Option<Log>,
    losses: VecDeque<f64>,
    utterances: usize,
    hypotheses: usize,
    dev: Option<f64>,
    /// The error rate: WER, CER or MER; the loss of a run on texts.
    rate: &'static str,
    /// What a step learns from, and what it computes.
    counted: [&'static str; 2],
}

impl RunDisplay {
    /// A display for a run on lists that has not started.
    pub fn new(quiet: bool, log: Option<Log>, unit: Unit) -> Self {
        Self::of(quiet, log, unit.rate(), ["utterances", "hypotheses"])
    }

    /// A display for a run on texts that has not started.
    pub fn of_texts(quiet: bool, log: Option<Log>) -> Self {
        Self::of(quiet, log, "loss", ["texts", "texts"])
    }

    fn of(quiet: bool, log: Option<Log>, rate: &'static str, counted: [&'static str; 2]) -> Self {
        Self {
            quiet,
            meter: Meter::new(true, None),
            log,
            losses: VecDeque::new(),
            utterances: 0,
            hypotheses: 0,
            dev: None,
            rate,
            counted,
        }
    }

    fn see(&mut self, message: &Message) -> Result<(), CliError> {
        if let Some(log) = &mut self.log {
            log.write(message)?;
        }
        match message {
            Message::Started { steps, done, .. } | Message::Learning { steps, done, .. } => {
                self.say(&started(message));
                self.meter = Meter::new(self.quiet, Some(*steps as u64));
                self.meter.start_at(*done as u64);
            }
            Message::Step { step, epoch, loss, utterances, hypotheses, .. } => {
                self.utterances += utterances;
                self.hypotheses += hypotheses;
                self.losses.push_back(*loss);
                if self.losses.len() > LOSS_WINDOW {
                    self.losses.pop_front();
                }
                let loss = self.losses.iter().sum::<f64>() / self.losses.len() as f64;
                let rate = self.utterances as f64 / self.meter.seconds();
                let name = self.rate;
                let dev = self.dev.map(|wer| format!(", dev {name} {:.2}", 100.0 * wer));
                let dev = dev.unwrap_or_default();
                let [what, _] = self.counted;
                self.meter.update(*step as u64, || {
                    format!("epoch {epoch}, loss {loss:.4}, {rate:.0} {what}/s{dev}")
                });
            }
            Message::Evaluated { step, wer, wer_first, wer_oracle, beta, best, .. } => {
                self.dev = Some(self.dev.map_or(*wer, |lowest| lowest.min(*wer)));
                let [wer, first, oracle] = [wer, wer_first, wer_oracle].map(|rate| 100.0 * rate);
                let name = self.rate;
                let mark = if *best { ", best so far" } else { "" };
                self.say(&format!(
                    "step {step}: dev {name} {wer:.2} with beta {beta:.3} (first pass {first:.2}, oracle {oracle:.2}){mark}"
                ));
            }
            Message::Compared { step, loss, best } => {
                let mark = if *best { ", best so far" } else { "" };
                self.say(&format!("step {step}: loss {loss:.5} on texts kept apart{mark}"));
            }
            // Printed with the flags that help when the lists were read.
            Message::Warning { kind: WarningKind::FirstPassScores, .. } => {}
            Message::Warning { text, .. } => self.meter.line(&format!("warning: {text}")),
            Message::Finished { steps, stopped_early, .. } => {
                if *stopped_early {
                    self.say(&format!(
                        "stopped after {steps} steps: dev {} no longer falls",
                        self.rate
                    ));
                }
                let (hypotheses, seconds) = (self.hypotheses, self.meter.seconds());
                let rate = hypotheses as f64 / seconds;
                let [_, what] = self.counted;
                self.say(&format!(
                    "{hypotheses} {what} in {seconds:.1} s, including evaluations ({rate:.0} {what}/s)"
                ));
            }
            Message::Batch { .. } => {}
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.meter.line(text);
        }
    }
}

/// Runs to the end or until Ctrl-C. `save` is called after every message.
pub fn drive<T: Task>(
    trainer: &mut Trainer<T>,
    mut watcher: RunDisplay,
    mut save: impl FnMut(&mut Trainer<T>, &Message) -> Result<(), Stopped>,
) -> Result<Ended, Stopped> {
    let ended = loop {
        let Some(next) = pollster::block_on(interrupt::until_asked(trainer.next())) else {
            break Ended::Interrupted;
        };
        match next? {
            None => break Ended::Finished,
            Some(message) => {
                watcher.see(&message)?;
                save(trainer, &message)?;
            }
        }
        if interrupt::asked() {
            break Ended::Interrupted;
        }
    };
    watcher.meter.finish();
    Ok(ended)
}

/// Why a run ended early.
#[derive(Debug)]
pub enum Stopped {
    /// The trainer failed.
    Training(TrainError),
    /// A file could not be written.
    Cli(CliError),
}

impl From<TrainError> for Stopped {
    fn from(error: TrainError) -> Self {
        Self::Training(error)
    }
}

impl From<CliError> for Stopped {
    fn from(error: CliError) -> Self {
        Self::Cli(error)
    }
}

/// Summary of parameters and data.
fn started(message: &Message) -> String {
    if let Message::Learning { texts, apart, truncated, steps, done, trainable } = message {
        let mut text = format!(
            "training {trainable} parameters on {texts} texts, {apart} kept apart, {steps} steps"
        );
        for (count, what) in [(*truncated, "texts truncated"), (*done, "steps already done")] {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        return text;
    }
    let Message::Started {
        utterances,
        usable,
        skipped_no_reference,
        skipped_equal_errors,
        hypotheses,
        truncated,
        dev_utterances,
        steps,
        done,
        first_scale,
        part_weights,
        trainable,
        base_parameters,
    } = message
    else {
        return String::new();
    };
    let share = 100.0 * *trainable as f64 / (trainable + base_parameters) as f64;
    let mut text = format!(
        "training {trainable} parameters ({share:.2} % of all) on {usable} of {utterances} utterances with {hypotheses} \
         hypotheses, {dev_utterances} for development, {steps} steps"
    );
    if *first_scale != 1.0 {
        text.push_str(&format!("; first-pass scale {first_scale:.4} in training"));
    }
    for (name, alpha) in part_weights {
        text.push_str(&format!("; weight {alpha:.4} for the part {name}"));
    }
    let counts = [
        (*skipped_no_reference, "utterances without a reference skipped"),
        (*skipped_equal_errors, "skipped because all hypotheses have the same number of errors"),
        (*truncated, "hypotheses truncated at the base's position limit"),
        (*done, "steps already done"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("; {count} {what}"));
    }
    text
}
