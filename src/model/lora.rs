//! LoRA settings: the adapted linear layers, rank and scale.

use std::collections::BTreeSet;
use std::fmt;

use super::error::ModelError;
use crate::base::BertConfig;
use crate::base::arch::{ARCHITECTURES, Architecture, BERT, LinearName};

/// A linear layer of every encoder layer that LoRA can adapt.
///
/// The order is the order of computation; layouts and files use it. Names are BERT's; those of another
/// architecture come from its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Query projection, `[H, H]`.
    Query,
    /// Key projection, `[H, H]`.
    Key,
    /// Value projection, `[H, H]`.
    Value,
    /// Output projection of the attention, `[H, H]`.
    AttentionOutput,
    /// First feed-forward layer, `[I, H]`.
    Intermediate,
    /// Second feed-forward layer, `[H, I]`.
    Output,
}

impl Target {
    /// Every target, in order.
    pub const ALL: [Self; 6] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOutput,
        Self::Intermediate,
        Self::Output,
    ];

    /// What an architecture calls the layer: its path within an encoder layer, and its usual name in PEFT.
    #[must_use]
    pub fn name_in(self, architecture: &Architecture) -> LinearName {
        let layer = &architecture.layer;
        match self {
            Self::Query => layer.query,
            Self::Key => layer.key,
            Self::Value => layer.value,
            Self::AttentionOutput => layer.attention_output,
            Self::Intermediate => layer.intermediate,
            Self::Output => layer.output,
        }
    }

    /// Name of the module in layer `layer`, such as `encoder.layer.0.attention.self.query`.
    #[must_use]
    pub fn module(self, architecture: &Architecture, layer: usize) -> String {
        architecture.module(layer, self.name_in(architecture).path)
    }

    /// Layer and target of a module name, the inverse of [`Target::module`]; `None` for any other
    /// module.
    #[must_use]
    pub fn of_module(architecture: &Architecture, module: &str) -> Option<(usize, Self)> {
        let (layer, path) = architecture.split(module)?;
        let target = Self::ALL.into_iter().find(|t| t.name_in(architecture).path == path)?;
        Some((layer, target))
    }

    /// `(out, in)` features of the linear layer: the shape of its weight.
    #[must_use]
    pub fn features(self, base: &BertConfig) -> (usize, usize) {
        match self {
            Self::Intermediate => (base.intermediate_size, base.hidden_size),
            Self::Output => (base.hidden_size, base.intermediate_size),
            _ => (base.hidden_size, base.hidden_size),
        }
    }

    /// The targets that one entry of `target_modules` matches.
    ///
    /// As in PEFT, an entry matches every module whose path ends in it after a dot: `output.dense` matches both output
    /// layers, `dense` these and the intermediate one. `all-linear` matches all six. BERT's names serve for every base;
    /// those of another architecture, such as `q_lin`, stand for the same layers.
    ///
    /// # Errors
    /// [`ModelError::UnknownTarget`] if it matches none.
    pub fn matching(name: &str) -> Result<BTreeSet<Self>, ModelError> {
        let in_architecture = |architecture: &Architecture| -> BTreeSet<Self> {
            let matches = |target: &Self| {
                let path = target.name_in(architecture).path;
                path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            Self::ALL.into_iter().filter(matches).collect()
        };
        let found = match name {
            "" => None,
            "all-linear" => Some(Self::ALL.into()),
            _ => ARCHITECTURES.into_iter().map(in_architecture).find(|found| !found.is_empty()),
        };
        found.ok_or_else(|| ModelError::UnknownTarget { name: name.to_owned() })
    }

    /// The targets that a list of names matches: the union over all names.
    ///
    /// # Errors
    /// [`ModelError::UnknownTarget`] names the first entry that matches nothing; an empty list is an error.
    pub fn parse_list<S: AsRef<str>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<BTreeSet<Self>, ModelError> {
        let mut targets = BTreeSet::new();
        for name in names {
            targets.extend(Self::matching(name.as_ref().trim())?);
        }
        if targets.is_empty() {
            return Err(ModelError::Lora {
                setting: "target_modules",
                what: "is empty; name at least one".into(),
            });
        }
        Ok(targets)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name_in(&BERT).peft)
    }
}

