//! `lorb train`: lists in, an adapter out.

use std::fs;
use std::path::PathBuf;

use lorb::adapter::{AdapterMeta, ReadOptions};
use lorb::base::Base;
use lorb::model::{Adapter, Encoder, FaultKind};
use lorb::score::Weights;
use lorb::train::{Message, TrainConfig, TrainError, TrainInputs, Trainer};

use super::engine::Engine;
use super::error::{CliError, chain};
use super::input::Utterances;
use super::source::NamedBase;
use super::train_args::{TrainArgs, method_error};
use super::train_run::{Ended, Log, Stopped, Watcher, drive};
use super::{adapter_dir, interrupt, output, source};

/// The interrupted run, beside the adapter.
const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

pub fn run(args: &TrainArgs) -> Result<(), CliError> {
    let config = args.config()?;
    let place = Place::check(args)?;
    let reading = args.reading.reading();
    let mut train = Utterances::open(&args.data.train, &reading)?;
    let mut dev = Utterances::open(&args.data.dev, &reading)?;
    let log = args.keeping.log_json.as_deref().map(Log::open).transpose()?;

    let NamedBase { base, name } =
        source::load(&args.base.model, args.base.revision.as_deref(), args.run.quiet)?;
    let Base { config: sizes, tokenizer, mut weights, hash } = base;
    let adapter = match &args.method.lora.init_adapter {
        None => {
            let method = args.method.method(&sizes)?;
            Adapter::init_on(&sizes, &weights, method, config.seed)
                .map_err(|error| method_error(&error))?
        }
        Some(start) => {
            let options = ReadOptions { new_head: Some(config.seed) };
            adapter_dir::read(start, "--init-adapter", &sizes, &hash, options)?.0
        }
    };
    let (train_lists, dev_lists) = (train.collect()?, dev.collect()?);
    for (flag, note) in [("--train", train.skipped_note()), ("--dev", dev.skipped_note())] {
        if let Some(note) = note {
            eprintln!("warning: {flag}: {note}");
        }
    }
    let checkpoint = place.checkpoint_to_resume()?;
    let device = args.run.open_device()?.device;
    let precision = args.base.precision.precision;
    let encoder = Encoder::with_precision(&sizes, &mut weights, precision, &device)
        .map_err(|error| CliError::at(format_args!("--model {name}"), &error))?;
    drop(weights);

    let inputs = TrainInputs {
        encoder: encoder.clone(),
        base: &sizes,
        base_hash: &hash,
        tokenizer: &tokenizer,
        adapter,
        train: &train_lists,
        dev: &dev_lists,
    };
    let mut trainer = match &checkpoint {
        None => Trainer::new(inputs, config.clone()),
        Some(bytes) => Trainer::resume(inputs, config.clone(), bytes),
    }
    .map_err(|error| place.error(&error))?;
    drop(train_lists);
    interrupt::listen_with("finishing the step under way; Ctrl-C again ends at once");
    let watcher = Watcher::new(args.run.quiet, log);
    let every = args.keeping.checkpoint_every;
    let (mut beta, mut held) = (config.beta, None);
    let ended = drive(&mut trainer, watcher, |trainer, message| match message {
        Message::Started { first_scale, .. } => {
            beta = rescoring_beta(&config, *first_scale);
            Ok(())
        }
        Message::Evaluated { .. } => place.save(trainer),
        Message::Step { step, .. } => {
            held = held.max(device.memory_pool_usage().map(|usage| usage.bytes_reserved));
            if step % every == 0 { place.save(trainer) } else { Ok(()) }
        }
        _ => Ok(()),
    });
    let meta = AdapterMeta {
        base_hash: Some(hash),
        base_name: Some(name),
        objective: Some(config.objective.to_string()),
        ..AdapterMeta::default()
    };
    match ended {
        Ok(Ended::Finished) => {}
        Ok(Ended::Interrupted) => return Err(place.interrupted(&mut trainer)),
        Err(stopped) => return Err(place.stopped(&trainer, meta, beta, stopped)),
    }
    let (adapter, meta) = best(&trainer, meta, beta)?;
    adapter_dir::write(&place.directory, &adapter, &meta)?;
    place.remove_checkpoint()?;
    if !args.run.quiet {
        eprintln!("adapter written to {}", place.directory.display());
        if let Some(bytes) = held {
            eprintln!("device memory: {} MiB at most", bytes.div_ceil(1 << 20));
        }
    }
    if dev_lists.is_empty() {
        return Ok(());
    }
    let weights = meta.weights.unwrap_or_default();
    let mut engine = Engine::new(&sizes, adapter, meta, encoder, tokenizer);
    let report = engine.evaluate(&dev_lists, weights)?;
    output::print(&format!("dev lists, with beta {:.4} tuned on them\n{report}", weights.beta))
}

/// The weight for rescoring that training's own weights come to: there the first pass counts 1.
fn rescoring_beta(config: &TrainConfig, first_scale: f64) -> f64 {
    config.beta / first_scale
}

