//! The configuration file of a study.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::list_reading::{ListReading, check_format};
use super::method::{method, methods};
use super::{StudyError, training};
use crate::methods::{CORRELATION_WEIGHT, MethodInfo, Setting, Settings};
use crate::model::Target as Layer;
use crate::train::TrainConfig;

/// A study. Paths are as written; the caller decides what they are relative to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    /// Title of the report.
    pub name: String,
    /// A short description for the head of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Pretrained bases: directories or hub ids, whole or the lowest layers of one; see [`BaseName`].
    pub bases: Vec<String>,
    /// The domain that is trained on.
    pub target: Target,
    /// Domains that are only tested on.
    #[serde(default)]
    pub non_target: Vec<Domain>,
    /// Format of the lists, by the names of [`FORMATS`](crate::nbest::FORMATS); detected if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Settings of every run, with the names of [`TrainConfig`].
    #[serde(default)]
    pub training: Map<String, Value>,
    /// Numerator of the scale of low-rank updates.
    #[serde(default = "default_alpha")]
    pub alpha: f32,
    /// Dropout rate on the inputs of the LoRA layers; not used for DoRA.
    #[serde(default)]
    pub dropout: f32,
    /// Virtual tokens of a prefix; the same as `prefix_length` in `settings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_length: Option<usize>,
    /// Width of residual adapters; the same as `adapter_width` in `settings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_width: Option<usize>,
    /// Settings of methods, by the names of their flags with underscores. Ranks and targets are in the grids.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Peak learning rate by method; `all` applies to methods not listed.
    pub learning_rates: BTreeMap<String, f64>,
    /// Default weight of the correlation term in the methods `lorb` and `adalorb`.
    #[serde(default = "default_cor_weight")]
    pub cor_weight: f32,
    /// Seed of the order that defines subsets of the training lists.
    #[serde(default)]
    pub subset_seed: u64,
    /// The comparisons.
    pub grid: Vec<Grid>,
    /// Replaces words by homophones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<RobustnessConfig>,
}

fn default_alpha() -> f32 {
    16.0
}

fn default_cor_weight() -> f32 {
    CORRELATION_WEIGHT
}

/// The domain that is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name in the report.
    pub name: String,
    /// Lists with references to train on.
    pub train: Vec<String>,
    /// Lists that select the best checkpoint and tune beta.
    pub dev: Vec<String>,
    /// Test lists.
    pub test: Vec<String>,
    /// How these lists are read.
    #[serde(default, skip_serializing_if = "ListReading::is_default")]
    pub reading: ListReading,
}

/// Another domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Name in the report.
    pub name: String,
    /// Test lists.
    pub test: Vec<String>,
    /// Lists that tune beta for this domain. If there are none, the weights of the target are used, which do not fit a
    /// recogniser whose scores have another scale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dev: Vec<String>,
    /// Number of test utterances to use, drawn with the study's `subset_seed`; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterances: Option<usize>,
    /// How these lists are read.
    #[serde(default, skip_serializing_if = "ListReading::is_default")]
    pub reading: ListReading,
}

/// A base in a configuration: `"bert-base-cased"`, or `"bert-base-cased, first 6 layers"` for only its
/// lowest layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseName<'a> {
    /// The directory or hub id.
    pub source: &'a str,
    /// Number of layers; `None` for all.
    pub layers: Option<usize>,
}

impl<'a> BaseName<'a> {
    /// Parses a name.
    #[must_use]
    pub fn parse(name: &'a str) -> Self {
        let cut = || {
            let (source, rest) = name.rsplit_once(", first ")?;
            let count = rest.strip_suffix(" layers").or_else(|| rest.strip_suffix(" layer"))?;
            Some(Self { source, layers: Some(count.parse().ok()?) })
        };
        cut().unwrap_or(Self { source: name, layers: None })
    }
}