/// Tensors that are trained in addition to A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoraVariant {
    /// None.
    #[default]
    Plain,
    /// A magnitude for every row of the adapted weight: DoRA (Liu et al. 2024, arXiv 2402.09353). As in the paper and
    /// in PEFT, there is no gradient through the norm in the denominator.
    Dora,
    /// A factor between every row of A and column of B, of which training keeps the most important: AdaLoRA (Zhang et
    /// al. 2023, arXiv 2303.10512). `rank` is the initial rank.
    AdaLora {
        /// Final rank, averaged over all modules.
        target_rank: usize,
    },
    /// A higher initial rank: after a fraction of the steps, every term is replaced by its closest approximation of
    /// lower rank (after Yu et al. 2024, arXiv 2401.10447; the schedule is LoRB's own). The finished adapter is plain
    /// LoRA.
    Reduced {
        /// Final rank of every term, or the average for mixed ranks.
        target_rank: usize,
        /// Whether ranks are allocated across terms by singular value.
        mixed: bool,
    },
}

/// Settings of a LoRA adapter, as in PEFT (Hu et al. 2021, arXiv 2106.09685; rsLoRA:
/// Kalajdzievski 2023, arXiv 2312.03732).
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
    /// The variant of LoRA.
    pub variant: LoraVariant,
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
            variant: LoraVariant::Plain,
        }
    }
}

impl LoraConfig {
    /// Scale of the low-rank update: `alpha / rank`, or `alpha / sqrt(rank)` with rsLoRA. AdaLoRA adds 1e-5 to the
    /// divisor, as PEFT does.
    #[must_use]
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        let divisor = match self.variant {
            LoraVariant::AdaLora { .. } => rank + 1e-5,
            _ if self.rslora => libm::sqrt(rank),
            _ => rank,
        };
        (f64::from(self.alpha) / divisor) as f32
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
            return error("is empty; leave it out to adapt every layer".into());
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
    pub fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
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
        if self.rslora && matches!(self.variant, LoraVariant::AdaLora { .. }) {
            return error("use_rslora", "is set; AdaLoRA has a scale of its own".into());
        }
        if let LoraVariant::AdaLora { target_rank } | LoraVariant::Reduced { target_rank, .. } =
            self.variant
            && !(1..=self.rank).contains(&target_rank)
        {
            let what = format!("is {target_rank}; expected 1 to the first rank, {}", self.rank);
            return error("target_r", what);
        }
        if self.variant == LoraVariant::Dora && self.dropout > 0.0 {
            return error("lora_dropout", format!("is {}; expected 0 with DoRA", self.dropout));
        }
        if self.targets.is_empty() {
            return error("target_modules", "is empty; name at least one".into());
        }
        self.layer_indices(base).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<&'static str> {
        let targets = Target::matching(name).unwrap().into_iter();
        targets.map(|target| target.name_in(&BERT).path).collect()
    }

    #[test]
    fn names_match_by_suffix_as_in_peft() {
        assert_eq!(names("query"), ["attention.self.query"]);
        assert_eq!(names("self.value"), ["attention.self.value"]);
        assert_eq!(names("attention.output.dense"), ["attention.output.dense"]);
        assert_eq!(names("output.dense"), ["attention.output.dense", "output.dense"]);
        assert_eq!(
            names("dense"),
            ["attention.output.dense", "intermediate.dense", "output.dense"]
        );
        assert_eq!(names("all-linear").len(), 6);
        for (name, target) in [
            ("q_lin", Target::Query),
            ("attention.out_lin", Target::AttentionOutput),
            ("lin2", Target::Output),
        ] {
            assert_eq!(Target::matching(name), Ok([target].into()));
        }
    }

    #[test]
    fn names_that_match_nothing_are_reported() {
        for bad in ["quer", "uery", "", "Query", "pooler.dense", "q_proj", ".query"] {
            let error = Target::parse_list(["value", bad]).unwrap_err();
            assert_eq!(error, ModelError::UnknownTarget { name: bad.into() });
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
        assert!(
            Target::parse_list(Vec::<String>::new())
                .unwrap_err()
                .to_string()
                .contains("target_modules")
        );
    }

    #[test]
    fn modules_and_targets_map_both_ways() {
        for architecture in ARCHITECTURES {
            for target in Target::ALL {
                let module = target.module(architecture, 11);
                assert_eq!(Target::of_module(architecture, &module), Some((11, target)));
            }
        }
        for bad in [
            "encoder.layer.01.output.dense",
            "encoder.layer.+1.output.dense",
            "pooler.dense",
            "encoder.layer.1",
        ] {
            assert_eq!(Target::of_module(&BERT, bad), None, "{bad}");
        }
    }

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
