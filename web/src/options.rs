//! What callers may set, by the names of PEFT and the core in camel case.

use lorb::methods::{ALPHA, LoraConfig, METHODS, MethodInfo, Settings};
use lorb::model::{Method, ModelError};
use lorb::train::{Decay, Objective, TrainConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Settings of a new adapter: `method`, `seed`, and the method's settings by their option names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct AdapterOptions {
    info: &'static MethodInfo,
    settings: Settings,
    /// Seed of the first values.
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
    /// The method; what is left out has the core's default, and alpha is twice the rank.
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

/// Settings of a training run; what is left out has the core's default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainOptions {
    objective: Objective,
    cor_weight: f32,
    label_smoothing: f32,
    lr: f64,
    weight_decay: f64,
    epochs: usize,
    batch_tokens: usize,
    accumulate: usize,
    recompute: bool,
    warmup: f64,
    decay: Decay,
    clip_norm: f64,
    nbest: usize,
    seed: u64,
    beta: f64,
    first_scale: Option<f64>,
    evals_per_epoch: usize,
    patience: Option<usize>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainConfig::default().into()
    }
}

/// Both ways, so that a setting of the core that is missing here does not compile.
macro_rules! settings {
    ($($name:ident),+) => {
        impl From<TrainConfig> for TrainOptions {
            fn from(TrainConfig { $($name),+ }: TrainConfig) -> Self {
                Self { $($name),+ }
            }
        }

        impl From<TrainOptions> for TrainConfig {
            fn from(TrainOptions { $($name),+ }: TrainOptions) -> Self {
                Self { $($name),+ }
            }
        }
    };
}

settings!(
    objective,
    cor_weight,
    label_smoothing,
    lr,
    weight_decay,
    epochs,
    batch_tokens,
    accumulate,
    recompute,
    warmup,
    decay,
    clip_norm,
    nbest,
    seed,
    beta,
    first_scale,
    evals_per_epoch,
    patience
);

#[cfg(test)]
mod tests {
    use lorb::methods::lora_config;

    use super::*;

    #[test]
    fn what_is_left_out_has_the_cores_default() {
        let options: TrainOptions =
            serde_json::from_str(r#"{"corWeight":0.01,"evalsPerEpoch":3}"#).unwrap();
        let expected =
            TrainConfig { cor_weight: 0.01, evals_per_epoch: 3, ..TrainConfig::default() };
        assert_eq!(TrainConfig::from(options), expected);
        let adapter: AdapterOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(adapter.method().unwrap(), LoraConfig::default().into());
    }

    #[test]
    fn unknown_settings_are_named() {
        let error = serde_json::from_str::<TrainOptions>(r#"{"cor_weight":1}"#).unwrap_err();
        assert!(error.to_string().contains("cor_weight"), "{error}");
        let error = serde_json::from_str::<AdapterOptions>(r#"{"rank":4}"#).unwrap_err();
        assert!(error.to_string().contains("rank"), "{error}");
    }

    #[test]
    fn targets_are_those_of_peft() {
        let options: AdapterOptions =
            serde_json::from_str(r#"{"r":4,"targetModules":["query","dense"],"layers":[1]}"#)
                .unwrap();
        let method = options.method().unwrap();
        let config = lora_config(&method).unwrap();
        assert_eq!((config.rank, config.alpha, config.targets.len()), (4, 8.0, 4));
        assert_eq!(config.layers, Some(vec![1]));
    }
}
