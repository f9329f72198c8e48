//! The settings of a training run.
//!
//! `settings.json` defines each setting once: name, type, default, range and help. `build/settings.rs`
//! turns it into [`TrainConfig`] and [`SETTINGS`]; the flags of `lorb train`, the keys of a study's
//! `[training]` table, the options of the npm package and their TypeScript types follow from it. A new
//! setting is an entry in that file, and the code that uses it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::TrainError;
use super::schedule::Decay;
use crate::ops::Objective;
use crate::text::{Conventions, Normalize, Unit};

include!(concat!(env!("OUT_DIR"), "/settings.rs"));

/// A setting of [`TrainConfig`].
pub struct Setting {
    /// The field, and the key in JSON and TOML: `label_smoothing`.
    pub name: &'static str,
    /// The name in JavaScript: `labelSmoothing`.
    pub option: &'static str,
    /// The flag without its dashes: `label-smoothing`.
    pub flag: &'static str,
    /// A description without a full stop.
    pub help: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The default as text; empty if there is none.
    pub default: &'static str,
    /// What happens by default, if that is not one value.
    pub default_note: Option<&'static str>,
    /// The values that are allowed, for numbers.
    pub range: Range,
    expected: &'static str,
    parse: fn(&mut TrainConfig, &str) -> Result<(), String>,
    read: fn(&mut TrainConfig, &Value) -> Result<(), serde_json::Error>,
    show: fn(&TrainConfig) -> String,
    number: fn(&TrainConfig) -> Option<f64>,
}

/// What the values of a setting are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number.
    Number,
    /// A whole number from 0 up.
    Whole,
    /// Yes or no; a flag without a value on the command line.
    Switch,
    /// One of several names. Gives the names, each with its help.
    Choice(fn() -> Vec<(&'static str, &'static str)>),
}

/// An interval of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower end.
    pub low: f64,
    /// Whether the lower end is outside.
    pub low_open: bool,
    /// Upper end; may be infinite.
    pub high: f64,
    /// Whether the upper end is outside.
    pub high_open: bool,
}

impl Range {
    /// All numbers.
    pub const ALL: Self =
        Self { low: f64::NEG_INFINITY, low_open: true, high: f64::INFINITY, high_open: true };

    /// Whether a number is inside. NaN never is.
    #[must_use]
    pub fn contains(self, number: f64) -> bool {
        let above = if self.low_open { number > self.low } else { number >= self.low };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below
    }
}

impl Setting {
    /// What is allowed, for error messages.
    #[must_use]
    pub fn expected(&self) -> String {
        match self.kind {
            _ if !self.expected.is_empty() => self.expected.to_owned(),
            Kind::Number => "a number".to_owned(),
            Kind::Whole => "a whole number".to_owned(),
            Kind::Switch => "true or false".to_owned(),
            Kind::Choice(choices) => {
                let names: Vec<&str> = choices().iter().map(|(name, _)| *name).collect();
                format!("one of {}", names.join(", "))
            }
        }
    }

    /// Parses a text and sets the value. Ranges are checked by [`TrainConfig::validate`].
    ///
    /// # Errors
    /// What is expected, if the text has another type.
    pub fn parse(&self, config: &mut TrainConfig, text: &str) -> Result<(), String> {
        (self.parse)(config, text)
    }

    /// Sets a value from JSON or TOML. Ranges are checked by [`TrainConfig::validate`].
    ///
    /// # Errors
    /// [`TrainError::Setting`], if the value has another type.
    pub fn read(&self, config: &mut TrainConfig, value: &Value) -> Result<(), TrainError> {
        (self.read)(config, value).map_err(|_| self.error(value.to_string()))
    }

    /// The value as text; empty for a value that is not set.
    #[must_use]
    pub fn show(&self, config: &TrainConfig) -> String {
        (self.show)(config)
    }

    fn error(&self, value: String) -> TrainError {
        TrainError::Setting { setting: self.name, value, expected: self.expected() }
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl TrainConfig {
    /// How texts are compared.
    #[must_use]
    pub fn conventions(&self) -> Conventions {
        Conventions { normalize: self.normalize, unit: self.unit, join: self.join }
    }

    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the first invalid setting and its valid range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let outside = |setting: &&Setting| {
            (setting.number)(self).is_some_and(|number| !setting.range.contains(number))
        };
        match SETTINGS.iter().find(outside) {
            Some(setting) => Err(setting.error(setting.show(self))),
            None if self.objective == Objective::Md && self.md_weight > 0.0 => {
                let expected = "0 with the objective md, which is MD itself".to_owned();
                let value = self.md_weight.to_string();
                Err(TrainError::Setting { setting: "md_weight", value, expected })
            }
            None => Ok(()),
        }
    }

    /// Whether a teacher's scores are needed.
    #[must_use]
    pub fn has_teacher(&self) -> bool {
        self.objective == Objective::Md || self.md_weight > 0.0
    }
}

/// The type of a setting.
trait Field: Sized {
    const KIND: Kind;

    fn parse(text: &str) -> Result<Self, String>;

    fn show(&self) -> String;

    /// The value as a number, for the range; `None` for what has no range.
    fn number(&self) -> Option<f64>;
}

/// A value from JSON.
fn read<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(value)
}

