//! Signs that first-pass scores are not what they should be.
//!
//! A reader cannot see whether numbers are log-probabilities, costs or probabilities. With the wrong one, every
//! result is wrong without an error. [`ScoreCheck`] looks at lists as they are read and collects the evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::nbest::Utterance;

use super::{Weights, first_is_sum_of_parts, first_pass, word_errors};

/// Lists whose references are compared with their scores. More would not change the verdict.
const MAX_COMPARED: u64 = 2_000;
/// Part of the lists with different scores whose first hypothesis must have the lowest one, if the references do not
/// decide.
const WORST_FIRST_PART: f64 = 0.9;
/// How unlikely these lists must be by chance, in bits, unless the scores cannot be log-probabilities.
const SURPRISE: f64 = 14.0;
/// z squared of the sign test of lists in which the lowest score has fewer errors: about p = 0.001.
const DECISIVE: f64 = 10.0;
/// Names that are kept, of parts and of keys.
const MAX_NAMES: usize = 64;
/// What the name of a key that holds a score contains.
const SCORE_WORDS: [&str; 7] = ["score", "conf", "prob", "cost", "like", "loss", "nll"];

/// What is suspicious about scores. Serialises with a `kind`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreWarning {
    /// The scores look like costs.
    LikeCosts {
        /// Lists with different scores.
        lists: u64,
        /// Those of them whose first hypothesis has the lowest score.
        worst_first: u64,
        /// Lists in which the lowest score has fewer word errors than the highest.
        lowest_better: u64,
        /// Lists in which it has more.
        highest_better: u64,
    },
    /// All scores are from 0 to 1.
    LikeProbabilities {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
    /// No list has different scores.
    Constant {
        /// Lists with at least two scores.
        lists: u64,
        /// The value, if all scores of all lists are equal.
        value: Option<f64>,
    },
    /// No hypothesis has a score, but a number under a key that looks like one.
    OtherKey {
        /// The key that most hypotheses have.
        key: String,
    },
    /// No hypothesis has a score, and the sum of the parts is used.
    SumOfParts {
        /// Lists.
        lists: u64,
        /// Names of the parts.
        parts: Vec<String>,
    },
    /// There is a weight for a part that no hypothesis has.
    UnknownPart {
        /// Name of the part.
        part: String,
        /// The parts that there are.
        known: Vec<String>,
    },
}

impl ScoreWarning {
    /// Whether it says what is done, rather than that something is probably wrong.
    #[must_use]
    pub fn is_note(&self) -> bool {
        matches!(self, Self::SumOfParts { .. })
    }
}

impl fmt::Display for ScoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LikeCosts { lists, worst_first, lowest_better, highest_better } => {
                f.write_str("the scores look like costs (lower is better), but the highest one is used as the best: ")?;
                let first = 2 * worst_first > *lists;
                if first {
                    write!(
                        f,
                        "in {worst_first} of {lists} lists the first hypothesis has the lowest score"
                    )?;
                }
                if lowest_better > highest_better {
                    let and = if first { ", and " } else { "" };
                    write!(
                        f,
                        "{and}the lowest score has fewer word errors than the highest in {lowest_better} lists, more in \
                         {highest_better}"
                    )?;
                }
                Ok(())
            }
            Self::LikeProbabilities { low, high } => write!(
                f,
                "the scores look like probabilities, but are used as log-probabilities: all are from {low} to {high}"
            ),
            Self::Constant { lists, value: Some(value) } => {
                write!(
                    f,
                    "all scores are {value} ({lists} lists), so they say nothing about the order of a list"
                )
            }
            Self::Constant { lists, value: None } => write!(
                f,
                "no list has different scores ({lists} lists), so they say nothing about the order of a list"
            ),
            Self::OtherKey { key } => {
                write!(f, "no hypothesis has a score, but a number under the key {key:?}")
            }
            Self::SumOfParts { lists, parts } => write!(
                f,
                "no hypothesis has a score, so the first pass is the sum of its parts ({lists} lists, parts {})",
                parts.join(", ")
            ),
            Self::UnknownPart { part, known } if known.is_empty() => {
                write!(
                    f,
                    "there is a weight for the part {part:?} of the score, but no hypothesis has parts"
                )
            }
            Self::UnknownPart { part, known } => write!(
                f,
                "there is a weight for the part {part:?} of the score, but the hypotheses have {}",
                known.join(", ")
            ),
        }
    }
}

