//! `lorb train`: trains an adapter on lists.

use std::fs;
use std::path::{Path, PathBuf};

use lorb::adapter::ReadOptions;
use lorb::bounds::{CHECKPOINT_BYTES_PER_PARAMETER, MAX_CHECKPOINT_EXTRA_BYTES};
use lorb::model::{Adapter, FaultKind};
use lorb::rescorer::{Rescorer, RescorerError, Run};
use lorb::train::{Message, TrainError, Trainer};

use super::command_line::again;
use super::engine::Engine;
use super::error::{CliError, chain};
use super::files::read_tensors;
use super::input::Utterances;
use super::output::{self, Directory, Files};
use super::source::NamedBase;
use super::terminal::say;
use super::train_args::{TrainArgs, method_error};
use super::train_run::{Ended, Log, RunDisplay, Stopped, drive};
use super::{adapter_dir, interrupt, source};

/// File name of an interrupted run's checkpoint, next to the adapter.
const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

pub fn run(args: &TrainArgs) -> Result<(), CliError> {
    let config = args.config()?;
    let unit = config.unit;
    interrupt::listen_with("saving the run; press Ctrl-C again to end immediately");
    let place = Place::open(args)?;
    let reading = args.reading.reading()?;
    let mut train = Utterances::open(&args.data.train, &reading)?;
    let mut dev = Utterances::open(&args.data.dev, &reading)?;
    let log = args.keeping.log_json.as_deref().map(Log::open).transpose()?;

    let NamedBase { base, name } =
        source::load(&args.base.model, args.base.revision.as_deref(), args.run.quiet)?;
    let start = match &args.method.init_adapter {
        None => {
            let method = args.method.method(&base.config)?;
            Adapter::init_on(&base.config, &base.weights, method, config.seed)
                .map_err(|error| method_error(&error))?
        }
        Some(start) => {
            let (flag, options) = ("--init-adapter", ReadOptions { new_head: Some(config.seed) });
            let files = adapter_dir::read_files(start, flag)?;
            adapter_dir::parse(&files, start, flag, &base, options)?.0
        }
    };
    let (train_lists, dev_lists) = (train.collect()?, dev.collect()?);
    for (flag, input) in [("--train", &train), ("--dev", &dev)] {
        input.warnings().for_each(|warning| say!("warning: {flag}: {warning}"));
    }
    reading.unused_references();
    for (flag, input) in [("--train: ", &train), ("--dev: ", &dev)] {
        input.print_score_warnings(flag, &input.score_warnings(None));
    }
    interrupt::check()?;
    let checkpoint = place.checkpoint_to_resume(start.parameters.len())?;
    let precision = args.base.precision.precision;
    let device = args.run.open_device_for(precision)?.device;
    let mut rescorer = Rescorer::with_precision(base, precision, &device)
        .map_err(|error| CliError::at(format_args!("--model {name}"), &error))?;
    rescorer.set_name(Some(name));

    let run = rescorer.run(start, &train_lists, &dev_lists, config, checkpoint.as_deref());
    let mut run = run.map_err(|error| match &error {
        RescorerError::Train(error) => place.error(error),
        _ => CliError::at("training", &error),
    })?;
    drop(train_lists);
    let watcher = RunDisplay::new(args.run.quiet, log, unit);
    let every = args.keeping.checkpoint_every;
    let mut held = None;
    let ended = drive(&mut run.trainer, watcher, |trainer, message| match message {
        Message::Evaluated { .. } => place.save(trainer),
        Message::Step { step, .. } => {
            held = held.max(device.memory_pool_usage().map(|usage| usage.bytes_reserved));
            if step % every == 0 { place.save(trainer) } else { Ok(()) }
        }
        _ => Ok(()),
    });
    match ended {
        Ok(Ended::Finished) => {}
        Ok(Ended::Interrupted) => return Err(place.interrupted(&mut run.trainer)),
        Err(stopped) => return Err(place.stopped(&run, stopped)),
    }
    let trained = run.best().map_err(|error| CliError::at("training", &error))?;
    drop(run);
    adapter_dir::write(&place.directory, &trained.adapter, &trained.meta)?;
    place.remove_checkpoint()?;
    if !args.run.quiet {
        say!("adapter written to {}", place.directory.path().display());
        if let Some(bytes) = held {
            say!("peak device memory: {} MiB", bytes.div_ceil(1 << 20));
        }
    }
    if dev_lists.is_empty() {
        return Ok(());
    }
    let weights = trained.weights.clone();
    let report = Engine::trained(rescorer, trained)?.evaluate(&dev_lists, &weights)?.report;
    output::print(&format!("dev lists, with beta {:.4} tuned on them\n{report}", weights.beta))
}

