//! Where a run writes: its output directory, and the checkpoint that it is resumed from.

use std::fs;
use std::path::{Path, PathBuf};

use lorb::bounds::{CHECKPOINT_BYTES_PER_PARAMETER, MAX_CHECKPOINT_EXTRA_BYTES};
use lorb::model::FaultKind;
use lorb::train::{CheckpointError, Task, TrainError, Trainer};

use super::command_line::again;
use super::error::{CliError, chain};
use super::files::read_tensors;
use super::output::{self, Directory};
use super::train_args::KeepingArgs;
use super::train_run::Stopped;

/// File name of an interrupted run's checkpoint, next to its result.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// The output directory of a run, with its checkpoint.
pub struct Place {
    pub directory: Directory,
    pub checkpoint: PathBuf,
    /// Whether to continue from the checkpoint.
    pub resume: bool,
}

impl Place {
    /// Opens the directory before any work: checks whether it is writable, and whether it contains something that must
    /// not be lost. `what` is what a run makes, such as "an adapter", and `holds` whether a directory has one.
    pub fn open(
        path: &Path,
        what: &str,
        holds: fn(&Path) -> bool,
        keeping: &KeepingArgs,
    ) -> Result<Self, CliError> {
        let directory = Directory::open("--output", path)?;
        let checkpoint = path.join(CHECKPOINT_FILE);
        let resume = keeping.resume;
        let shown = path.display();
        if resume && !checkpoint.exists() {
            let message = format!("--resume: no {CHECKPOINT_FILE} in {shown}");
            let hint = if holds(path) { "; its run has finished" } else { "" };
            return Err(CliError::Failed(message + hint));
        }
        if !resume && !keeping.overwrite {
            let there = if checkpoint.exists() {
                "the checkpoint of an unfinished run; continue with --resume, or replace it with"
                    .to_owned()
            } else if holds(path) {
                format!("{what}; choose another directory, or replace it with")
            } else {
                return Ok(Self { directory, checkpoint, resume });
            };
            let message = format!("--output {shown}: contains {there} --overwrite");
            return Err(CliError::Failed(message));
        }
        Ok(Self { directory, checkpoint, resume })
    }

    /// The checkpoint of a run with this number of parameters.
    pub fn checkpoint_to_resume(&self, parameters: usize) -> Result<Option<Vec<u8>>, CliError> {
        if !self.resume {
            return Ok(None);
        }
        let limit = CHECKPOINT_BYTES_PER_PARAMETER * parameters as u64 + MAX_CHECKPOINT_EXTRA_BYTES;
        read_tensors(&self.checkpoint, limit).map(Some)
    }

    pub fn save<T: Task>(&self, trainer: &mut Trainer<T>) -> Result<(), Stopped> {
        let bytes = pollster::block_on(trainer.checkpoint())?;
        Ok(self.write(&bytes)?)
    }

    fn write(&self, checkpoint: &[u8]) -> Result<(), CliError> {
        output::write_file(&self.checkpoint, checkpoint)
    }

    pub fn remove_checkpoint(&self) -> Result<(), CliError> {
        match fs::remove_file(&self.checkpoint) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::io("remove", &self.checkpoint, &error))
            }
            _ => Ok(()),
        }
    }

    /// A checkpoint that cannot be read or belongs to another run.
    pub fn damaged(&self, error: &CheckpointError) -> CliError {
        CliError::at(self.checkpoint.display(), error)
    }

    /// Saves after Ctrl-C and prints how to continue.
    pub fn interrupted<T: Task>(&self, trainer: &mut Trainer<T>) -> CliError {
        match self.save(trainer) {
            Ok(()) => {}
            Err(Stopped::Cli(error)) => return error,
            Err(Stopped::Training(error)) => return self.lost(trainer, &error),
        }
        let (step, steps) = (trainer.step(), trainer.steps());
        let message = format!("interrupted at step {step} of {steps}; resume with:");
        CliError::Resumable { message, command: again(&["--overwrite"], &["--resume"]) }
    }

    /// A run that ended without an interruption; `failed` handles one that cannot continue.
    pub fn stopped<T: Task>(
        &self,
        trainer: &Trainer<T>,
        stopped: Stopped,
        failed: impl FnOnce(&TrainError) -> CliError,
    ) -> CliError {
        match stopped {
            Stopped::Cli(error) => error,
            Stopped::Training(error @ TrainError::Device { .. }) => self.lost(trainer, &error),
            Stopped::Training(error) => failed(&error),
        }
    }

    /// A run whose device failed. Its last host copy is saved, if there is one.
    fn lost<T: Task>(&self, trainer: &Trainer<T>, error: &TrainError) -> CliError {
        let TrainError::Device { fault, kept: kept @ 1.. } = error else {
            return match error {
                TrainError::Device { fault, .. } => CliError::at("training", fault),
                _ => CliError::at("training", error),
            };
        };
        let written = trainer
            .kept()
            .map_err(|error| CliError::at("checkpoint", &error))
            .and_then(|bytes| self.write(&bytes));
        if let Err(error) = written {
            return error;
        }
        // A resumed run must use the same batches, but it may use gradient checkpointing.
        let out_of_memory = fault.kind == FaultKind::OutOfMemory;
        let flags: &[&str] =
            if out_of_memory { &["--resume", "--recompute"] } else { &["--resume"] };
        let (fault, steps) = (chain(fault), trainer.steps());
        let message = format!("training: {fault}; step {kept} of {steps} is saved, resume with:");
        CliError::Resumable { message, command: again(&["--overwrite"], flags) }
    }
}
