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
        let given = |setting: &&Setting| {
            matches.value_source(setting.name) == Some(ValueSource::CommandLine)
        };
        let text = |setting: &Setting| match setting.kind {
            Kind::Switch => matches.get_flag(setting.name).to_string(),
            _ => matches.get_one::<String>(setting.name).cloned().unwrap_or_default(),
        };
        let settings = SETTINGS.iter().filter(given);
        Ok(Self { given: settings.map(|setting| (setting, text(setting))).collect() })
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
