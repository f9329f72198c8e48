//! The linear layers of an encoder layer, as methods name them.

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
    /// Query projection, `[H, H]`; where it is one layer with key and value, that layer, `[3H, H]`.
    Query,
    /// Key projection, `[H, H]`.
    Key,
    /// Value projection, `[H, H]`.
    Value,
    /// Output projection of the attention, `[H, H]`.
    AttentionOutput,
    /// First feed-forward layer, `[I, H]`, or `[2I, H]` with a gate.
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

    /// The target that stands for this one's linear layer in an architecture: the query, if query, key and value are one
    /// layer; else itself.
    #[must_use]
    pub fn in_architecture(self, architecture: &Architecture) -> Self {
        match self {
            Self::Key | Self::Value if architecture.joins_projections() => Self::Query,
            _ => self,
        }
    }

    /// The linear layers of an architecture, each once.
    pub fn all_in(architecture: &Architecture) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|target| target.in_architecture(architecture) == *target)
    }

    /// `(out, in)` features of the linear layer: the shape of its weight.
    #[must_use]
    pub fn features(self, base: &BertConfig) -> (usize, usize) {
        let architecture = base.architecture;
        match self {
            Self::Query | Self::Key | Self::Value if architecture.joins_projections() => {
                (3 * base.hidden_size, base.hidden_size)
            }
            Self::Intermediate if architecture.has_gate() => {
                (2 * base.intermediate_size, base.hidden_size)
            }
            Self::Intermediate => (base.intermediate_size, base.hidden_size),
            Self::Output => (base.hidden_size, base.intermediate_size),
            _ => (base.hidden_size, base.hidden_size),
        }
    }

    /// The targets that one entry of `target_modules` matches.
    ///
    /// As in PEFT, an entry matches every module whose path ends in it after a dot: `output.dense` matches both output
    /// layers, `dense` these and the intermediate one. `all-linear` matches all six. BERT's names work for every base;
    /// those of another architecture, such as `q_lin`, select the same layers.
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
                what: "is empty; expected at least one".into(),
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
            ("Wi", Target::Intermediate),
            ("attn.Wo", Target::AttentionOutput),
        ] {
            assert_eq!(Target::matching(name), Ok([target].into()));
        }
        assert_eq!(
            names("Wqkv"),
            names("self.query")
                .into_iter()
                .chain(names("key"))
                .chain(names("value"))
                .collect::<Vec<_>>()
        );
        assert_eq!(names("Wo"), names("output.dense"));
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
            for target in Target::all_in(architecture) {
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
}
