//! `lorb distill`: makes a smaller base that imitates a larger one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use lorb::bounds::{MAX_CORPUS_BYTES, MAX_TEXT_BYTES};
use lorb::distill::{
    BaseBytes, DistillError, Distillation, LayerMap, Losses, Pieces, Shape, Student, Width,
};
use lorb::train::{Message, TrainError};

use super::args::RunArgs;
use super::error::CliError;
use super::files::read_small_text;
use super::interrupt;
use super::output::{self, Files, current};
use super::run_place::{CHECKPOINT_FILE, Place};
use super::source;
use super::terminal::say;
use super::train_args::KeepingArgs;
use super::train_run::{Ended, Log, RunDisplay, drive};
use super::training_args::TextTrainingArgs;

#[derive(Args)]
pub struct DistillArgs {
    /// The base to imitate: a directory with config.json, model.safetensors and tokenizer.json or vocab.txt, or a Hugging
    /// Face hub id
    #[arg(long, alias = "model", value_name = "DIR|ID")]
    teacher: OsString,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Plain text to learn from, one text per line
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "untrained")]
    text: Vec<PathBuf>,
    /// Directory for the student
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    student: StudentArgs,
    #[command(flatten)]
    training: TextTrainingArgs,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Student")]
struct StudentArgs {
    /// Its layers: a number, spread evenly over those of the teacher, or the teacher's layers that it starts with and
    /// imitates, such as 1,3,6 [default: all]
    #[arg(long, value_name = "N|LIST")]
    layers: Option<LayerMap>,
    /// Its number of word pieces: the special ones, the ASCII characters and the most frequent ones in the texts
    /// [default: all]
    #[arg(long, value_name = "N")]
    vocabulary: Option<usize>,
    /// Learn at most that many word pieces from the texts, as BERT's were, instead of keeping some of the teacher's; a piece
    /// starts with the mean of the teacher's pieces that spell it
    #[arg(long, requires = "vocabulary")]
    retrain_vocabulary: bool,
    /// Its longest text in tokens [default: that of the teacher]
    #[arg(long, value_name = "N")]
    positions: Option<usize>,
    /// Width of its hidden states, at most the teacher's; a narrower student starts with random values and needs much
    /// more text [default: that of the teacher]
    #[arg(long, value_name = "N", requires = "heads")]
    hidden: Option<usize>,
    /// Its attention heads
    #[arg(long, value_name = "N", requires = "hidden")]
    heads: Option<usize>,
    /// What it imitates, separated by commas: embeddings (their output), hidden (the outputs of its layers but the last),
    /// cls ([CLS] of the last layer), relations (how similar the words of a text are, by keys and by values), attention (how
    /// much they attend to each other) [default: embeddings,hidden,cls; relations if it is narrower]
    #[arg(long, value_name = "LIST")]
    losses: Option<Losses>,
    /// Write the student as it starts: layers and word pieces of the teacher, without training
    #[arg(long)]
    untrained: bool,
}

pub fn run(args: &DistillArgs) -> Result<(), CliError> {
    let config = args.training.config()?;
    interrupt::listen_with("saving the run; press Ctrl-C again to end immediately");
    args.check_files()?;
    let place = Place::open(&args.output, "a base", holds_base, &args.keeping)?;
    let log = args.keeping.log_json.as_deref().map(Log::open).transpose()?;
    let texts = args.texts()?;
    let quiet = args.run.quiet;
    let paths = source::locate(&args.teacher, args.revision.as_deref(), quiet)?;
    let teacher = source::read_located(&paths, &args.teacher)?;
    let mut files = BaseBytes::default();
    paths.read_small()?.into_iter().for_each(|(name, bytes)| files.push(name, bytes));
    let student = Student::new(&teacher, &files, &args.student.shape(config.seed), &texts);
    let student = student.map_err(|error| args.error(&error))?;
    args.check_place(&student.files)?;
    if args.student.untrained {
        return args.write(&place, &student.files, student.weights);
    }
    interrupt::check()?;
    let checkpoint = place.checkpoint_to_resume(student.parameters())?;
    let device = args.run.open_device()?.device;
    let made = Distillation::new(
        teacher,
        student,
        &texts,
        args.student.losses(),
        config,
        &device,
        checkpoint.as_deref(),
    );
    let mut run = made.map_err(|error| match &error {
        DistillError::Train(TrainError::Checkpoint(inner)) => place.damaged(inner),
        _ => args.error(&error),
    })?;
    drop(texts);
    let display = RunDisplay::of_texts(quiet, log);
    let every = args.keeping.checkpoint_every;
    let ended = drive(&mut run.trainer, display, |trainer, message| match message {
        Message::Compared { .. } => place.save(trainer),
        Message::Step { step, .. } if step % every == 0 => place.save(trainer),
        _ => Ok(()),
    });
    let training = |error: &TrainError| CliError::at("training", error);
    match ended {
        Ok(Ended::Finished) => {}
        Ok(Ended::Interrupted) => return Err(place.interrupted(&mut run.trainer)),
        Err(stopped) => return Err(place.stopped(&run.trainer, stopped, training)),
    }
    let (files, weights) =
        pollster::block_on(run.best()).map_err(|error| CliError::at("training", &error))?;
    args.write(&place, files, weights)
}

