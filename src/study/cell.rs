//! One run of a study.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::config::{Budget, RobustnessConfig, StudyConfig};
use super::method::label;
use crate::digest::hex;

/// First 16 hexadecimal digits of a SHA-256 over everything that a run's result depends on.
pub type CellId = String;

/// The settings that distinguish a run from others of its study. Axes that do not apply to its method are `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The base's name in the configuration.
    pub base: String,
    /// The method's name.
    pub method: String,
    /// Rank of the updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Adapted linear layers, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
    /// Fraction of the base that may be trained, instead of rank and targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Training utterances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterances: Option<usize>,
    /// Peak learning rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Fraction of steps used for warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,
    /// Weight of the correlation term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cor_weight: Option<f32>,
    /// Seed of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether it is also tested on perturbed lists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub perturbed: bool,
}

/// Fingerprints of a study's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Fingerprints of the training, dev and test lists of the target domain.
    pub target: [String; 3],
    /// Names and test lists of the other domains.
    pub non_target: Vec<(String, String)>,
    /// Bases by name, with the SHA-256 of their weights.
    pub bases: Vec<(String, String)>,
    /// Fingerprint of the pronouncing dictionary.
    pub dictionary: Option<String>,
}

impl Cell {
    /// The id. It depends only on what affects the result: the dictionary if the run is perturbed, training
    /// settings if it is trained, the contents of a base but not its name.
    ///
    /// # Errors
    /// [`super::StudyError::Value`] if `[training]` is invalid.
    pub fn id(&self, config: &StudyConfig, inputs: &Inputs) -> Result<CellId, super::StudyError> {
        let base = inputs.bases.iter().find(|(name, _)| *name == self.base);
        let mut cell = json!(self);
        cell["base"] = base.map_or(Value::Null, |(_, hash)| json!(hash));
        let mut all = json!({
            "version": 1,
            "cell": cell,
            "alpha": config.alpha,
            "dropout": config.dropout,
            "dev": inputs.target[1],
            "test": inputs.target[2],
            "non_target": inputs.non_target,
        });
        let training = config.train_config()?;
        // Absent by default, so that results of studies that do not set them keep their ids.
        let conventions = training.conventions();
        if !conventions.is_default() {
            all["conventions"] = json!(conventions);
        }
        if self.lr.is_some() {
            let mut training = json!(training);
            if let Some(settings) = training.as_object_mut() {
                settings.retain(|name, _| !matches!(name.as_str(), "normalize" | "unit" | "join"));
            }
            all["training"] = training;
            all["train"] = json!(inputs.target[0]);
            all["subset_seed"] = json!(config.subset_seed);
        }
        for (name, value) in config.method_values(&self.method)? {
            all[name] = value;
        }
        if let Some(RobustnessConfig { rates, seed, .. }) =
            config.robustness.as_ref().filter(|_| self.perturbed)
        {
            all["robustness"] = json!({
                "dictionary": inputs.dictionary, "rates": rates, "seed": seed
            });
        }
        let mut hasher = Sha256::new();
        hasher.update(canonical(&all));
        let mut id = hex(hasher);
        id.truncate(16);
        Ok(id)
    }

    /// The cell without its seed; results are averaged over seeds.
    #[must_use]
    pub fn without_seed(&self) -> Self {
        Self { seed: None, ..self.clone() }
    }

    /// A one-line description.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts = vec![label(&self.method).to_owned()];
        let mut add = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name} {value}")));
        };
        add("rank", self.rank.map(|rank| rank.to_string()));
        add("on", self.targets.clone());
        add("within", self.budget.as_ref().map(|budget| budget.0.clone()));
        add("utterances", self.utterances.map(|count| count.to_string()));
        add("lr", self.lr.map(|lr| lr.to_string()));
        add("warm-up", self.warmup.map(|warmup| warmup.to_string()));
        add("correlation", self.cor_weight.filter(|&w| w > 0.0).map(|w| w.to_string()));
        add("seed", self.seed.map(|seed| seed.to_string()));
        parts.join(", ")
    }
}

/// JSON with sorted keys, so that equal values give equal bytes.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let entry = |key: &String| format!("{}:{}", json!(key), canonical(&map[key]));
            format!("{{{}}}", keys.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