/// The best adapter so far and what travels with it. `beta` is stored where no dev lists tuned one.
pub fn best(
    trainer: &Trainer,
    meta: AdapterMeta,
    beta: f64,
) -> Result<(Adapter, AdapterMeta), CliError> {
    let (adapter, tuned) =
        pollster::block_on(trainer.best()).map_err(|error| CliError::at("training", &error))?;
    let weights = tuned.unwrap_or(Weights { beta, gamma: 0.0 });
    Ok((adapter, AdapterMeta { weights: Some(weights), ..meta }))
}

/// The output directory.
struct Place {
    directory: PathBuf,
    checkpoint: PathBuf,
    resume: bool,
}

impl Place {
    /// Looks at the directory before any work is done: whether it may be written, and whether
    /// something of worth is there.
    fn check(args: &TrainArgs) -> Result<Self, CliError> {
        let directory = args.data.output.clone();
        let checkpoint = directory.join(CHECKPOINT_FILE);
        output::check_directory(&directory)?;
        let resume = args.keeping.resume;
        let shown = directory.display();
        if resume && !checkpoint.exists() {
            let message = format!("--resume: {shown} holds no {CHECKPOINT_FILE}");
            let hint =
                if adapter_dir::holds_adapter(&directory) { "; its run is over" } else { "" };
            return Err(CliError::Failed(message + hint));
        }
        if !resume && !args.keeping.overwrite {
            let there = if checkpoint.exists() {
                "the checkpoint of an unfinished run; go on with --resume, or replace it with"
            } else if adapter_dir::holds_adapter(&directory) {
                "an adapter; name another directory, or replace it with"
            } else {
                return Ok(Self { directory, checkpoint, resume });
            };
            let message = format!("--output {shown}: holds {there} --overwrite");
            return Err(CliError::Failed(message));
        }
        Ok(Self { directory, checkpoint, resume })
    }

    fn checkpoint_to_resume(&self) -> Result<Option<Vec<u8>>, CliError> {
        if !self.resume {
            return Ok(None);
        }
        let bytes = fs::read(&self.checkpoint);
        bytes.map(Some).map_err(|error| CliError::io("read", &self.checkpoint, &error))
    }

    fn save(&self, trainer: &mut Trainer) -> Result<(), Stopped> {
        let bytes = pollster::block_on(trainer.checkpoint())?;
        Ok(self.write(&bytes)?)
    }

    fn write(&self, checkpoint: &[u8]) -> Result<(), CliError> {
        let existed = self.directory.exists();
        output::create_directory(&self.directory)?;
        output::write_file(&self.checkpoint, checkpoint).inspect_err(|_| {
            if !existed {
                // Only an empty folder can be removed like this.
                let _ = fs::remove_dir(&self.directory);
            }
        })
    }

    fn remove_checkpoint(&self) -> Result<(), CliError> {
        match fs::remove_file(&self.checkpoint) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::io("remove", &self.checkpoint, &error))
            }
            _ => Ok(()),
        }
    }

    /// An error of a trainer that could not begin.
    fn error(&self, error: &TrainError) -> CliError {
        match error {
            TrainError::Checkpoint(inner) => CliError::at(self.checkpoint.display(), inner),
            TrainError::NoUsableList { .. } => CliError::at("--train", error),
            TrainError::NoDevReference { .. } => CliError::at("--dev", error),
            _ => CliError::at("training", error),
        }
    }

    /// Saves after Ctrl-C and says how to go on.
    fn interrupted(&self, trainer: &mut Trainer) -> CliError {
        match self.save(trainer) {
            Ok(()) => {}
            Err(Stopped::Cli(error)) => return error,
            Err(Stopped::Training(error)) => return self.lost(trainer, &error),
        }
        let (step, steps) = (trainer.step(), trainer.steps());
        let command = resume_command(std::env::args(), None);
        CliError::Failed(format!("interrupted at step {step} of {steps}; resume with: {command}"))
    }

    /// A run that stopped by itself.
    fn stopped(
        &self,
        trainer: &Trainer,
        meta: AdapterMeta,
        beta: f64,
        stopped: Stopped,
    ) -> CliError {
        match stopped {
            Stopped::Cli(error) => error,
            Stopped::Training(error @ TrainError::Device { .. }) => self.lost(trainer, &error),
            Stopped::Training(error) => self.failed(trainer, meta, beta, &error),
        }
    }

    /// A run whose device failed. It is saved as it was shortly before, unless it had hardly begun.
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
        // A run goes on with the same batches or not at all, but layers may be recomputed.
        let more = (fault.kind == FaultKind::OutOfMemory).then_some("--recompute");
        let (steps, command) = (trainer.steps(), resume_command(std::env::args(), more));
        let fault = chain(fault);
        let text =
            format!("training: {fault}; step {kept} of {steps} is saved, resume with: {command}");
        CliError::Failed(text)
    }

    /// A run that cannot go on. What it reached is kept where an evaluation vouches for it.
    fn failed(
        &self,
        trainer: &Trainer,
        meta: AdapterMeta,
        beta: f64,
        error: &TrainError,
    ) -> CliError {
        let evaluated = pollster::block_on(trainer.best()).is_ok_and(|(_, tuned)| tuned.is_some());
        let kept = evaluated
            && best(trainer, meta, beta)
                .and_then(|(adapter, meta)| adapter_dir::write(&self.directory, &adapter, &meta))
                .is_ok();
        if kept {
            let place = self.directory.display();
            eprintln!("note: the adapter of the best evaluation before that is in {place}");
        }
        CliError::at("training", error)
    }
}

