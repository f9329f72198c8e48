//! The flags of `lorb train`. Their defaults are those of the library.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use lorb::base::BertConfig;
use lorb::methods::{
    self, CORRELATION_WEIGHT, METHODS, MethodInfo, Setting, SettingKind, Settings,
    chosen_by_budget, number_value,
};
use lorb::model::{Method, ModelError};
use lorb::train::{Decay, Objective, TrainConfig, TrainError};

use serde_json::Value;

use super::args::{BaseArgs, ReadArgs, RunArgs, choices, words};
use super::error::CliError;

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub base: BaseArgs,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub schedule: ScheduleArgs,
    #[command(flatten)]
    pub keeping: KeepingArgs,
    #[command(flatten)]
    pub reading: ReadArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Lists with references to train on
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub train: Vec<PathBuf>,
    /// Lists with references on which the best adapter and beta are chosen
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub dev: Vec<PathBuf>,
    /// Directory of the adapter: adapter_config.json and adapter_model.safetensors
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Most hypotheses of a training list; the best by first-pass score are taken
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().nbest)]
    pub nbest: usize,
}

#[derive(Args)]
#[command(next_help_heading = "Method")]
pub struct MethodArgs {
    /// What is trained [default: lora]
    #[arg(long, value_parser = method_names(), conflicts_with = "init_adapter")]
    method: Option<String>,
    /// Choose rank and layers, prefix length or bottleneck width so that at most this fraction of the
    /// base's parameters is trained, such as 0.08%
    #[arg(long, value_name = "FRACTION", value_parser = share, conflicts_with = "init_adapter")]
    pub budget: Option<f64>,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Start from this adapter, whose settings are kept; one without a score head gets a new one
    #[arg(long, value_name = "DIR")]
    pub init_adapter: Option<PathBuf>,
}

/// A parser of the names of methods; clap lists them and what each is.
fn method_names() -> impl TypedValueParser<Value = String> {
    choices(METHODS.iter().map(|info| (info.name, info.help)))
}

/// The settings of all methods, as flags.
pub struct SettingArgs(pub Settings);

impl Args for SettingArgs {
    fn augment_args(mut command: Command) -> Command {
        for setting in methods::settings() {
            command = command.arg(flag(setting));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.flag)
        .help(setting.help)
        .help_heading(setting.heading)
        .conflicts_with("init_adapter");
    let arg = if chosen_by_budget(setting) { arg.conflicts_with("budget") } else { arg };
    match setting.kind {
        SettingKind::Switch => arg.action(ArgAction::SetTrue),
        SettingKind::Count => arg.value_name("N").value_parser(value_parser!(usize)),
        SettingKind::Number => {
            arg.value_name("X").value_parser(value_parser!(f32)).allow_negative_numbers(true)
        }
        SettingKind::Names => arg.value_name("NAME").value_delimiter(',').action(ArgAction::Append),
        SettingKind::Counts => arg
            .value_name("N")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .value_parser(value_parser!(usize)),
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Settings::new();
        for setting in methods::settings() {
            let name = setting.name;
            let value = match setting.kind {
                SettingKind::Switch => matches.get_flag(name).then(|| Value::from(true)),
                SettingKind::Count => matches.get_one::<usize>(name).map(|&n| Value::from(n)),
                SettingKind::Number => matches.get_one::<f32>(name).map(|&x| number_value(x)),
                SettingKind::Names => matches
                    .get_many::<String>(name)
                    .map(|names| names.cloned().collect::<Vec<_>>().into()),
                SettingKind::Counts => matches
                    .get_many::<usize>(name)
                    .map(|counts| counts.copied().collect::<Vec<_>>().into()),
            };
            if let Some(value) = value {
                settings = settings.with(setting, value);
            }
        }
        Ok(Self(settings))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A parser of objectives; clap lists their names and what each is.
fn objectives() -> impl TypedValueParser<Value = Objective> {
    choices(Objective::ALL.map(|objective| (objective.name(), objective.info().help)))
}

/// A part of a whole, as `0.08%` or `0.0008`.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / unit);
    let sound = share.filter(|share| share.is_finite() && *share > 0.0);
    sound.ok_or_else(|| "expected a part of the parameters, such as 0.08%".to_owned())
}

#[derive(Args)]
#[command(next_help_heading = "Training")]
pub struct ScheduleArgs {
    /// What the scores are trained for
    #[arg(long, default_value_t = TrainConfig::default().objective, value_parser = objectives())]
    pub objective: Objective,
    /// Weight of the correlation term [default: 0; 0.05 with --method lorb]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub cor_weight: Option<f32>,
    /// Part of the list-wise target that is spread over all hypotheses
    #[arg(long, value_name = "P", allow_negative_numbers = true, default_value_t = TrainConfig::default().label_smoothing)]
    pub label_smoothing: f32,
    /// Weight of the model's score in training
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().beta)]
    pub beta: f64,
    /// Weight of the first pass in training [default: the one under which its scores best tell the
    /// hypotheses with the fewest errors]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub first_scale: Option<f64>,
    /// Peak learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().lr)]
    pub lr: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().weight_decay)]
    pub weight_decay: f64,
    /// Part of the steps in which the learning rate climbs
    #[arg(long, value_name = "P", allow_negative_numbers = true, default_value_t = TrainConfig::default().warmup)]
    pub warmup: f64,
    /// Course of the learning rate after that
    #[arg(long, default_value_t = TrainConfig::default().decay, value_parser = words::<Decay>(&["linear", "cosine", "constant"]))]
    pub decay: Decay,
    /// Longest gradient that is not shortened; 0 never shortens
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().clip_norm)]
    pub clip_norm: f64,
    /// Passes over the training lists
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().epochs)]
    pub epochs: usize,
    /// Most tokens of a batch
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().batch_tokens)]
    pub batch_tokens: usize,
    /// Batches that make one step
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().accumulate)]
    pub accumulate: usize,
    /// Keep only the input of each layer and compute the layer again in the backward pass: less
    /// than half the memory, some 40 % more time, the same result
    #[arg(long)]
    pub recompute: bool,
    /// Seed of the first weights, of the order of lists and of dropout
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().seed)]
    pub seed: u64,
    /// Evaluations of the dev lists in a pass
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().evals_per_epoch)]
    pub evals_per_epoch: usize,
    /// Evaluations without a better dev WER after which the run stops [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
}

