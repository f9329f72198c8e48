//! What LoRA and its variants share: settings, slots and the forward pass of low-rank terms.

mod files;
mod forward;
mod patterns;
mod selection;
mod settings;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Value, json};

pub use files::{LowRankFiles, Ranks, shortest};
pub use forward::{LowRank, add_term, forward_with_lora, split};
pub use selection::{layers_pattern, names};
pub use settings::{ALPHA, DROPOUT, LAYERS, RANK, RSLORA, TARGET_RANK, TARGETS};

use crate::base::arch::BERT;
use crate::base::{Architecture, BertConfig};
use crate::model::{Initial, LinearSite, ModelError, SlotKind, Slots, Target};
use crate::ops::LoraPlan;

/// Down projection A, `[r, in]`.
pub const LORA_A: SlotKind = SlotKind("lora_A");
/// Up projection B, `[out, r]`.
pub const LORA_B: SlotKind = SlotKind("lora_B");
/// AdaLoRA's factors between A and B, `[r, 1]`.
pub const LORA_E: SlotKind = SlotKind("lora_E");

/// Name of the entry of [`LoraConfig::entries`] that lists the targets.
pub const TARGET_ENTRY: &str = "LoRA targets";

/// The value of that entry: BERT's names of the targets.
#[must_use]
pub fn target_names(targets: &BTreeSet<Target>) -> Value {
    targets.iter().map(|target| target.name_in(&BERT).path).collect()
}

/// Settings of low-rank terms, with PEFT's meaning of each (Hu et al. 2021, arXiv 2106.09685; rsLoRA:
/// Kalajdzievski 2023, arXiv 2312.03732). As a method, it is LoRA.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank of every term, at least 1.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// Dropout rate on the inputs of A, in `[0, 1)`.
    pub dropout: f32,
    /// Adapted linear layers in each selected encoder layer.
    pub targets: BTreeSet<Target>,
    /// Scale by `alpha / sqrt(rank)` instead of `alpha / rank`.
    pub rslora: bool,
    /// Adapted encoder layers (PEFT's `layers_to_transform`), from 0; `None` means all.
    pub layers: Option<Vec<usize>>,
}

impl Default for LoraConfig {
    /// Rank 8 with alpha 16 on query and value.
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            targets: BTreeSet::from([Target::Query, Target::Value]),
            rslora: false,
            layers: None,
        }
    }
}

impl LoraConfig {
    /// The adapted linear layers of an architecture. A layer that is query, key and value is adapted if one of them is.
    #[must_use]
    pub fn targets_in(&self, architecture: &Architecture) -> BTreeSet<Target> {
        self.targets.iter().map(|target| target.in_architecture(architecture)).collect()
    }

    /// All targets that stand for an adapted linear layer of an architecture: more than [`targets`](Self::targets) if one
    /// layer is several of them.
    #[must_use]
    pub fn synonyms_in(&self, architecture: &Architecture) -> BTreeSet<Target> {
        let adapted = self.targets_in(architecture);
        let stands = |target: &Target| adapted.contains(&target.in_architecture(architecture));
        Target::ALL.into_iter().filter(stands).collect()
    }

    /// Factor of the low-rank update: `alpha / rank`, or `alpha / sqrt(rank)` with rsLoRA.
    #[must_use]
    pub fn scale(&self) -> f32 {
        (f64::from(self.alpha) / self.divisor(self.rank)) as f32
    }

    /// What alpha is divided by for a module of this rank.
    fn divisor(&self, rank: usize) -> f64 {
        let rank = rank as f64;
        if self.rslora { libm::sqrt(rank) } else { rank }
    }

