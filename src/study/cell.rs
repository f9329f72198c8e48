//! One run of a study.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::config::{Budget, RobustnessConfig, StudyConfig};
use super::method::label;
use crate::digest::hex;

/// First 16 hexadecimal digits of the SHA-256 of everything that a run's result depends on.
pub type CellId = String;

/// What a run differs in from others of its study. Axes that its method does not have are `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The base, as the configuration names it.
    pub base: String,
    /// The method's name.
    pub method: String,
    /// Rank of the updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Linear layers adapted, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
    /// Part of the base that may be trained, in place of rank and targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Training utterances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterances: Option<usize>,
    /// Peak learning rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Part of the steps in which the rate climbs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,
    /// Weight of the correlation term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cor_weight: Option<f32>,
    /// Seed of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether it is tested on perturbed lists too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub perturbed: bool,
}

/// Fingerprints of what a study reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Of the training, dev and test lists of the target domain.
    pub target: [String; 3],
    /// Names and test lists of the other domains.
    pub non_target: Vec<(String, String)>,
    /// Bases by name, with the SHA-256 of their weights.
    pub bases: Vec<(String, String)>,
    /// Of the pronouncing dictionary.
    pub dictionary: Option<String>,
}

impl Cell {
    /// The id. Only what the result depends on enters: the dictionary where the run is perturbed,
    /// settings of training where it is trained, the content of a base and not its name.
    ///
    /// # Errors
    /// [`super::StudyError::Value`] where `[training]` is not sound.
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
        if self.lr.is_some() {
            all["training"] = json!(config.train_config()?);
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

    /// The run without its seed: what is averaged over seeds.
    #[must_use]
    pub fn without_seed(&self) -> Self {
        Self { seed: None, ..self.clone() }
    }

    /// One line for people.
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

/// JSON with the keys of every object in order, so that equal values give equal bytes.
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