/// Evidence about the scores of lists, in constant memory.
///
/// ```
/// use lorb::nbest::{Hypothesis, Utterance};
/// use lorb::score::{ScoreCheck, ScoreWarning};
/// let mut check = ScoreCheck::new();
/// let list = [("turn it on", 2.5), ("turn it", 4.0)];
/// let list = list.map(|(text, cost)| Hypothesis::new(text, Some(cost)));
/// check.add(&Utterance::new("u", None, list.into()));
/// assert!(matches!(check.warnings()[..], [ScoreWarning::LikeCosts { worst_first: 1, .. }]));
/// ```
#[derive(Debug, Clone)]
pub struct ScoreCheck {
    lists: u64,
    sums: u64,
    scores: u64,
    /// Of all scores; the lowest is above the highest if there are none.
    low: f64,
    high: f64,
    /// Whether a score is neither 0 nor 1.
    between: bool,
    /// Lists with at least two scores.
    comparable: u64,
    /// Those with different scores.
    differing: u64,
    /// Those whose first hypothesis has the lowest score.
    worst_first: u64,
    /// How unlikely these would be if hypotheses had a random order, in bits.
    surprise: f64,
    lowest_better: u64,
    highest_better: u64,
    parts: BTreeSet<String>,
    /// Hypotheses by keys that may hold a score.
    keys: BTreeMap<String, u64>,
}

impl Default for ScoreCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl ScoreCheck {
    /// Without evidence.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lists: 0,
            sums: 0,
            scores: 0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            between: false,
            comparable: 0,
            differing: 0,
            worst_first: 0,
            surprise: 0.0,
            lowest_better: 0,
            highest_better: 0,
            parts: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Of these lists.
    #[must_use]
    pub fn of(lists: &[Utterance]) -> Self {
        let mut check = Self::new();
        lists.iter().for_each(|list| check.add(list));
        check
    }

    /// Adds a list.
    pub fn add(&mut self, u: &Utterance) {
        self.lists += 1;
        let sum = first_is_sum_of_parts(u);
        self.sums += u64::from(sum);
        let sums = if sum { first_pass(u) } else { Vec::new() };
        // Each with its place.
        let scored: Vec<(f64, usize)> = if sum {
            sums.into_iter().zip(0..).collect()
        } else {
            u.hypotheses.iter().zip(0..).filter_map(|(h, at)| Some((h.score?, at))).collect()
        };
        for name in u.hypotheses.iter().flat_map(|h| h.parts.iter()).map(|(name, _)| name) {
            if !self.parts.contains(name) && self.parts.len() < MAX_NAMES {
                self.parts.insert(name.to_owned());
            }
        }
        for &(score, _) in &scored {
            self.scores += 1;
            (self.low, self.high) = (self.low.min(score), self.high.max(score));
            self.between |= score != 0.0 && score != 1.0;
        }
        match &scored[..] {
            [] => self.look_for_keys(u),
            [_] => {}
            _ => self.compare(u, &scored),
        }
    }

