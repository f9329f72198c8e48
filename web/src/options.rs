//! What callers may set, by the names of PEFT and the core in camel case.

use lorb::model::{LoraConfig, ModelError, Target};
use lorb::train::{Decay, Objective, TrainConfig};
use serde::Deserialize;

/// Settings of a new adapter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdapterOptions {
    r: Option<usize>,
    alpha: Option<f32>,
    dropout: Option<f32>,
    target_modules: Option<Vec<String>>,
    rslora: Option<bool>,
    layers: Option<Vec<usize>>,
    /// Seed of the first values.
    pub seed: u64,
}

impl AdapterOptions {
    /// The core's settings; what is left out has the core's default, and alpha is twice the rank.
    ///
    /// # Errors
    /// [`ModelError::UnknownTarget`] names a target module that there is none of.
    pub fn config(&self) -> Result<LoraConfig, ModelError> {
        let default = LoraConfig::default();
        let rank = self.r.unwrap_or(default.rank);
        let targets = self.target_modules.as_ref().map(Target::parse_list).transpose()?;
        Ok(LoraConfig {
            rank,
            alpha: self.alpha.unwrap_or(2.0 * rank as f32),
            dropout: self.dropout.unwrap_or(default.dropout),
            targets: targets.unwrap_or(default.targets),
            rslora: self.rslora.unwrap_or(default.rslora),
            layers: self.layers.clone(),
            variant: default.variant,
        })
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
    use super::*;

    #[test]
    fn what_is_left_out_has_the_cores_default() {
        let options: TrainOptions =
            serde_json::from_str(r#"{"corWeight":0.01,"evalsPerEpoch":3}"#).unwrap();
        let expected =
            TrainConfig { cor_weight: 0.01, evals_per_epoch: 3, ..TrainConfig::default() };
        assert_eq!(TrainConfig::from(options), expected);
        let adapter: AdapterOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(adapter.config().unwrap(), LoraConfig::default());
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
        let config = options.config().unwrap();
        assert_eq!((config.rank, config.alpha, config.targets.len()), (4, 8.0, 4));
        assert_eq!(config.layers, Some(vec![1]));
    }
}
