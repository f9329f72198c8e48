//! What a training run does.

use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::schedule::Decay;
use crate::ops::Objective;

/// Settings of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What the scores of a list are trained for.
    pub objective: Objective,
    /// Weight of the correlation term beside the objective; 0 leaves it out.
    pub cor_weight: f32,
    /// Part of the list-wise target that is spread over all hypotheses, in `[0, 1)`.
    pub label_smoothing: f32,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay per unit of learning rate.
    pub weight_decay: f64,
    /// Passes over the training lists.
    pub epochs: usize,
    /// Most tokens of distinct texts in a batch; a list that has more is a batch by itself.
    pub batch_tokens: usize,
    /// Batches whose gradients make one step of the optimiser.
    pub accumulate: usize,
    /// Keep only each layer's input in the forward pass, and run the layer again in the backward
    /// pass: less memory for some 40 % more time. The result is the same: on the CPU in every bit, on
    /// GPUs but for rounding.
    #[serde(default)]
    pub recompute: bool,
    /// Part of all steps in which the learning rate climbs, in `[0, 1]`.
    pub warmup: f64,
    /// Course of the learning rate after that.
    pub decay: Decay,
    /// Longest gradient (Euclidean norm over all parameters) that is not shortened to this length;
    /// 0 never shortens.
    pub clip_norm: f64,
    /// Most hypotheses of a training list; of a longer one those with the best first-pass scores
    /// are taken. Development lists are never cut: rescoring does not cut either.
    pub nbest: usize,
    /// Seed of the order of lists and of dropout.
    pub seed: u64,
    /// Factor of the model's score in training, `s = first_scale * first + beta * lm`.
    pub beta: f64,
    /// Factor of the first-pass scores in training; `None` takes the one that
    /// [`first_scale`](super::first_scale) finds. Rescoring leaves first-pass scores as they are,
    /// with a beta tuned for that.
    pub first_scale: Option<f64>,
    /// Evaluations of the development set in an epoch, at equal distances, the last at its end.
    pub evals_per_epoch: usize,
    /// Evaluations without a better WER after which the run stops; `None` never stops early.
    pub patience: Option<usize>,
}

impl Default for TrainConfig {
    /// MWER without the correlation term, three epochs at 2e-3, the rate that did best on LibriSpeech (docs/RESULTS.md).
    fn default() -> Self {
        Self {
            objective: Objective::Mwer,
            cor_weight: 0.0,
            label_smoothing: 0.1,
            lr: 2e-3,
            weight_decay: 0.0,
            epochs: 3,
            batch_tokens: 4096,
            accumulate: 1,
            recompute: false,
            warmup: 0.1,
            decay: Decay::Linear,
            clip_norm: 1.0,
            nbest: 10,
            seed: 0,
            beta: 1.0,
            first_scale: None,
            evals_per_epoch: 2,
            patience: None,
        }
    }
}

impl TrainConfig {
    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the first that is not, and what is allowed.
    pub fn validate(&self) -> Result<(), TrainError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let checks: [(&'static str, bool, String, &'static str); 14] = [
            (
                "cor_weight",
                not_negative(self.cor_weight.into()),
                self.cor_weight.to_string(),
                "a number from 0 up",
            ),
            (
                "label_smoothing",
                (0.0..1.0).contains(&self.label_smoothing),
                self.label_smoothing.to_string(),
                "a number from 0 up, below 1",
            ),
            ("lr", positive(self.lr), self.lr.to_string(), "a positive number, such as 1e-3"),
            (
                "weight_decay",
                not_negative(self.weight_decay),
                self.weight_decay.to_string(),
                "a number from 0 up",
            ),
            ("epochs", self.epochs > 0, self.epochs.to_string(), "1 or more"),
            (
                "batch_tokens",
                self.batch_tokens > 0,
                self.batch_tokens.to_string(),
                "1 or more, such as 4096",
            ),
            ("accumulate", self.accumulate > 0, self.accumulate.to_string(), "1 or more"),
            (
                "warmup",
                (0.0..=1.0).contains(&self.warmup),
                self.warmup.to_string(),
                "a part of all steps, from 0 to 1",
            ),
            (
                "clip_norm",
                not_negative(self.clip_norm),
                self.clip_norm.to_string(),
                "a number from 0 up, 0 for no clipping",
            ),
            (
                "nbest",
                self.nbest > 1,
                self.nbest.to_string(),
                "2 or more: of one hypothesis there is nothing to choose",
            ),
            ("beta", positive(self.beta), self.beta.to_string(), "a positive number, such as 1"),
            (
                "first_scale",
                self.first_scale.is_none_or(positive),
                self.first_scale.unwrap_or_default().to_string(),
                "a positive number, such as 1",
            ),
            (
                "evals_per_epoch",
                self.evals_per_epoch > 0,
                self.evals_per_epoch.to_string(),
                "1 or more",
            ),
            ("patience", self.patience != Some(0), "0".to_owned(), "1 or more"),
        ];
        match checks.into_iter().find(|(_, sound, ..)| !sound) {
            Some((setting, _, value, expected)) => {
                Err(TrainError::Setting { setting, value, expected })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_survives_json() {
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
    fn settings_out_of_range_are_named() {
        type Spoil = fn(&mut TrainConfig);
        let cases: [(&str, Spoil); 18] = [
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