/// This process's command with `--resume` and a flag more, as a shell takes it.
fn resume_command(arguments: impl Iterator<Item = String>, more: Option<&str>) -> String {
    let mut words: Vec<String> =
        arguments.filter(|word| word != "--overwrite").map(|word| quoted(&word)).collect();
    for flag in ["--resume"].into_iter().chain(more) {
        if !words.iter().any(|word| word == flag) {
            words.push(flag.to_owned());
        }
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;
    use lorb::base::{BaseFiles, TokenizerFile};
    use lorb::model::{DeviceFault, LoraConfig};
    use lorb::nbest::JsonLines;

    use super::*;

    /// A run on the CPU, as if its device had failed after step 9.
    #[test]
    fn a_run_whose_device_fails_is_saved_and_says_how_to_go_on() {
        let golden = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny").join(name);
            fs::read(path).expect("a golden file")
        };
        let base = Base::from_files(BaseFiles {
            config: &golden("config.json"),
            tokenizer: TokenizerFile::Json(&golden("tokenizer.json")),
            weights: golden("model.safetensors"),
        });
        let Base { config: sizes, tokenizer, mut weights, hash } = base.expect("a base");
        let lists = golden("lists.jsonl");
        let lists: Result<Vec<_>, _> = JsonLines::new(lists.as_slice(), "lists").collect();
        let lists = lists.expect("lists");
        let encoder = Encoder::new(&sizes, &mut weights, &Device::flex()).expect("an encoder");
        let config = TrainConfig { batch_tokens: 40, epochs: 5, ..TrainConfig::default() };
        let inputs = || TrainInputs {
            encoder: encoder.clone(),
            base: &sizes,
            base_hash: &hash,
            tokenizer: &tokenizer,
            adapter: Adapter::init(&sizes, LoraConfig::default(), 0).expect("an adapter"),
            train: &lists,
            dev: &[],
        };
        let mut trainer = Trainer::new(inputs(), config.clone()).expect("a trainer");
        let folder = tempfile::tempdir().expect("a folder");
        let directory = folder.path().join("new");
        let checkpoint = directory.join(CHECKPOINT_FILE);
        let place = Place { directory, checkpoint, resume: false };
        let lost = |trainer: &Trainer, kind| {
            let fault = DeviceFault { kind, message: "gone".to_owned() };
            let stopped = TrainError::Device { fault, kept: trainer.kept_step() }.into();
            let error = place.stopped(trainer, AdapterMeta::default(), 1.0, stopped);
            assert_eq!(error.code(), 1);
            error.message().expect("a message")
        };

        let text = lost(&trainer, FaultKind::OutOfMemory);
        assert!(text.contains("out of memory (gone)") && text.contains("--recompute"), "{text}");
        assert!(!text.contains("--resume") && !place.directory.exists(), "{text}");

        while trainer.step() < 9 {
            pollster::block_on(trainer.next()).expect("a step").expect("the run goes on");
        }
        let text = lost(&trainer, FaultKind::Lost);
        assert!(text.starts_with("training: the device was lost (gone)"), "{text}");
        let saved = format!("step 8 of {} is saved, resume with: ", trainer.steps());
        assert!(text.contains(&saved) && text.ends_with(" --resume"), "{text}");
        assert!(lost(&trainer, FaultKind::OutOfMemory).ends_with(" --resume --recompute"));
        let bytes = fs::read(&place.checkpoint).expect("a checkpoint");
        let again = Trainer::resume(inputs(), config, &bytes).expect("a sound checkpoint");
        assert_eq!(again.step(), 8);
    }

    #[test]
    fn the_command_to_resume_survives_a_shell() {
        let given = ["lorb", "train", "--output", "my dir", "--overwrite", "--model", "it's"];
        let command = resume_command(given.into_iter().map(str::to_owned), None);
        assert_eq!(command, r"lorb train --output 'my dir' --model 'it'\''s' --resume");
        let words = || ["lorb", "--resume", ""].into_iter().map(str::to_owned);
        assert_eq!(resume_command(words(), None), "lorb --resume ''");
        assert_eq!(resume_command(words(), Some("--recompute")), "lorb --resume '' --recompute");
    }
}
