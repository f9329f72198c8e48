//! `lorb train`: lists in, an adapter out.

use std::fs;
use std::path::PathBuf;

use lorb::adapter::{AdapterMeta, ReadOptions};
use lorb::base::Base;
use lorb::model::{Adapter, Encoder};
use lorb::score::Weights;
use lorb::train::{Message, TrainConfig, TrainError, TrainInputs, Trainer};

use super::engine::Engine;
use super::error::CliError;
use super::input::Utterances;
use super::source::NamedBase;
use super::train_args::{TrainArgs, lora_error};
use super::train_run::{Ended, Log, Stopped, Watcher, drive};
use super::{adapter_dir, interrupt, output, source};

/// The interrupted run, beside the adapter.
const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

pub fn run(args: &TrainArgs) -> Result<(), CliError> {
    let config = args.config()?;
    let lora = args.lora.config()?;
    let place = Place::check(args)?;
    let reading = args.reading.reading();
    let mut train = Utterances::open(&args.data.train, &reading)?;
    let mut dev = Utterances::open(&args.data.dev, &reading)?;
    let log = args.keeping.log_json.as_deref().map(Log::open).transpose()?;

    let NamedBase { base, name } =
        source::load(&args.base.model, args.base.revision.as_deref(), args.run.quiet)?;
    let Base { config: sizes, tokenizer, mut weights, hash } = base;
    let adapter = match &args.lora.init_adapter {
        None => Adapter::init(&sizes, lora, config.seed).map_err(|error| lora_error(&error))?,
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
    let encoder = Encoder::new(&sizes, &mut weights, &device)
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
    let mut beta = config.beta;
    let ended = drive(&mut trainer, watcher, |trainer, message| match message {
        Message::Started { first_scale, .. } => {
            beta = rescoring_beta(&config, *first_scale);
            Ok(())
        }
        Message::Evaluated { .. } => place.save(trainer),
        Message::Step { step, .. } if step % every == 0 => place.save(trainer),
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
        Ok(Ended::Interrupted) => return Err(place.interrupted(&trainer)),
        Err(Stopped::Cli(error)) => return Err(error),
        Err(Stopped::Training(error)) => return Err(place.failed(&trainer, meta, beta, &error)),
    }
    let (adapter, meta) = best(&trainer, meta, beta)?;
    adapter_dir::write(&place.directory, &adapter, &meta)?;
    place.remove_checkpoint()?;
    if !args.run.quiet {
        eprintln!("adapter written to {}", place.directory.display());
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

    fn save(&self, trainer: &Trainer) -> Result<(), CliError> {
        let bytes = pollster::block_on(trainer.checkpoint());
        let bytes = bytes.map_err(|error| CliError::at("checkpoint", &error))?;
        let existed = self.directory.exists();
        output::create_directory(&self.directory)?;
        output::write_file(&self.checkpoint, &bytes).inspect_err(|_| {
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
    fn interrupted(&self, trainer: &Trainer) -> CliError {
        if let Err(error) = self.save(trainer) {
            return error;
        }
        let (step, steps) = (trainer.step(), trainer.steps());
        let command = resume_command(std::env::args());
        CliError::Failed(format!("interrupted at step {step} of {steps}; go on with: {command}"))
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

/// This process's command with `--resume`, as a shell takes it.
fn resume_command(arguments: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> =
        arguments.filter(|word| word != "--overwrite").map(|word| quoted(&word)).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
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
    use super::*;

    #[test]
    fn the_command_to_resume_survives_a_shell() {
        let given = ["lorb", "train", "--output", "my dir", "--overwrite", "--model", "it's"];
        let command = resume_command(given.into_iter().map(str::to_owned));
        assert_eq!(command, r"lorb train --output 'my dir' --model 'it'\''s' --resume");
        let again = resume_command(["lorb", "--resume", ""].into_iter().map(str::to_owned));
        assert_eq!(again, "lorb --resume ''");
    }
}
