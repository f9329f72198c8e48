//! The conventions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Normalize, Unit};

/// How texts are compared: their normalisation, the unit of errors, and what happens to equal hypotheses.
///
/// The default compares texts as they are, by words. `Display` prints the three settings by name:
/// `normalize basic, unit char, equal texts joined`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conventions {
    /// Normalisation of references and hypotheses.
    pub normalize: Normalize,
    /// Unit of errors, of reference lengths and of the insertion reward.
    pub unit: Unit,
    /// Whether hypotheses that are equal after normalisation share their first-pass scores: the logarithm of the sum
    /// of their probabilities.
    pub join: bool,
}

impl Conventions {
    /// Whether texts are compared as they are, by words.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Conventions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normalize {}, unit {}", self.normalize, self.unit)?;
        if self.join { f.write_str(", equal texts joined") } else { Ok(()) }
    }
}

/// Conventions of a call that replace some of the stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// Another normalisation.
    pub normalize: Option<Normalize>,
    /// Another unit.
    pub unit: Option<Unit>,
    /// Whether equal texts are joined.
    pub join: Option<bool>,
}

impl Changes {
    /// The stored conventions with these changes.
    #[must_use]
    pub fn over(self, stored: Conventions) -> Conventions {
        Conventions {
            normalize: self.normalize.unwrap_or(stored.normalize),
            unit: self.unit.unwrap_or(stored.unit),
            join: self.join.unwrap_or(stored.join),
        }
    }
}

impl From<Conventions> for Changes {
    fn from(all: Conventions) -> Self {
        let Conventions { normalize, unit, join } = all;
        Self { normalize: Some(normalize), unit: Some(unit), join: Some(join) }
    }
}
