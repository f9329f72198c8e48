//! The flags of `lorb train`. Defaults come from the library.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use lorb::base::BertConfig;
use lorb::methods::{
    self, CORRELATION_WEIGHT, METHODS, MethodInfo, Setting, SettingKind, Settings,
    chosen_by_budget, number_value,
};
use lorb::model::{Method, ModelError};
use lorb::train::TrainConfig;

use serde_json::Value;

use super::args::{BaseArgs, ReadArgs, RunArgs, choices};
use super::error::CliError;
use super::training_args::TrainingArgs;

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub base: BaseArgs,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
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
    /// Lists with references, used to select the best checkpoint and to tune beta
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub dev: Vec<PathBuf>,
    /// Directory for the adapter: adapter_config.json and adapter_model.safetensors
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
}

#[derive(Args)]
#[command(next_help_heading = "Method")]
pub struct MethodArgs {
    /// Tuning method [default: lora]
    #[arg(long, value_parser = method_names(), conflicts_with = "init_adapter")]
    method: Option<String>,
    /// Choose rank and layers, prefix length or bottleneck width so that at most this fraction of the
    /// base's parameters is trained, such as 0.08%
    #[arg(long, value_name = "FRACTION", value_parser = share, conflicts_with = "init_adapter")]
    pub budget: Option<f64>,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Start from this adapter, with its settings; a missing score head is initialised
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

/// A fraction, such as `0.08%` or `0.0008`.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / unit);
    let sound = share.filter(|share| share.is_finite() && *share > 0.0);
    sound.ok_or_else(|| "expected a fraction of the parameters, such as 0.08%".to_owned())
}

#[derive(Args)]
#[command(next_help_heading = "Files of the run")]
pub struct KeepingArgs {
    /// Steps between checkpoints, which are also written at evaluations and on Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::args::at_least_one)]
    pub checkpoint_every: usize,
    /// Resume from the checkpoint in the output directory
    #[arg(long)]
    pub resume: bool,
    /// Overwrite an existing adapter or checkpoint
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Append every message of the run to this file as JSON lines
    #[arg(long, value_name = "FILE")]
    pub log_json: Option<PathBuf>,
}

impl TrainArgs {
    /// The validated settings of the run.
    pub fn config(&self) -> Result<TrainConfig, CliError> {
        let mut config = TrainConfig::default();
        if self.method.info().correlates.is_some() {
            config.cor_weight = CORRELATION_WEIGHT;
        }
        self.training.over(config)
    }
}

impl MethodArgs {
    /// The requested method, LoRA by default.
    fn info(&self) -> &'static MethodInfo {
        let name = self.method.as_deref().unwrap_or("lora");
        let Some(info) = MethodInfo::find(name) else {
            unreachable!("clap accepts only known names")
        };
        info
    }

    /// The method and its settings for a base.
    pub fn method(&self, base: &BertConfig) -> Result<Method, CliError> {
        let (info, settings) = (self.info(), &self.settings.0);
        // A setting of another method would be unused.
        let mut given = methods::settings().into_iter().filter(|setting| settings.is_set(setting));
        if let Some(Setting { flag, .. }) = given.find(|setting| !info.has(setting)) {
            let text = format!("--{flag} does not apply to --method {}", info.name);
            return Err(CliError::Usage(text));
        }
        match self.budget {
            Some(fraction) => {
                let method = info.within_budget(fraction, base, settings);
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
