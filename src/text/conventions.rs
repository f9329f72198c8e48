//! The conventions, and lists as they are compared.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Normalize, Unit};
use crate::nbest::Utterance;

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

    /// The list as it is compared: normalised texts and, with `join`, joined first-pass scores. It has the same
    /// hypotheses in the same order; other fields are unchanged.
    #[must_use]
    pub fn view<'a>(&self, u: &'a Utterance) -> Cow<'a, Utterance> {
        if self.normalize == Normalize::None && !self.join {
            return Cow::Borrowed(u);
        }
        let mut view = self.normalized(u);
        if self.join {
            for group in groups(&view) {
                let joined = joined(&view, &group);
                for &at in &group.members {
                    view.hypotheses[at].score = joined;
                }
                let parts = view.hypotheses[group.best].parts.clone();
                for &at in &group.members {
                    view.hypotheses[at].parts.clone_from(&parts);
                }
            }
        }
        Cow::Owned(view)
    }

    /// As [`Conventions::view`]; with `join`, a group of equal hypotheses is one hypothesis, in place of the one with
    /// the best first-pass score, the first of equal ones.
    #[must_use]
    pub fn distinct<'a>(&self, u: &'a Utterance) -> Cow<'a, Utterance> {
        if !self.join {
            return self.view(u);
        }
        let mut view = self.normalized(u);
        let mut kept = vec![false; view.hypotheses.len()];
        for group in groups(&view) {
            view.hypotheses[group.best].score = joined(&view, &group);
            kept[group.best] = true;
        }
        let mut kept = kept.into_iter();
        view.hypotheses.retain(|_| kept.next().unwrap_or(true));
        Cow::Owned(view)
    }

    /// [`Conventions::view`] of every list.
    #[must_use]
    pub fn views<'a>(&self, lists: &'a [Utterance]) -> Cow<'a, [Utterance]> {
        if self.normalize == Normalize::None && !self.join {
            return Cow::Borrowed(lists);
        }
        Cow::Owned(lists.iter().map(|u| self.view(u).into_owned()).collect())
    }

    /// [`Conventions::distinct`] of every list.
    #[must_use]
    pub fn all_distinct<'a>(&self, lists: &'a [Utterance]) -> Cow<'a, [Utterance]> {
        if self.normalize == Normalize::None && !self.join {
            return Cow::Borrowed(lists);
        }
        Cow::Owned(lists.iter().map(|u| self.distinct(u).into_owned()).collect())
    }

    fn normalized(&self, u: &Utterance) -> Utterance {
        let mut view = u.clone();
        if self.normalize == Normalize::None {
            return view;
        }
        let texts = view.hypotheses.iter_mut().map(|h| &mut h.text).chain(&mut view.reference);
        for text in texts {
            *text = self.normalize.apply(text).into_owned();
        }
        view
    }
}

impl fmt::Display for Conventions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normalize {}, unit {}", self.normalize, self.unit)?;
        if self.join { f.write_str(", equal texts joined") } else { Ok(()) }
    }
}

/// Hypotheses with the same text.
struct Group {
    members: Vec<usize>,
    /// The member with the best first-pass score, the first of equal ones.
    best: usize,
}

/// The groups of a list, in the order of their first members. White space counts only as a separator.
fn groups(u: &Utterance) -> Vec<Group> {
    let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let score = |at: usize| u.hypotheses[at].score.unwrap_or(f64::NEG_INFINITY);
    for (at, hypothesis) in u.hypotheses.iter().enumerate() {
        let words = hypothesis.text.split_whitespace().collect();
        match places.get(&words) {
            Some(&place) => {
                let group = &mut groups[place];
                group.members.push(at);
                if score(at) > score(group.best) {
                    group.best = at;
                }
            }
            None => {
                places.insert(words, groups.len());
                groups.push(Group { members: vec![at], best: at });
            }
        }
    }
    groups
}

/// `log(sum(exp(score)))` over the members that have a score; `None` if none has.
fn joined(u: &Utterance, group: &Group) -> Option<f64> {
    let highest = u.hypotheses[group.best].score?;
    let scores = group.members.iter().filter_map(|&at| u.hypotheses[at].score);
    let mut sum = 0.0;
    let mut count = 0;
    for score in scores {
        sum += libm::exp(score - highest);
        count += 1;
    }
    // A single score stays as it is, also one that is not finite.
    if count == 1 { Some(highest) } else { Some(highest + libm::log(sum)) }
}
