//! The settings of LoRA and its variants, with PEFT's names.

use super::LoraConfig;
use crate::methods::{Setting, SettingKind, Settings};
use crate::model::{ModelError, Target};

const HEADING: &str = "LoRA";

/// Rank.
pub static RANK: Setting = Setting {
    name: "lora_r",
    flag: "lora-r",
    option: "r",
    key: "r",
    kind: SettingKind::Count,
    help: "Rank of the low-rank matrices [default: 8]",
    heading: HEADING,
};

/// Numerator of the scale.
pub static ALPHA: Setting = Setting {
    name: "lora_alpha",
    flag: "lora-alpha",
    option: "alpha",
    key: "lora_alpha",
    kind: SettingKind::Number,
    help: "Numerator of the scale alpha / r [default: 16]",
    heading: HEADING,
};

/// Dropout of the inputs of A.
pub static DROPOUT: Setting = Setting {
    name: "lora_dropout",
    flag: "lora-dropout",
    option: "dropout",
    key: "lora_dropout",
    kind: SettingKind::Number,
    help: "Dropout rate on the inputs of the low-rank matrices [default: 0]",
    heading: HEADING,
};

/// Adapted linear layers.
pub static TARGETS: Setting = Setting {
    name: "lora_target_modules",
    flag: "lora-target-modules",
    option: "targetModules",
    key: "target_modules",
    kind: SettingKind::Names,
    help: "Linear layers to adapt, by PEFT's names: query, key, value, attention.output.dense, intermediate.dense, \
           output.dense (both output layers), dense, all-linear, or by those of another architecture, such as q_lin [default: query,value]",
    heading: HEADING,
};

/// Adapted encoder layers.
pub static LAYERS: Setting = Setting {
    name: "lora_layers",
    flag: "lora-layers",
    option: "layers",
    key: "layers_to_transform",
    kind: SettingKind::Counts,
    help: "Encoder layers to adapt, counted from 0 [default: all]",
    heading: HEADING,
};

/// rsLoRA.
pub static RSLORA: Setting = Setting {
    name: "rslora",
    flag: "rslora",
    option: "rslora",
    key: "use_rslora",
    kind: SettingKind::Switch,
    help: "Scale by alpha / sqrt(r) (rsLoRA)",
    heading: HEADING,
};

/// Final rank.
pub static TARGET_RANK: Setting = Setting {
    name: "target_r",
    flag: "target-r",
    option: "targetR",
    key: "target_r",
    kind: SettingKind::Count,
    help: "Final rank [default: 8]; the rank r is then the initial one [default: 1.5 times the final \
           rank for adalora, 4 times for rank-warmup and mixed-rank]",
    heading: "Method",
};

impl LoraConfig {
    /// The settings as given, else the defaults.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for a value of another type, [`ModelError::UnknownTarget`] for a name that no
    /// linear layer has.
    pub fn from_settings(settings: &Settings) -> Result<Self, ModelError> {
        let default = Self::default();
        let targets = settings.names_of(&TARGETS)?.map(Target::parse_list).transpose()?;
        Ok(Self {
            rank: settings.count(&RANK)?.unwrap_or(default.rank),
            alpha: settings.number(&ALPHA)?.unwrap_or(default.alpha),
            dropout: settings.number(&DROPOUT)?.unwrap_or(default.dropout),
            targets: targets.unwrap_or(default.targets),
            rslora: settings.switch(&RSLORA)?.unwrap_or(default.rslora),
            layers: settings.counts(&LAYERS)?,
        })
    }

    /// The settings of a method whose rank changes in training, with the final rank. `initial` returns the
    /// default initial rank for a final one.
    ///
    /// # Errors
    /// Those of [`from_settings`](Self::from_settings).
    pub fn with_target_rank(
        settings: &Settings,
        initial: fn(usize) -> usize,
    ) -> Result<(Self, usize), ModelError> {
        let target_rank = settings.count(&TARGET_RANK)?.unwrap_or(Self::default().rank);
        let rank = settings.count(&RANK)?.unwrap_or(initial(target_rank));
        Ok((Self { rank, ..Self::from_settings(settings)? }, target_rank))
    }
}