/// The part of the report that a grid belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Comparison of methods, in and out of domain.
    Methods,
    /// WER against the number of training utterances.
    Data,
    /// WER against the size of the base.
    Bases,
    /// WER over learning rate and warm-up.
    Stability,
    /// The correlation term on and off.
    Correlation,
}

/// One comparison: the product of its axes. An omitted axis has one fixed value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The part of the report.
    pub part: Part,
    /// Methods by name.
    pub methods: Vec<String>,
    /// Bases, a subset of the study's; by default the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bases: Option<Vec<String>>,
    /// Ranks, for methods that have a rank.
    #[serde(default = "default_ranks")]
    pub ranks: Vec<usize>,
    /// Target modules as for `lorb train`, such as `"query,value"`; each entry is one set.
    #[serde(default = "default_targets")]
    pub targets: Vec<String>,
    /// Fractions of the base that may be trained, such as `"0.08%"`, instead of ranks and targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<Vec<Budget>>,
    /// Seeds for initial weights, order of lists and dropout.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// Training utterances: counts, or fractions of all of them.
    #[serde(default = "default_sizes")]
    pub sizes: Vec<Size>,
    /// Learning rates by method, overriding those of the study; `all` applies to methods not listed.
    #[serde(default)]
    pub learning_rates: BTreeMap<String, Vec<f64>>,
    /// Fractions of steps used for warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmups: Option<Vec<f64>>,
    /// Weights of the correlation term, for every method of the grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cor_weights: Option<Vec<f32>>,
}

fn default_ranks() -> Vec<usize> {
    vec![8]
}

fn default_targets() -> Vec<String> {
    vec!["query,value".into()]
}

fn default_seeds() -> Vec<u64> {
    vec![0]
}

fn default_sizes() -> Vec<Size> {
    vec![Size::Part(1.0)]
}

/// The number of training utterances: an integer, or a fraction of all, written with a decimal point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// A count.
    Utterances(u64),
    /// A fraction of all.
    Part(f64),
}

impl Size {
    /// The number of utterances out of `all`, at least 1 and at most `all`.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        let wanted = match self {
            Self::Utterances(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Part(part) => (part * all as f64).round() as usize,
        };
        wanted.clamp(1, all.max(1))
    }
}

/// A fraction of the base's parameters, written as a percentage: `"0.08%"`.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Budget(pub String);

impl Budget {
    /// The fraction; `None` if the text is not a percentage above 0 and up to 100.
    #[must_use]
    pub fn part(&self) -> Option<f64> {
        let percent: f64 = self.0.trim().strip_suffix('%')?.trim_end().parse().ok()?;
        (percent > 0.0 && percent <= 100.0).then_some(percent / 100.0)
    }
}

/// Replaces words of the test lists by homophones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustnessConfig {
    /// A pronouncing dictionary: one word and its phones per line.
    pub dictionary: String,
    /// Probabilities of replacing a word that has a homophone.
    #[serde(default = "default_rates")]
    pub rates: Vec<f64>,
    /// Seed of the replacements.
    #[serde(default)]
    pub seed: u64,
    /// Parts of the report whose runs are tested on perturbed lists.
    #[serde(default = "default_parts")]
    pub parts: Vec<Part>,
}

fn default_rates() -> Vec<f64> {
    vec![0.1, 0.3]
}

fn default_parts() -> Vec<Part> {
    vec![Part::Methods]
}

