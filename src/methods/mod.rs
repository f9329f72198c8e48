//! The tuning methods, a folder each, and the registry.
//!
//! A new method is a folder with a type that implements [`TuningMethod`](crate::model::TuningMethod) and an `INFO`,
//! and a line in [`METHODS`]. Flags, help texts, names and labels in studies, JSON options and `lorb inspect` follow
//! from these.

mod adalora;
mod bitfit;
mod budget;
mod dora;
mod full;
mod head;
mod houlsby;
mod lora;
mod low_rank;
mod plain_files;
mod prefix;
mod rank_reduction;
mod settings;
#[cfg(test)]
mod type_script;

pub use adalora::AdaLora;
pub use bitfit::BitFit;
pub use budget::chosen_by_budget;
pub use dora::{Dora, MAGNITUDE};
pub use full::Full;
pub use head::Head;
pub use houlsby::Houlsby;
pub use low_rank::{
    ALPHA, DROPOUT, LORA_A, LORA_B, LORA_E, LoraConfig, TARGET_ENTRY, TARGETS, target_names,
};
pub use prefix::{KEYS as PREFIX_KEYS, Prefix, VALUES as PREFIX_VALUES};
pub use rank_reduction::RankReduction;
pub(crate) use rank_reduction::reduce;
pub use settings::{Setting, SettingKind, Settings, number_value};

use crate::model::{Method, ModelError};
use crate::peft::FileFormat;

/// The methods, in the order of reports.
pub static METHODS: &[&MethodInfo] = &[
    &full::INFO,
    &head::INFO,
    &bitfit::INFO,
    &prefix::INFO,
    &houlsby::INFO,
    &lora::INFO,
    &lora::LORB,
    &lora::RSLORA,
    &dora::INFO,
    &adalora::INFO,
    &adalora::WITH_CORRELATION,
    &rank_reduction::RANK_WARMUP,
    &rank_reduction::MIXED_RANK,
];

/// Every setting of every method, each once, in the order of the registry.
#[must_use]
pub fn settings() -> Vec<&'static Setting> {
    let mut all: Vec<&'static Setting> = Vec::new();
    for setting in METHODS.iter().flat_map(|info| info.settings) {
        if !all.contains(setting) {
            all.push(setting);
        }
    }
    all
}

/// A method's entry in the registry: what does not depend on its settings.
pub struct MethodInfo {
    /// Name in flags, files and tables.
    pub name: &'static str,
    /// Name in reports.
    pub label: &'static str,
    /// One line for help texts.
    pub help: &'static str,
    /// Its settings.
    pub settings: &'static [&'static Setting],
    /// The setting that decides how many parameters are trained, for budgets and for the ranks of a study.
    pub size: Option<&'static Setting>,
    /// Whether it adapts chosen linear layers by terms of a chosen rank.
    pub low_rank: bool,
    /// Whether the inputs of adapted layers may be dropped in training.
    pub dropout: bool,
    /// For a method named after the correlation term: the same method without it.
    pub correlates: Option<&'static str>,
    /// How its adapters are stored.
    pub files: &'static dyn FileFormat,
    /// The method with these settings. They are checked against a base later, by
    /// [`validate`](crate::model::TuningMethod::validate).
    pub build: fn(&Settings) -> Result<Method, ModelError>,
}

impl std::fmt::Debug for MethodInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for MethodInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Default weight of the correlation term in methods named after it.
pub const CORRELATION_WEIGHT: f32 = 0.05;

impl MethodInfo {
    /// A method without settings.
    pub const PLAIN: Self = Self {
        name: "",
        label: "",
        help: "",
        settings: &[],
        size: None,
        low_rank: false,
        dropout: false,
        correlates: None,
        files: &plain_files::PlainFiles,
        build: |_| Ok(Head.into()),
    };

    /// The method of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().copied().find(|info| info.name == name)
    }

    /// Whether a setting is one of this method's.
    #[must_use]
    pub fn has(&self, setting: &Setting) -> bool {
        self.settings.contains(&setting)
    }
}

/// The settings of the low-rank terms, if the method has such terms.
#[must_use]
pub fn lora_config(method: &Method) -> Option<&LoraConfig> {
    let dora = || method.downcast::<Dora>().map(|dora| &dora.0);
    let adalora = || method.downcast::<AdaLora>().map(|adalora| &adalora.lora);
    let reduction = || method.downcast::<RankReduction>().map(|reduction| &reduction.lora);
    method.downcast::<LoraConfig>().or_else(dora).or_else(adalora).or_else(reduction)
}

/// Checks a size against the maximum that a base allows.
fn check_size(
    method: &'static str,
    setting: &'static str,
    value: usize,
    most: usize,
) -> Result<(), ModelError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let what = format!("is {value}; expected 1 to {most}");
    Err(ModelError::Method { method, setting, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tests::tiny_config;

    #[test]
    fn every_method_is_found_built_and_described() {
        for (at, info) in METHODS.iter().enumerate() {
            assert_eq!(METHODS.iter().position(|other| other.name == info.name), Some(at));
            assert!(!info.label.is_empty() && !info.help.is_empty(), "{}", info.name);
            let method = (info.build)(&Settings::new()).unwrap();
            assert!(MethodInfo::find(method.name()).is_some(), "{}", info.name);
            assert_eq!(method, (info.build)(&Settings::new()).unwrap());
        }
    }

    #[test]
    fn settings_have_names_of_their_own() {
        let all = settings();
        for (at, setting) in all.iter().enumerate() {
            let same =
                |other: &&Setting| other.name == setting.name || other.option == setting.option;
            assert_eq!(all.iter().position(same), Some(at), "{}", setting.name);
        }
    }

    #[test]
    fn settings_out_of_range_are_reported() {
        let base = tiny_config();
        for (method, expected) in [
            (Method::from(Prefix { length: 0 }), "prefix setting `length` is 0"),
            (Houlsby { width: 9 }.into(), "houlsby setting `width` is 9; expected 1 to 8"),
            (LoraConfig { rank: 0, ..LoraConfig::default() }.into(), "`r` is 0"),
        ] {
            let message = method.validate(&base).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