macro_rules! numbers {
    ($($type:ty: $kind:ident, $expected:literal;)+) => {
        $(impl Field for $type {
            const KIND: Kind = Kind::$kind;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        })+
    };
}

numbers! {
    f32: Number, "expected a number";
    f64: Number, "expected a number";
    usize: Whole, "expected a whole number";
    u64: Whole, "expected a whole number";
}

macro_rules! choices {
    ($($type:ty: $choices:expr;)+) => {
        $(impl Field for $type {
            const KIND: Kind = Kind::Choice($choices);

            fn parse(text: &str) -> Result<Self, String> {
                text.parse()
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn number(&self) -> Option<f64> {
                None
            }
        })+
    };
}

choices! {
    Objective: || Objective::ALL.map(|objective| (objective.name(), objective.info().help)).into();
    Decay: || Decay::ALL.map(|decay| (decay.name(), decay.help())).into();
    Normalize: || Normalize::ALL.map(|kind| (kind.name(), kind.help())).into();
    Unit: || Unit::ALL.map(|unit| (unit.name(), unit.help())).into();
}

impl Field for bool {
    const KIND: Kind = Kind::Switch;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected true or false".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<f64> {
        None
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }

    fn number(&self) -> Option<f64> {
        self.as_ref().and_then(T::number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_survives_json() {
        let config = TrainConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert!(
            json.contains(r#""objective":"mwer""#) && json.contains(r#""decay":"linear""#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<TrainConfig>(&json).unwrap(), config);
    }

    #[test]
    fn the_table_describes_the_struct() {
        let default = TrainConfig::default();
        let json = serde_json::to_value(&default).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
        for setting in &SETTINGS {
            assert_eq!(setting.show(&default), setting.default, "{setting:?}");
            // Text and JSON set the same, and only this setting.
            let mut config = default.clone();
            if !setting.default.is_empty() {
                setting.parse(&mut config, setting.default).unwrap();
            }
            setting.read(&mut config, &json[setting.name]).unwrap();
            assert_eq!(config, default, "{setting:?}");
            assert!(setting.parse(&mut config, "many").is_err(), "{setting:?}");
            let error = setting.read(&mut config, &serde_json::json!(["many"])).unwrap_err();
            assert!(error.to_string().contains(setting.name), "{error}");
            assert!(!setting.help.is_empty() && !setting.help.ends_with('.'), "{setting:?}");
            assert!(!setting.expected().is_empty(), "{setting:?}");
        }
        let smoothing = SETTINGS.iter().find(|setting| setting.name == "label_smoothing").unwrap();
        assert_eq!((smoothing.option, smoothing.flag), ("labelSmoothing", "label-smoothing"));
        let mut config = default.clone();
        smoothing.parse(&mut config, "0.25").unwrap();
        assert_eq!(config, TrainConfig { label_smoothing: 0.25, ..default });
    }

    #[test]
    fn files_of_earlier_versions_load() {
        // As version 0.1 wrote it, and without a setting that came later.
        let json = r#"{"objective":"listwise","cor_weight":0.05,"label_smoothing":0.1,"lr":0.002,"weight_decay":0.0,"epochs":3,"batch_tokens":4096,"accumulate":1,"warmup":0.1,"decay":"cosine","clip_norm":1.0,"nbest":10,"seed":7,"beta":1.0,"first_scale":0.5,"evals_per_epoch":2,"patience":4}"#;
        let config: TrainConfig = serde_json::from_str(json).unwrap();
        let expected = TrainConfig {
            objective: Objective::Listwise,
            cor_weight: 0.05,
            decay: Decay::Cosine,
            seed: 7,
            first_scale: Some(0.5),
            patience: Some(4),
            ..TrainConfig::default()
        };
        assert_eq!(config, expected);
        assert!(serde_json::from_str::<TrainConfig>(r#"{"momentum":0.9}"#).is_err());
    }

    #[test]
    fn settings_out_of_range_are_reported() {
        type Change = fn(&mut TrainConfig);
        let cases: [(&str, Change); 20] = [
            ("md_weight", |c| c.md_weight = -0.1),
            ("md_weight", |c| (c.objective, c.md_weight) = (Objective::Md, 0.1)),
            ("cor_weight", |c| c.cor_weight = -0.1),
            ("cor_weight", |c| c.cor_weight = f32::NAN),
            ("label_smoothing", |c| c.label_smoothing = 1.0),
            ("lr", |c| c.lr = 0.0),
            ("lr", |c| c.lr = f64::INFINITY),
            ("weight_decay", |c| c.weight_decay = -1.0),
            ("epochs", |c| c.epochs = 0),
            ("batch_tokens", |c| c.batch_tokens = 0),
            ("accumulate", |c| c.accumulate = 0),
            ("warmup", |c| c.warmup = 1.5),
            ("warmup", |c| c.warmup = f64::NAN),
            ("clip_norm", |c| c.clip_norm = f64::NAN),
            ("nbest", |c| c.nbest = 1),
            ("beta", |c| c.beta = 0.0),
            ("beta", |c| c.beta = f64::NAN),
            ("first_scale", |c| c.first_scale = Some(0.0)),
            ("evals_per_epoch", |c| c.evals_per_epoch = 0),
            ("patience", |c| c.patience = Some(0)),
        ];
        for (name, spoil) in cases {
            let mut config = TrainConfig::default();
            spoil(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}