impl StudyConfig {
    /// Validates all values.
    ///
    /// # Errors
    /// [`StudyError::Value`] names the first invalid key, its value, and what is expected.
    pub fn validate(&self) -> Result<(), StudyError> {
        not_empty("bases", &self.bases)?;
        for (key, paths) in
            [("train", &self.target.train), ("dev", &self.target.dev), ("test", &self.target.test)]
        {
            not_empty(&format!("target.{key}"), paths)?;
        }
        self.target.reading.validate("target.reading")?;
        let mut names = vec![&self.target.name];
        for domain in &self.non_target {
            if names.contains(&&domain.name) {
                let value = format!("{:?}", domain.name);
                return Err(StudyError::value("non_target.name", value, "a unique name"));
            }
            names.push(&domain.name);
            not_empty(&format!("non_target.{}.test", domain.name), &domain.test)?;
            let key = format!("non_target.{}.utterances", domain.name);
            check(domain.utterances != Some(0), &key, 0, "1 or more")?;
            domain.reading.validate(&format!("non_target.{}.reading", domain.name))?;
        }
        check_format("format", self.format.as_deref())?;
        check(
            self.alpha.is_finite() && self.alpha > 0.0,
            "alpha",
            self.alpha,
            "a positive number",
        )?;
        check((0.0..1.0).contains(&self.dropout), "dropout", self.dropout, "0 or more, below 1")?;
        for (key, value) in
            [("prefix_length", self.prefix_length), ("adapter_width", self.adapter_width)]
        {
            check(value != Some(0), key, 0, "1 or more")?;
        }
        let known: Vec<&str> = study_settings().map(|setting| setting.name).collect();
        for (name, value) in &self.settings {
            let expected = format!("a setting of a method: {}", known.join(", "));
            check(known.contains(&name.as_str()), &format!("settings.{name}"), value, &expected)?;
        }
        check(self.cor_weight > 0.0, "cor_weight", self.cor_weight, "a positive number")?;
        for (name, &rate) in &self.learning_rates {
            let key = format!("learning_rates.{name}");
            known_or_all(&key, name)?;
            check(positive(rate), &key, rate, "a positive number, such as 1e-3")?;
        }
        self.train_config()?;
        not_empty("grid", &self.grid)?;
        for (at, grid) in self.grid.iter().enumerate() {
            self.check_grid(grid, at + 1)?;
        }
        if let Some(robustness) = &self.robustness {
            not_empty("robustness.rates", &robustness.rates)?;
            for &rate in &robustness.rates {
                let sound = rate > 0.0 && rate <= 1.0;
                check(sound, "robustness.rates", rate, "probabilities above 0, up to 1")?;
            }
        }
        Ok(())
    }

    /// The settings shared by all runs: those of `[training]`, else the defaults.
    ///
    /// # Errors
    /// [`StudyError::Value`] names the setting.
    pub fn train_config(&self) -> Result<TrainConfig, StudyError> {
        training::merged(&self.training)
    }

    /// The settings that the configuration sets for a method.
    #[must_use]
    pub fn method_settings(&self, info: &MethodInfo) -> Settings {
        let mut settings = Settings::new();
        for setting in info.settings {
            let shorthand = match setting.name {
                "prefix_length" => self.prefix_length.map(Value::from),
                "adapter_width" => self.adapter_width.map(Value::from),
                _ => None,
            };
            if let Some(value) = self.settings.get(setting.name).cloned().or(shorthand) {
                settings = settings.with(setting, value);
            }
        }
        settings
    }

    /// The settings of a method by name, defaults included, except those of low-rank methods, which are axes of
    /// the grids or apply to all methods.
    ///
    /// # Errors
    /// [`StudyError::Value`] names the setting that has a value of another type.
    pub(super) fn method_values(
        &self,
        method: &str,
    ) -> Result<Vec<(&'static str, Value)>, StudyError> {
        let Some(info) = MethodInfo::find(method).filter(|info| !info.low_rank) else {
            return Ok(Vec::new());
        };
        let built = (info.build)(&self.method_settings(info));
        let built = built.map_err(|e| StudyError::value("settings", method, e.to_string()))?;
        let values = info.settings.iter().zip(built.settings());
        Ok(values.map(|(setting, (_, value))| (setting.name, value)).collect())
    }

    /// The learning rate of a method if the grid does not set one.
    #[must_use]
    pub fn learning_rate(&self, method: &str) -> Option<f64> {
        self.learning_rates.get(method).or_else(|| self.learning_rates.get("all")).copied()
    }