    /// A list with at least two scores.
    fn compare(&mut self, u: &Utterance, scored: &[(f64, usize)]) {
        self.comparable += 1;
        let highest = scored.iter().copied().reduce(|a, b| if b.0 > a.0 { b } else { a });
        let lowest = scored.iter().copied().reduce(|a, b| if b.0 < a.0 { b } else { a });
        let (Some(highest), Some(lowest)) = (highest, lowest) else { return };
        if highest.0 == lowest.0 {
            return;
        }
        self.differing += 1;
        if scored[0].0 == lowest.0 {
            self.worst_first += 1;
            // The chance is 1 / n, or 1 / n! if the others first too.
            let ascends = scored.is_sorted_by(|a, b| a.0 <= b.0);
            let from = if ascends { 2 } else { scored.len() };
            self.surprise += (from..=scored.len()).map(|n| libm::log2(n as f64)).sum::<f64>();
        }
        let Some(reference) = u.reference.as_deref() else { return };
        if self.lowest_better + self.highest_better < MAX_COMPARED {
            let errors = |at: usize| word_errors(reference, &u.hypotheses[at].text).errors();
            let (low, high) = (errors(lowest.1), errors(highest.1));
            self.lowest_better += u64::from(low < high);
            self.highest_better += u64::from(low > high);
        }
    }

    /// A list without scores.
    fn look_for_keys(&mut self, u: &Utterance) {
        for (key, json) in u.hypotheses.iter().flat_map(|h| h.extra.iter()) {
            let lower = key.to_lowercase();
            if SCORE_WORDS.iter().any(|word| lower.contains(word)) && json.parse::<f64>().is_ok() {
                let room = self.keys.len() < MAX_NAMES;
                match self.keys.get_mut(key) {
                    Some(count) => *count += 1,
                    None if room => {
                        self.keys.insert(key.to_owned(), 1);
                    }
                    None => {}
                }
            }
        }
    }

    /// What is suspicious, the most important first.
    #[must_use]
    pub fn warnings(&self) -> Vec<ScoreWarning> {
        let mut warnings = Vec::new();
        let &Self { low, high, lowest_better, highest_better, worst_first, .. } = self;
        if self.look_like_costs() {
            let lists = self.differing;
            warnings.push(ScoreWarning::LikeCosts {
                lists,
                worst_first,
                lowest_better,
                highest_better,
            });
        } else if self.comparable > 0 && self.differing == 0 {
            let value = (low == high).then_some(low);
            warnings.push(ScoreWarning::Constant { lists: self.comparable, value });
        } else if self.differing > 0 && self.between && low >= 0.0 && high <= 1.0 {
            warnings.push(ScoreWarning::LikeProbabilities { low, high });
        }
        if self.sums > 0 {
            let parts = self.parts.iter().cloned().collect();
            warnings.push(ScoreWarning::SumOfParts { lists: self.sums, parts });
        }
        // The first of equally frequent keys.
        let most = self.keys.iter().rev().max_by_key(|(_, count)| **count);
        if let Some((key, _)) = most.filter(|_| self.scores == 0) {
            warnings.push(ScoreWarning::OtherKey { key: key.clone() });
        }
        warnings
    }

    /// Warnings about these weights: parts that no hypothesis has.
    #[must_use]
    pub fn about_weights(&self, weights: &Weights) -> Vec<ScoreWarning> {
        let unknown = |part: &&String| {
            self.lists > 0 && self.parts.len() < MAX_NAMES && !self.parts.contains(*part)
        };
        let warning = |part: &String| ScoreWarning::UnknownPart {
            part: part.clone(),
            known: self.parts.iter().cloned().collect(),
        };
        weights.parts.keys().filter(unknown).map(warning).collect()
    }

    /// The parts that hypotheses have.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(String::as_str)
    }

    fn look_like_costs(&self) -> bool {
        let (low, high) = (self.lowest_better as f64, self.highest_better as f64);
        let decisive = (low - high) * (low - high) >= DECISIVE * (low + high);
        if decisive && low != high {
            return low > high;
        }
        let first = self.differing > 0
            && self.worst_first as f64 >= WORST_FIRST_PART * self.differing as f64;
        // No log-probability, and too large for a probability.
        let positive = self.low > 0.0 && self.high > 1.0;
        first && (positive || self.surprise >= SURPRISE)
    }
}