/// The output directory.
struct Place {
    directory: Directory,
    checkpoint: PathBuf,
    resume: bool,
}

impl Place {
    /// Opens the directory before any work: checks whether it is writable, and whether it contains something that must
    /// not be lost.
    fn open(args: &TrainArgs) -> Result<Self, CliError> {
        let path = &args.data.output;
        check_files(args)?;
        let directory = Directory::open("--output", path)?;
        let checkpoint = path.join(CHECKPOINT_FILE);
        let resume = args.keeping.resume;
        let shown = path.display();
        if resume && !checkpoint.exists() {
            let message = format!("--resume: no {CHECKPOINT_FILE} in {shown}");
            let hint = if adapter_dir::holds_adapter(path) { "; its run has finished" } else { "" };
            return Err(CliError::Failed(message + hint));
        }
        if !resume && !args.keeping.overwrite {
            let there = if checkpoint.exists() {
                "the checkpoint of an unfinished run; continue with --resume, or replace it with"
            } else if adapter_dir::holds_adapter(path) {
                "an adapter; choose another directory, or replace it with"
            } else {
                return Ok(Self { directory, checkpoint, resume });
            };
            let message = format!("--output {shown}: contains {there} --overwrite");
            return Err(CliError::Failed(message));
        }
        Ok(Self { directory, checkpoint, resume })
    }

    /// The checkpoint of a run with this number of parameters.
    fn checkpoint_to_resume(&self, parameters: usize) -> Result<Option<Vec<u8>>, CliError> {
        if !self.resume {
            return Ok(None);
        }
        let limit = CHECKPOINT_BYTES_PER_PARAMETER * parameters as u64 + MAX_CHECKPOINT_EXTRA_BYTES;
        read_tensors(&self.checkpoint, limit).map(Some)
    }

    fn save(&self, trainer: &mut Trainer) -> Result<(), Stopped> {
        let bytes = pollster::block_on(trainer.checkpoint())?;
        Ok(self.write(&bytes)?)
    }

    fn write(&self, checkpoint: &[u8]) -> Result<(), CliError> {
        output::write_file(&self.checkpoint, checkpoint)
    }

    fn remove_checkpoint(&self) -> Result<(), CliError> {
        match fs::remove_file(&self.checkpoint) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::io("remove", &self.checkpoint, &error))
            }
            _ => Ok(()),
        }
    }

    /// An error of a trainer that could not start.
    fn error(&self, error: &TrainError) -> CliError {
        match error {
            TrainError::Checkpoint(inner) => CliError::at(self.checkpoint.display(), inner),
            TrainError::NoUsableList { .. } | TrainError::NothingInCommon { .. } => {
                CliError::at("--train", error)
            }
            TrainError::NoDevReference { .. } => CliError::at("--dev", error),
            _ => CliError::at("training", error),
        }
    }

    /// Saves after Ctrl-C and prints how to continue.
    fn interrupted(&self, trainer: &mut Trainer) -> CliError {
        match self.save(trainer) {
            Ok(()) => {}
            Err(Stopped::Cli(error)) => return error,
            Err(Stopped::Training(error)) => return self.lost(trainer, &error),
        }
        let (step, steps) = (trainer.step(), trainer.steps());
        let message = format!("interrupted at step {step} of {steps}; resume with:");
        CliError::Resumable { message, command: again(&["--overwrite"], &["--resume"]) }
    }

    /// A run that ended without an interruption.
    fn stopped(&self, run: &Run, stopped: Stopped) -> CliError {
        match stopped {
            Stopped::Cli(error) => error,
            Stopped::Training(error @ TrainError::Device { .. }) => self.lost(&run.trainer, &error),
            Stopped::Training(error) => self.failed(run, &error),
        }
    }

    /// A run whose device failed. Its last host copy is saved, if there is one.
    fn lost(&self, trainer: &Trainer, error: &TrainError) -> CliError {
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

    /// A run that cannot continue. Its best adapter is kept if there was an evaluation.
    fn failed(&self, run: &Run, error: &TrainError) -> CliError {
        let kept = run.best().is_ok_and(|best| {
            best.evaluated && adapter_dir::write(&self.directory, &best.adapter, &best.meta).is_ok()
        });
        if kept {
            let place = self.directory.path().display();
            say!("note: the best adapter before that is in {place}");
        }
        CliError::at("training", error)
    }
}