    fn check_grid(&self, grid: &Grid, number: usize) -> Result<(), StudyError> {
        let key = |name: &str| format!("grid {number}: {name}");
        not_empty(&key("methods"), &grid.methods)?;
        for name in &grid.methods {
            let Some(info) = method(name) else {
                return Err(unknown_method(&key("methods"), name));
            };
            let named = grid.learning_rates.contains_key(name)
                || grid.learning_rates.contains_key("all")
                || self.learning_rate(name).is_some();
            if info.trained && !named {
                let expected = format!("an entry for {name:?} or \"all\"");
                return Err(StudyError::value("learning_rates", "without one", expected));
            }
        }
        for base in grid.bases.iter().flatten() {
            if !self.bases.contains(base) {
                let expected = format!("one of `bases`: {}", self.bases.join(", "));
                return Err(StudyError::value(key("bases"), format!("{base:?}"), expected));
            }
        }
        if let Some(bases) = &grid.bases {
            not_empty(&key("bases"), bases)?;
        }
        not_empty(&key("ranks"), &grid.ranks)?;
        for &rank in &grid.ranks {
            check(rank > 0, &key("ranks"), rank, "1 or more")?;
        }
        not_empty(&key("targets"), &grid.targets)?;
        for targets in &grid.targets {
            Layer::parse_list(targets.split(',')).map_err(|error| {
                StudyError::value(key("targets"), format!("{targets:?}"), error.to_string())
            })?;
        }
        if let Some(budgets) = &grid.budgets {
            not_empty(&key("budgets"), budgets)?;
            for budget in budgets {
                let sound = budget.part().is_some();
                check(sound, &key("budgets"), &budget.0, "percentages, such as \"0.08%\"")?;
            }
        }
        not_empty(&key("seeds"), &grid.seeds)?;
        not_empty(&key("sizes"), &grid.sizes)?;
        for &size in &grid.sizes {
            let (sound, shown) = match size {
                Size::Utterances(count) => (count > 0, count.to_string()),
                Size::Part(part) => (part > 0.0 && part <= 1.0, part.to_string()),
            };
            let expected = "positive integers, or fractions such as 0.25 up to 1.0";
            check(sound, &key("sizes"), shown, expected)?;
        }
        for (name, rates) in &grid.learning_rates {
            let key = key(&format!("learning_rates.{name}"));
            known_or_all(&key, name)?;
            not_empty(&key, rates)?;
            for &rate in rates {
                check(positive(rate), &key, rate, "positive numbers, such as 1e-3")?;
            }
        }
        for &warmup in grid.warmups.iter().flatten() {
            check((0.0..=1.0).contains(&warmup), &key("warmups"), warmup, "fractions from 0 to 1")?;
        }
        for &weight in grid.cor_weights.iter().flatten() {
            let sound = weight.is_finite() && weight >= 0.0;
            check(sound, &key("cor_weights"), weight, "numbers of 0 or more")?;
        }
        Ok(())
    }
}

/// The settings that a study sets for a method as a whole.
fn study_settings() -> impl Iterator<Item = &'static Setting> {
    let methods = crate::methods::METHODS.iter().filter(|info| !info.low_rank);
    methods.flat_map(|info| info.settings).copied()
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

pub(super) fn check(
    sound: bool,
    key: &str,
    value: impl ToString,
    expected: &str,
) -> Result<(), StudyError> {
    if sound { Ok(()) } else { Err(StudyError::value(key, value, expected)) }
}

fn not_empty<T>(key: &str, values: &[T]) -> Result<(), StudyError> {
    check(!values.is_empty(), key, "empty", "at least one entry")
}

fn known_or_all(key: &str, name: &str) -> Result<(), StudyError> {
    if name == "all" || method(name).is_some() { Ok(()) } else { Err(unknown_method(key, name)) }
}

fn unknown_method(key: &str, name: &str) -> StudyError {
    let known: Vec<&str> = methods().map(|method| method.name).collect();
    StudyError::value(key, format!("{name:?}"), format!("a method: {}", known.join(", ")))
}
