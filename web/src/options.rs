//! Options for callers: the names of PEFT and the core in camel case.

use lorb::methods::{ALPHA, LoraConfig, METHODS, MethodInfo, Settings};
use lorb::model::{Method, ModelError};
use lorb::train::{SETTINGS, TrainConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::WebError;

/// Settings of a new adapter: `method`, `seed`, and the method's settings by their option names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct AdapterOptions {
    info: &'static MethodInfo,
    settings: Settings,
    /// Seed of the initial values.
    pub seed: u64,
}

impl TryFrom<Map<String, Value>> for AdapterOptions {
    type Error = String;

    fn try_from(mut map: Map<String, Value>) -> Result<Self, String> {
        let name = map.remove("method").unwrap_or_else(|| "lora".into());
        let info = name.as_str().and_then(MethodInfo::find).ok_or_else(|| {
            let names: Vec<&str> = METHODS.iter().map(|info| info.name).collect();
            format!("unknown method {name}; expected one of {}", names.join(", "))
        })?;
        let seed = map.remove("seed").unwrap_or_else(|| 0.into());
        let seed =
            seed.as_u64().ok_or_else(|| format!("seed is {seed}; expected a whole number"))?;
        let mut settings = Settings::new();
        for setting in info.settings {
            if let Some(value) = map.remove(setting.option) {
                settings = settings.with(setting, value);
            }
        }
        match map.keys().next() {
            Some(key) => Err(format!("unknown option `{key}` of method {}", info.name)),
            None => Ok(Self { info, settings, seed }),
        }
    }
}

impl AdapterOptions {
    /// The method. Missing settings have the core's defaults; alpha is twice the rank.
    ///
    /// # Errors
    /// [`ModelError`] names the setting.
    pub fn method(&self) -> Result<Method, ModelError> {
        let mut settings = self.settings.clone();
        if let Some(size) = self.info.size.filter(|_| self.info.low_rank) {
            let rank = settings.count(size)?.unwrap_or(LoraConfig::default().rank);
            settings = settings.or(&ALPHA, 2.0 * rank as f64);
        }
        (self.info.build)(&settings)
    }
}

/// The settings of a training run, by the names of [`SETTINGS`] in camel case. Missing settings
/// have the core's defaults.
///
/// # Errors
/// `BadInputError` names an unknown setting, or one with a value of the wrong type.
pub fn train_config(options: &Map<String, Value>) -> Result<TrainConfig, WebError> {
    let mut config = TrainConfig::default();
    for (option, value) in options {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.option == option) else {
            let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.option).collect();
            let known = known.join(", ");
            return Err(WebError::input(format_args!(
                "unknown training option {option:?}; expected one of {known}"
            )));
        };
        setting.read(&mut config, value)?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use lorb::methods::lora_config;
    use lorb::train::Kind;

    use super::*;

    fn read(json: &str) -> Result<TrainConfig, WebError> {
        train_config(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn omitted_settings_have_the_cores_defaults() {
        let config = read(r#"{"corWeight":0.01,"evalsPerEpoch":3,"firstScale":null}"#).unwrap();
        let expected =
            TrainConfig { cor_weight: 0.01, evals_per_epoch: 3, ..TrainConfig::default() };
        assert_eq!(config, expected);
        let adapter: AdapterOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(adapter.method().unwrap(), LoraConfig::default().into());
    }

    #[test]
    fn every_setting_of_the_core_is_an_option() {
        let changed = TrainConfig { epochs: 7, patience: Some(2), ..TrainConfig::default() };
        let json = serde_json::to_value(&changed).unwrap();
        let options = SETTINGS.iter().map(|s| (s.option.to_owned(), json[s.name].clone()));
        assert_eq!(train_config(&options.collect()).unwrap(), changed);
    }

    #[test]
    fn unknown_settings_and_wrong_types_are_named() {
        let error = read(r#"{"cor_weight":1}"#).unwrap_err();
        assert!(error.message.contains("\"cor_weight\"; expected one of objective, corWeight"));
        assert_eq!(error.name, "BadInputError");
        let error = read(r#"{"labelSmoothing":"much"}"#).unwrap_err();
        assert_eq!(
            (error.name, error.message.as_str()),
            (
                "BadInputError",
                "training option labelSmoothing is \"much\"; expected a fraction, 0 or more and below 1"
            )
        );
        let error = serde_json::from_str::<AdapterOptions>(r#"{"rank":4}"#).unwrap_err();
        assert!(error.to_string().contains("rank"), "{error}");
    }

    #[test]
    fn the_types_of_the_package_list_every_choice() {
        let types = include_str!("../js/types.ts");
        for (name, r#type) in [("decay", "Decay"), ("normalize", "Normalize"), ("unit", "Unit")] {
            let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
            let Kind::Choice(choices) = setting.kind else { panic!("{name} is a choice") };
            let names: Vec<String> =
                choices().iter().map(|(name, _)| format!("'{name}'")).collect();
            let union = format!("export type {} = {};", r#type, names.join(" | "));
            assert!(types.contains(&union), "web/js/types.ts lacks: {union}");
        }
    }

    #[test]
    fn targets_match_peft() {
        let options: AdapterOptions =
            serde_json::from_str(r#"{"r":4,"targetModules":["query","dense"],"layers":[1]}"#)
                .unwrap();
        let method = options.method().unwrap();
        let config = lora_config(&method).unwrap();
        assert_eq!((config.rank, config.alpha, config.targets.len()), (4, 8.0, 4));
        assert_eq!(config.layers, Some(vec![1]));
    }
}