impl StudentArgs {
    fn losses(&self) -> Losses {
        let fitting = if self.hidden.is_some() { Losses::RELATIONS } else { Losses::STATES };
        self.losses.unwrap_or(fitting)
    }

    fn shape(&self, seed: u64) -> Shape {
        Shape {
            layers: self.layers.clone(),
            vocabulary: self.vocabulary.map(|size| match self.retrain_vocabulary {
                true => Pieces::Retrained(size),
                false => Pieces::Pruned(size),
            }),
            positions: self.positions,
            width: self.hidden.zip(self.heads).map(|(hidden, heads)| Width { hidden, heads }),
            seed,
        }
    }
}

impl DistillArgs {
    /// Refuses outputs that would replace an input.
    fn check_files(&self) -> Result<(), CliError> {
        let teacher = Path::new(&self.teacher);
        output::check_directory("--output", &self.output, "--teacher", teacher)?;
        let files = Files::default()
            .reads("--text", &self.text)
            .reads_in("--teacher", teacher, &source::FILES)
            .writes_in("--output", &self.output, &source::FILES)
            .writes("--output", &self.output.join(CHECKPOINT_FILE));
        match &self.keeping.log_json {
            Some(log) => files.writes("--log-json", log).check(),
            None => files.check(),
        }
    }

    /// The lines of all texts.
    fn texts(&self) -> Result<Vec<String>, CliError> {
        let mut texts = Vec::new();
        let mut room = MAX_CORPUS_BYTES;
        for path in &self.text {
            let text = read_small_text(path, room)?;
            room -= text.len() as u64;
            for (at, line) in text.lines().enumerate() {
                if line.len() > MAX_TEXT_BYTES {
                    let what = format!("line {} has {} bytes", at + 1, line.len());
                    let message = format!("{}: {what}; expected one text per line", path.display());
                    return Err(CliError::Failed(message));
                }
                texts.push(line.to_owned());
            }
            interrupt::check()?;
        }
        Ok(texts)
    }

    /// An error with the flag at fault.
    fn error(&self, error: &DistillError) -> CliError {
        let flag = match error {
            DistillError::Layers { .. } => "--layers",
            DistillError::Width { .. } => "--hidden",
            DistillError::Losses { .. } => "--losses",
            DistillError::Positions { .. } => "--positions",
            DistillError::VocabularySize { .. } | DistillError::Tokenizer(_) => "--vocabulary",
            DistillError::NoText | DistillError::Text { .. } | DistillError::Words { .. } => {
                "--text"
            }
            DistillError::Train(_) => "training",
            _ => return CliError::at(format_args!("--teacher {}", self.teacher.display()), error),
        };
        CliError::at(flag, error)
    }

    /// Refuses an output with files that LoRB would read with the student's, before any work.
    fn check_place(&self, files: &BaseBytes) -> Result<(), CliError> {
        let of_student: Vec<&str> = [source::CONFIG, source::WEIGHTS]
            .into_iter()
            .chain(files.tokenizer().iter().map(|(name, _)| *name))
            .collect();
        let stale =
            |name: &&&str| !of_student.contains(*name) && current(&self.output, name).exists();
        match source::FILES.iter().find(stale) {
            None => Ok(()),
            Some(found) => Err(CliError::Failed(format!(
                "--output {}: contains {found}, which the student does not have; remove it",
                self.output.display()
            ))),
        }
    }

    fn write(&self, place: &Place, files: &BaseBytes, weights: Vec<u8>) -> Result<(), CliError> {
        let mut all: Vec<(&str, &[u8])> = vec![(source::CONFIG, &files.config)];
        all.extend(files.tokenizer().iter().map(|(name, bytes)| (*name, bytes.as_slice())));
        all.push((source::WEIGHTS, &weights));
        place.directory.replace(&all)?;
        place.remove_checkpoint()?;
        if !self.run.quiet {
            let bytes: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
            let size = bytes as f64 / 1e6;
            say!("student written to {}, {size:.1} MB", self.output.display());
        }
        Ok(())
    }
}

/// Whether a directory has the weights of a base.
fn holds_base(directory: &Path) -> bool {
    source::WEIGHT_FILES.iter().any(|name| current(directory, name).exists())
}
