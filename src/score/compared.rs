//! Lists in the form in which they are compared.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::nbest::Utterance;
use crate::text::{Conventions, Normalize};

use super::combine::{first_is_sum_of_parts, first_pass};

/// The list as it is compared: normalised texts and, with [`Conventions::join`], joined first-pass scores. It has the
/// same hypotheses in the same order. Those that are joined have the parts of the best one.
#[must_use]
pub fn compared<'a>(u: &'a Utterance, conventions: &Conventions) -> Cow<'a, Utterance> {
    let mut view = normalized(u, conventions.normalize);
    if conventions.join {
        for group in groups(&view) {
            let view = view.to_mut();
            let parts = view.hypotheses[group.best].parts.clone();
            for &at in &group.members {
                view.hypotheses[at].score = group.score;
                view.hypotheses[at].parts.clone_from(&parts);
            }
        }
    }
    view
}

/// As [`compared`]; with [`Conventions::join`], equal hypotheses are one hypothesis, in the place of the one with the
/// best first-pass score, the first of equal ones. Also returns the index of each hypothesis in the given list.
#[must_use]
pub fn distinct<'a>(
    u: &'a Utterance,
    conventions: &Conventions,
) -> (Cow<'a, Utterance>, Vec<usize>) {
    let mut view = normalized(u, conventions.normalize);
    let mut places: Vec<usize> = (0..u.hypotheses.len()).collect();
    if conventions.join {
        let groups = groups(&view);
        places = groups.iter().map(|group| group.best).collect();
        places.sort_unstable();
        let view = view.to_mut();
        for group in &groups {
            view.hypotheses[group.best].score = group.score;
        }
        let mut at = 0..u.hypotheses.len();
        view.hypotheses.retain(|_| at.next().is_some_and(|at| places.binary_search(&at).is_ok()));
    }
    (view, places)
}

/// [`compared`] for every list.
#[must_use]
pub fn all_compared<'a>(lists: &'a [Utterance], conventions: &Conventions) -> Cow<'a, [Utterance]> {
    if conventions.normalize == Normalize::None && !conventions.join {
        return Cow::Borrowed(lists);
    }
    Cow::Owned(lists.iter().map(|u| compared(u, conventions).into_owned()).collect())
}

fn normalized(u: &Utterance, normalize: Normalize) -> Cow<'_, Utterance> {
    if normalize == Normalize::None {
        return Cow::Borrowed(u);
    }
    let mut view = u.clone();
    for text in view.hypotheses.iter_mut().map(|h| &mut h.text).chain(&mut view.reference) {
        *text = normalize.apply(text).into_owned();
    }
    Cow::Owned(view)
}

/// Hypotheses with the same text.
struct Group {
    members: Vec<usize>,
    /// The member with the best first-pass score, the first of equal ones.
    best: usize,
    /// The logarithm of the sum of their probabilities; `None` if none has a score.
    score: Option<f64>,
}

/// The groups of a list, in the order of their first members. White space counts only as a separator.
fn groups(u: &Utterance) -> Vec<Group> {
    let scores: Vec<Option<f64>> = if first_is_sum_of_parts(u) {
        first_pass(u).into_iter().map(Some).collect()
    } else {
        u.hypotheses.iter().map(|h| h.score).collect()
    };
    let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, hypothesis) in u.hypotheses.iter().enumerate() {
        let words = hypothesis.text.split_whitespace().collect();
        let place = *places.entry(words).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Group { members: Vec::new(), best: at, score: None });
        }
        let group = &mut groups[place];
        group.members.push(at);
        if scores[at] > scores[group.best] {
            group.best = at;
        }
    }
    for group in &mut groups {
        let known = group.members.iter().filter_map(|&at| scores[at]);
        group.score = scores[group.best].map(|highest| joined(known, highest));
    }
    groups
}

/// `log(sum(exp(score)))`. A single score stays unchanged, also one that is not finite.
fn joined(scores: impl Iterator<Item = f64> + Clone, highest: f64) -> f64 {
    if scores.clone().count() == 1 {
        return highest;
    }
    highest + libm::log(scores.map(|score| libm::exp(score - highest)).sum())
}