    /// The adapted encoder layers of a base, ascending, each once.
    ///
    /// # Errors
    /// [`ModelError::Lora`] if the list is empty or contains a layer that the base does not have.
    pub fn layer_indices(&self, base: &BertConfig) -> Result<Vec<usize>, ModelError> {
        let count = base.num_hidden_layers;
        let Some(chosen) = &self.layers else {
            return Ok((0..count).collect());
        };
        let error = |what| Err(ModelError::Lora { setting: "layers_to_transform", what });
        if chosen.is_empty() {
            return error("is empty; omit it to adapt every layer".into());
        }
        if let Some(bad) = chosen.iter().find(|&&l| l >= count) {
            return error(format!("names layer {bad}, but the base has layers 0 to {}", count - 1));
        }
        Ok(chosen.iter().copied().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Validates all settings against the base.
    ///
    /// # Errors
    /// [`ModelError::Lora`] names the setting and its valid range.
    pub fn check(&self, base: &BertConfig) -> Result<(), ModelError> {
        let error = |setting, what| Err(ModelError::Lora { setting, what });
        if self.rank == 0 || self.rank > base.hidden_size {
            let limit = base.hidden_size;
            return error(
                "r",
                format!("is {}; expected 1 to the base's hidden size {limit}", self.rank),
            );
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return error("lora_alpha", format!("is {}; expected a positive number", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return error(
                "lora_dropout",
                format!("is {}; expected 0 or more, below 1", self.dropout),
            );
        }
        if self.targets.is_empty() {
            return error("target_modules", "is empty; expected at least one".into());
        }
        self.layer_indices(base).map(drop)
    }

    /// Checks a rank that training ends with.
    ///
    /// # Errors
    /// [`ModelError::Lora`] when it is not between 1 and the initial rank.
    pub fn check_target_rank(&self, target_rank: usize) -> Result<(), ModelError> {
        if (1..=self.rank).contains(&target_rank) {
            return Ok(());
        }
        let what = format!("is {target_rank}; expected 1 to the initial rank, {}", self.rank);
        Err(ModelError::Lora { setting: "target_r", what })
    }

    /// The settings by name, as checkpoints have them.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("LoRA r", json!(self.rank)),
            ("LoRA alpha", json!(self.alpha)),
            ("LoRA dropout", json!(self.dropout)),
            (TARGET_ENTRY, target_names(&self.targets)),
            ("rsLoRA", json!(self.rslora)),
            ("LoRA layers", json!(self.layers)),
        ]
    }

    /// The settings for display. `kept` is a line after the rank.
    #[must_use]
    pub fn lines(
        &self,
        architecture: &Architecture,
        scale: f32,
        kept: Option<String>,
    ) -> Vec<(&'static str, String)> {
        let targets: Vec<&str> = self
            .targets_in(architecture)
            .iter()
            .map(|target| target.name_in(architecture).peft)
            .collect();
        let mut lines = vec![("rank", self.rank.to_string())];
        lines.extend(kept.map(|kept| ("rank kept", kept)));
        lines.push(("alpha", self.alpha.to_string()));
        lines.push(("scale", scale.to_string()));
        lines.push(("target modules", targets.join(", ")));
        lines
    }

    /// Indices of the adapted layers of a group, if there are any.
    fn adapted(&self, site: &LinearSite<'_>) -> Option<Vec<usize>> {
        let chosen = self.layers.as_ref().is_none_or(|layers| layers.contains(&site.layer));
        let targets = self.targets_in(site.base.architecture);
        let adapted: Vec<usize> = (0..site.targets.len())
            .filter(|&at| chosen && targets.contains(&site.targets[at]))
            .collect();
        (!adapted.is_empty()).then_some(adapted)
    }

    /// Appends every A and then every B of a group of linear layers, and returns their term;
    /// `None` if no layer of the group is adapted.
    pub fn term(
        &self,
        site: &LinearSite<'_>,
        slots: &mut Slots<'_>,
        scale: f32,
        initial: [Initial; 2],
    ) -> Option<LowRank> {
        let adapted = self.adapted(site)?;
        let (width, inputs) = site.targets[adapted[0]].features(site.base);
        let [down, up] = initial;
        let rank = self.rank;
        let a = push_each(site, &adapted, slots, LORA_A, &[rank, inputs], down);
        let b = push_each(site, &adapted, slots, LORA_B, &[width, rank], up);
        let factors = slots.tensor(a.start..b.end);
        let plan = LoraPlan { adapted, width, rank, scale };
        Some(LowRank { factors, plan })
    }
}

/// Appends a slot for each adapted layer of a group; returns the elements of all.
pub fn push_each(
    site: &LinearSite<'_>,
    adapted: &[usize],
    slots: &mut Slots<'_>,
    kind: SlotKind,
    shape: &[usize],
    initial: Initial,
) -> Range<usize> {
    let mut all: Option<Range<usize>> = None;
    for &at in adapted {
        let module = site.module(site.targets[at]);
        let range = slots.push(module, kind, shape, initial);
        all = Some(all.map_or(range.clone(), |before| before.start..range.end));
    }
    all.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TuningMethod;

    #[test]
    fn scale_follows_peft() {
        let mut config = LoraConfig { rank: 4, alpha: 16.0, ..LoraConfig::default() };
        assert_eq!(config.scale(), 4.0);
        config.rslora = true;
        assert_eq!(config.scale(), 8.0);
    }

    #[test]
    fn settings_out_of_range_are_reported() {
        let base = crate::base::tests::tiny_config();
        let sound = LoraConfig { rank: 4, ..LoraConfig::default() };
        sound.validate(&base).unwrap();
        let with = |change: fn(&mut LoraConfig)| {
            let mut config = sound.clone();
            change(&mut config);
            config
        };
        let cases = [
            ("`r`", with(|c| c.rank = 0)),
            ("`r`", with(|c| c.rank = 9)),
            ("lora_alpha", with(|c| c.alpha = f32::NAN)),
            ("lora_alpha", with(|c| c.alpha = 0.0)),
            ("lora_dropout", with(|c| c.dropout = 1.0)),
            ("target_modules", with(|c| c.targets.clear())),
            ("layers_to_transform", with(|c| c.layers = Some(vec![]))),
            ("layer 2", with(|c| c.layers = Some(vec![0, 2]))),
        ];
        for (expected, config) in cases {
            let message = config.validate(&base).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
