//! What the scores of JSON lines mean, if they are not log-probabilities under the key `score`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::error::clip;
use super::{Hypothesis, Parts, Problem, Utterance};

/// The key that holds the score by default.
const SCORE: &str = "score";

/// How much a probability may exceed 1 by rounding.
const ROUNDING: f64 = 1e-6;

/// What a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScoreKind {
    /// A natural log-probability: higher is better.
    #[default]
    LogProb,
    /// A cost, such as a negative log-probability: lower is better.
    Cost,
    /// A probability from 0 to 1. 0 is an unknown score.
    Prob,
}

impl ScoreKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::LogProb, Self::Cost, Self::Prob];

    /// Its name in options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogProb => "logprob",
            Self::Cost => "cost",
            Self::Prob => "prob",
        }
    }

    /// One line of help, without a full stop.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::LogProb => "natural log-probabilities: higher is better",
            Self::Cost => {
                "costs, such as negative log-probabilities: lower is better. Scores by part too"
            }
            Self::Prob => "probabilities from 0 to 1; 0 is an unknown score",
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScoreKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown kind of scores {name:?}; expected one of {known}")
        })
    }
}

/// How a reader finds and converts the scores of lists whose format does not define them.
///
/// ```
/// use lorb::nbest::{JsonLines, ScoreKind, ScoreReading};
/// let file = br#"{"id":"a","nbest":[{"text":"yes","ac_cost":3.5}]}"#;
/// let scores = ScoreReading { key: Some("ac_cost".to_owned()), kind: ScoreKind::Cost };
/// let list = JsonLines::new(&file[..], "lists").scored(scores).next().unwrap().unwrap();
/// assert_eq!(list.hypotheses[0].score, Some(-3.5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScoreReading {
    /// The key of a hypothesis that holds its score, or the name of one of its parts; `None` is `score`.
    pub key: Option<String>,
    /// What the values are. Parts are negated with costs, and stay as they are with probabilities.
    pub kind: ScoreKind,
}

impl ScoreReading {
    /// Whether scores stay as they are.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.key().is_none() && self.kind == ScoreKind::LogProb
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| *key != SCORE)
    }

    /// Converts the scores of a list that was read as if they were log-probabilities. What [`Self::as_given`] cannot
    /// compute stays among the unknown keys.
    pub(super) fn apply(&self, u: &mut Utterance) -> Result<(), Problem> {
        if self.is_default() {
            return Ok(());
        }
        for (at, h) in u.hypotheses.iter_mut().enumerate() {
            let given = match self.key() {
                None => h.score,
                Some(key) => value(h, key, at + 1)?,
            };
            if (self.key().is_some() || self.kind == ScoreKind::Prob)
                && let Some(score) = h.score
            {
                h.extra.insert(SCORE, &Value::from(score));
            }
            h.score = given.map_or(Ok(None), |given| self.log_probability(given, at + 1))?;
            self.turn(&mut h.parts);
        }
        Ok(())
    }

    /// The same list with its scores as they were before they were converted, for a writer of the same format: the same
    /// keys, signs and values. The scores of rescoring, `lm` and `total`, are LoRB's own: higher is better.
    #[must_use]
    pub fn as_given(&self, mut u: Utterance) -> Utterance {
        if self.is_default() {
            return u;
        }
        for h in &mut u.hypotheses {
            h.score = match (self.key(), self.kind) {
                (None, ScoreKind::Cost) => h.score.map(|score| -score),
                // Still under their keys, with the digits that they had.
                _ => None,
            };
            self.turn(&mut h.parts);
        }
        u
    }

    fn log_probability(&self, given: f64, index: usize) -> Result<Option<f64>, Problem> {
        match self.kind {
            ScoreKind::LogProb => Ok(Some(given)),
            ScoreKind::Cost => Ok(Some(-given)),
            ScoreKind::Prob if !(0.0..=1.0 + ROUNDING).contains(&given) => {
                Err(Problem::NotAProbability { index, found: given.to_string() })
            }
            ScoreKind::Prob => Ok((given > 0.0).then(|| libm::log(given.min(1.0)))),
        }
    }

    fn turn(&self, parts: &mut Parts) {
        if self.kind == ScoreKind::Cost {
            *parts = parts.iter().map(|(name, value)| (name, -value)).collect();
        }
    }
}

/// The number under a key of a hypothesis, whether the key is a known one or not.
fn value(h: &Hypothesis, key: &str, index: usize) -> Result<Option<f64>, Problem> {
    if key == "total" {
        return Ok(h.total);
    }
    if let Some(part) = h.parts.get(key) {
        return Ok(Some(part));
    }
    let Some(json) = h.extra.get(key) else { return Ok(None) };
    let number = match serde_json::from_str(json) {
        Ok(Value::Null) => return Ok(None),
        Ok(Value::Number(number)) => number.as_f64().filter(|number| number.is_finite()),
        _ => None,
    };
    number.map(Some).ok_or_else(|| Problem::BadKeyedScore {
        index,
        key: clip(key),
        found: clip(json),
    })
}