#[derive(Args)]
#[command(next_help_heading = "Files of the run")]
pub struct KeepingArgs {
    /// Steps between checkpoints, which are also written at evaluations and at Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::args::at_least_one)]
    pub checkpoint_every: usize,
    /// Go on from the checkpoint in the output directory
    #[arg(long)]
    pub resume: bool,
    /// Replace an adapter or a checkpoint that is there
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Append every message of the run to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub log_json: Option<PathBuf>,
}

impl TrainArgs {
    /// The settings of the run, checked.
    pub fn config(&self) -> Result<TrainConfig, CliError> {
        let s = &self.schedule;
        let config = TrainConfig {
            objective: s.objective,
            cor_weight: s.cor_weight.unwrap_or(match self.method.info().correlates {
                Some(_) => CORRELATION_WEIGHT,
                None => TrainConfig::default().cor_weight,
            }),
            label_smoothing: s.label_smoothing,
            lr: s.lr,
            weight_decay: s.weight_decay,
            epochs: s.epochs,
            batch_tokens: s.batch_tokens,
            accumulate: s.accumulate,
            recompute: s.recompute,
            warmup: s.warmup,
            decay: s.decay,
            clip_norm: s.clip_norm,
            nbest: self.data.nbest,
            seed: s.seed,
            beta: s.beta,
            first_scale: s.first_scale,
            evals_per_epoch: s.evals_per_epoch,
            patience: s.patience,
        };
        config.validate().map_err(|error| match error {
            TrainError::Setting { setting, value, expected } => {
                let flag = setting.replace('_', "-");
                CliError::Usage(format!("--{flag} {value}: expected {expected}"))
            }
            other => CliError::at("training settings", &other),
        })?;
        Ok(config)
    }
}

impl MethodArgs {
    /// The method that was asked for, or else LoRA.
    fn info(&self) -> &'static MethodInfo {
        let name = self.method.as_deref().unwrap_or("lora");
        let Some(info) = MethodInfo::find(name) else {
            unreachable!("clap takes known names only")
        };
        info
    }

    /// The method and its settings for a base.
    pub fn method(&self, base: &BertConfig) -> Result<Method, CliError> {
        let (info, settings) = (self.info(), &self.settings.0);
        // A setting of another method would go unused.
        let mut given = methods::settings().into_iter().filter(|setting| settings.is_set(setting));
        if let Some(Setting { flag, .. }) = given.find(|setting| !info.has(setting)) {
            let text = format!("--{flag} does not apply to --method {}", info.name);
            return Err(CliError::Usage(text));
        }
        match self.budget {
            Some(fraction) => {
                let method = info.within(fraction, base, settings);
                method.map_err(|error| CliError::flag("--budget", &error))
            }
            None => (info.build)(settings).map_err(|error| method_error(&error)),
        }
    }
}

/// A setting of the method that is out of range, by the name of its flag.
pub fn method_error(error: &ModelError) -> CliError {
    match error {
        ModelError::UnknownTarget { .. } => CliError::flag("--lora-target-modules", error),
        ModelError::Lora { setting, what }
        | ModelError::Setting { setting, what }
        | ModelError::Method { setting, what, .. } => {
            let known = methods::settings().into_iter().find(|known| known.key == *setting);
            let flag = known.map_or(*setting, |known| known.flag);
            CliError::Usage(format!("--{flag} {what}"))
        }
        other => CliError::at("adapter", other),
    }
}
