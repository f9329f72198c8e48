//! How the lists of a domain are read.

use serde::{Deserialize, Serialize};

use super::StudyError;
use super::config::check;
use crate::nbest::{FORMATS, ScoreKind, ScoreReading, format_by_name};

/// How the lists of a domain are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListReading {
    /// Format by the names of [`FORMATS`]; if omitted, that of the study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the scores of JSON lines are, by the names of [`ScoreKind`]; log-probabilities if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_kind: Option<String>,
    /// Key of the hypotheses of JSON lines that holds the score; `score` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_key: Option<String>,
}

impl ListReading {
    /// What the scores are.
    #[must_use]
    pub fn scores(&self) -> ScoreReading {
        let kind = self.score_kind.as_deref().and_then(|name| name.parse().ok());
        ScoreReading { key: self.score_key.clone(), kind: kind.unwrap_or_default() }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// [`StudyError::Value`] names the key, which is below `at`.
    pub(super) fn validate(&self, at: &str) -> Result<(), StudyError> {
        check_format(&format!("{at}.format"), self.format.as_deref())?;
        let Some(kind) = &self.score_kind else { return Ok(()) };
        let known = ScoreKind::ALL.map(ScoreKind::name).join(", ");
        let expected = format!("a kind of scores: {known}");
        let key = format!("{at}.score_kind");
        check(kind.parse::<ScoreKind>().is_ok(), &key, format!("{kind:?}"), &expected)
    }
}

/// # Errors
/// [`StudyError::Value`] if no format has this name.
pub(super) fn check_format(key: &str, name: Option<&str>) -> Result<(), StudyError> {
    let Some(name) = name else { return Ok(()) };
    let known: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
    let expected = format!("a format of lists: {}", known.join(", "));
    check(format_by_name(name).is_some(), key, format!("{name:?}"), &expected)
}
