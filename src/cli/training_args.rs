//! The flags of the training settings, made of the library's table.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use lorb::train::{Kind, SETTINGS, Setting, TrainConfig, TrainError};

use super::error::CliError;

/// The settings that the command line names, with their values.
#[derive(Debug, Clone, Default)]
pub struct TrainingArgs {
    given: Vec<(&'static Setting, String)>,
}

impl TrainingArgs {
    /// Those of some settings that the command line names.
    fn given(settings: impl Iterator<Item = &'static Setting>, matches: &ArgMatches) -> Self {
        let given = |setting: &&Setting| {
            matches.value_source(setting.name) == Some(ValueSource::CommandLine)
        };
        let text = |setting: &Setting| match setting.kind {
            Kind::Switch => matches.get_flag(setting.name).to_string(),
            _ => matches.get_one::<String>(setting.name).cloned().unwrap_or_default(),
        };
        Self { given: settings.filter(given).map(|setting| (setting, text(setting))).collect() }
    }

    /// These settings in place of those of `config`, checked.
    pub fn over(&self, mut config: TrainConfig) -> Result<TrainConfig, CliError> {
        for (setting, text) in &self.given {
            setting
                .parse(&mut config, text)
                .map_err(|error| CliError::Usage(format!("--{} {text}: {error}", setting.flag)))?;
        }
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

impl Args for TrainingArgs {
    fn augment_args(command: Command) -> Command {
        command.next_help_heading("Training").args(SETTINGS.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TrainingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::given(SETTINGS.iter(), matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The settings of a run on plain text.
const OF_TEXTS: [&str; 11] = [
    "lr",
    "weight_decay",
    "epochs",
    "batch_tokens",
    "accumulate",
    "warmup",
    "decay",
    "clip_norm",
    "seed",
    "evals_per_epoch",
    "patience",
];

/// The settings of a run on plain text that the command line names, over other defaults than those of lists.
#[derive(Debug, Clone, Default)]
pub struct TextTrainingArgs(TrainingArgs);

impl TextTrainingArgs {
    /// All weights are trained, from values that are good already.
    fn defaults() -> TrainConfig {
        TrainConfig { lr: 5e-4, epochs: 1, evals_per_epoch: 4, ..TrainConfig::default() }
    }

    /// The settings of the run, checked.
    pub fn config(&self) -> Result<TrainConfig, CliError> {
        self.0.over(Self::defaults())
    }
}

impl Args for TextTrainingArgs {
    fn augment_args(command: Command) -> Command {
        let defaults = Self::defaults();
        let of_texts = SETTINGS.iter().filter(|setting| OF_TEXTS.contains(&setting.name));
        command.next_help_heading("Training").args(of_texts.map(|setting| {
            let (own, table) = (setting.show(&defaults), setting.default);
            let arg = arg(setting);
            if own == table {
                return arg;
            }
            arg.default_value(None::<&str>).help(format!("{} [default: {own}]", setting.help))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TextTrainingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = |setting: &&Setting| OF_TEXTS.contains(&setting.name);
        Ok(Self(TrainingArgs::given(SETTINGS.iter().filter(named), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name).long(setting.flag);
    let arg = match setting.kind {
        Kind::Switch => return arg.action(ArgAction::SetTrue).help(setting.help),
        Kind::Number | Kind::Whole => {
            // Parsed here for the error of clap's own form, and kept as text.
            let check = move |text: &str| {
                let parsed = setting.parse(&mut TrainConfig::default(), text);
                parsed.map(|()| text.to_owned())
            };
            arg.value_parser(check).allow_negative_numbers(true).value_name(value_name(setting))
        }
        Kind::Choice(choices) => {
            let values =
                choices().into_iter().map(|(name, help)| PossibleValue::new(name).help(help));
            arg.value_parser(PossibleValuesParser::new(values)).value_name(value_name(setting))
        }
    };
    match setting.default_note {
        Some(note) => arg.help(format!("{} [default: {note}]", setting.help)),
        None => arg.help(setting.help).default_value(setting.default),
    }
}

/// A placeholder that hints at the values: P is a fraction.
fn value_name(setting: &Setting) -> &'static str {
    match setting.kind {
        Kind::Whole => "N",
        Kind::Number if setting.range.high == 1.0 => "P",
        Kind::Choice(_) => "NAME",
        _ => "X",
    }
}
