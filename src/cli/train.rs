//! `lorb train`: trains an adapter on lists.

use std::path::Path;

use lorb::adapter::ReadOptions;
use lorb::model::Adapter;
use lorb::rescorer::{Rescorer, RescorerError, Run};
use lorb::train::{Message, TrainError};

use super::engine::Engine;
use super::error::CliError;
use super::input::Utterances;
use super::output::{self, Files};
use super::run_place::{CHECKPOINT_FILE, Place};
use super::source::NamedBase;
use super::terminal::say;
use super::train_args::{TrainArgs, method_error};
use super::train_run::{Ended, Log, RunDisplay, drive};
use super::{adapter_dir, interrupt, source};

pub fn run(args: &TrainArgs) -> Result<(), CliError> {
    let config = args.config()?;
    let unit = config.unit;
    interrupt::listen_with("saving the run; press Ctrl-C again to end immediately");
    check_files(args)?;
    let place =
        Place::open(&args.data.output, "an adapter", adapter_dir::holds_adapter, &args.keeping)?;
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
        RescorerError::Train(error) => not_started(&place, error),
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
        Err(stopped) => {
            let run = &run;
            return Err(place.stopped(&run.trainer, stopped, |error| failed(&place, run, error)));
        }
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

/// An error of a run that could not start.
fn not_started(place: &Place, error: &TrainError) -> CliError {
    match error {
        TrainError::Checkpoint(inner) => place.damaged(inner),
        TrainError::NoUsableList { .. } | TrainError::NothingInCommon { .. } => {
            CliError::at("--train", error)
        }
        TrainError::NoTeacherScore { .. } => CliError::Failed(format!(
            "--train: {error}; write the scores of a teacher with `lorb rescore --pll --beta 0 --model TEACHER`"
        )),
        TrainError::NoDevReference { .. } => CliError::at("--dev", error),
        _ => CliError::at("training", error),
    }
}

/// A run that cannot continue. Its best adapter is kept if there was an evaluation.
fn failed(place: &Place, run: &Run, error: &TrainError) -> CliError {
    let kept = run.best().is_ok_and(|best| {
        best.evaluated && adapter_dir::write(&place.directory, &best.adapter, &best.meta).is_ok()
    });
    if kept {
        let place = place.directory.path().display();
        say!("note: the best adapter before that is in {place}");
    }
    CliError::at("training", error)
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
    use std::fs;

    use burn::tensor::Device;
    use lorb::base::{Base, BaseFiles, TokenizerFiles};
    use lorb::methods::LoraConfig;
    use lorb::model::{DeviceFault, FaultKind};
    use lorb::nbest::JsonLines;
    use lorb::train::TrainConfig;

    use super::super::output::Directory;
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
            let error = place.stopped(&run.trainer, stopped, |error| failed(&place, run, error));
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