/// Refuses outputs that would replace an input.
fn check_files(args: &TrainArgs) -> Result<(), CliError> {
    let (output, model) = (&args.data.output, Path::new(&args.base.model));
    output::check_directory("--output", output, "--model", model)?;
    let files = Files::default()
        .reads("--train", &args.data.train)
        .reads("--dev", &args.data.dev)
        .reads_with(&args.reading)
        .reads_in("--model", model, &source::FILES)
        .writes_in("--output", output, &adapter_dir::FILES)
        .writes("--output", &output.join(CHECKPOINT_FILE));
    match &args.keeping.log_json {
        Some(log) => files.writes("--log-json", log).check(),
        None => files.check(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use lorb::base::{Base, BaseFiles, TokenizerFiles};
    use lorb::methods::LoraConfig;
    use lorb::model::DeviceFault;
    use lorb::nbest::JsonLines;
    use lorb::train::TrainConfig;

    use super::*;

    /// A run on the CPU with a simulated device failure after step 9.
    #[test]
    fn a_run_whose_device_fails_is_saved_and_prints_how_to_continue() {
        let golden = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny").join(name);
            fs::read(path).expect("a golden file")
        };
        let base = Base::from_files(BaseFiles {
            config: &golden("config.json"),
            tokenizer: TokenizerFiles::json(&golden("tokenizer.json")),
            weights: golden("model.safetensors"),
        });
        let lists = golden("lists.jsonl");
        let lists: Result<Vec<_>, _> = JsonLines::new(lists.as_slice(), "lists").collect();
        let lists = lists.expect("lists");
        let rescorer = Rescorer::new(base.expect("a base"), &Device::flex()).expect("a rescorer");
        let config = TrainConfig { batch_tokens: 40, epochs: 5, ..TrainConfig::default() };
        let start = |checkpoint: Option<&[u8]>| {
            let adapter = rescorer.new_adapter(LoraConfig::default(), 0).expect("an adapter");
            rescorer.run(adapter, &lists, &[], config.clone(), checkpoint).expect("a run")
        };
        let mut run = start(None);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new");
        let checkpoint = path.join(CHECKPOINT_FILE);
        let directory = Directory::open("--output", &path).expect("a directory");
        let place = Place { directory, checkpoint, resume: false };
        let lost = |run: &Run, kind| {
            let fault = DeviceFault { kind, message: "gone".to_owned() };
            let stopped = TrainError::Device { fault, kept: run.trainer.kept_step() }.into();
            let error = place.stopped(run, stopped);
            assert_eq!(error.code(), 1);
            error.message().expect("a message")
        };

        let text = lost(&run, FaultKind::OutOfMemory);
        assert!(text.contains("out of memory (gone)") && text.contains("--recompute"), "{text}");
        assert!(!text.contains("--resume") && !place.checkpoint.exists(), "{text}");

        while run.trainer.step() < 9 {
            pollster::block_on(run.trainer.next()).expect("a step").expect("the run continues");
        }
        let text = lost(&run, FaultKind::Lost);
        assert!(text.starts_with("training: the device was lost (gone)"), "{text}");
        let saved = format!("step 8 of {} is saved, resume with: ", run.trainer.steps());
        assert!(text.contains(&saved) && text.ends_with(" --resume"), "{text}");
        assert!(lost(&run, FaultKind::OutOfMemory).ends_with(" --resume --recompute"));
        let bytes = fs::read(&place.checkpoint).expect("a checkpoint");
        assert_eq!(start(Some(&bytes)).trainer.step(), 8);
    }
}
