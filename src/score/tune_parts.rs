//! Weights for the parts of the first-pass score, beside beta and gamma.

use std::collections::BTreeSet;

use super::tune::{Flat, Selection, betas, both_signs, gammas, half_octaves, search};
use super::{PartWeights, ScoredList, TunePoint, Tuned, Weights, tune};

/// Octaves of the coarse grid of part weights, in half octaves: 2^-6 to 2^4.
const OCTAVES: (i32, i32) = (-12, 8);
/// Rounds over all parts. Each costs the same, so that the time is bounded.
const MAX_ROUNDS: usize = 4;

/// [`tune`], and then a weight for each part of the first-pass scores.
///
/// The search starts from the result of [`tune`], or from `start` with the best beta and gamma for it, if that makes
/// fewer errors. It goes through the parts by name. For each it searches its weight together with beta, with the grids
/// and the rule of [`tune`]: the weight 0 and +-2^-6 to +-2^4 in octaves, then a finer grid. Then it searches beta, and
/// gamma if `with_gamma`. A step counts only if it reduces the errors. The search ends when a whole round does not, or
/// after four rounds. At the end, a weight without which the errors are no more is 0.
///
/// So the result never makes more errors than that of [`tune`], and equals it if there are no parts. Every count is
/// exact, and the same lists give the same weights on every platform.
///
/// # Panics
/// As [`tune`].
#[must_use]
pub fn tune_parts(lists: &[ScoredList], with_gamma: bool, start: &PartWeights) -> Tuned {
    let mut tuned = tune(lists, with_gamma);
    let names: BTreeSet<&str> =
        lists.iter().flat_map(|list| list.parts.keys()).map(String::as_str).collect();
    if names.is_empty() {
        return tuned;
    }
    let plain =
        Selection { weights: tuned.weights.clone(), errors: tuned.errors, at_edge: tuned.at_edge };
    let mut state = State { lists, with_gamma, found: plain, steps: Vec::new(), table: Vec::new() };
    if !start.is_empty() {
        state.search_rest(start);
    }
    for _ in 0..MAX_ROUNDS {
        let before = state.found.errors;
        for name in &names {
            state.search_part(name);
        }
        let parts = state.found.weights.parts.clone();
        state.search_rest(&parts);
        if state.found.errors == before {
            break;
        }
    }
    state.drop_useless();
    let State { found, steps, table, .. } = state;
    let words = tuned.reference_words;
    tuned.wer = (words > 0).then(|| found.errors as f64 / words as f64);
    (tuned.weights, tuned.errors, tuned.at_edge) = (found.weights, found.errors, found.at_edge);
    tuned.steps = steps;
    tuned.table.extend(table);
    tuned
}

/// What a search tunes beside beta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Search {
    /// A word insertion reward.
    pub gamma: bool,
    /// A weight for each part of the first-pass scores.
    pub parts: bool,
}

impl Search {
    /// [`tune`], or [`tune_parts`] if asked for, and for an adapter that stores weights of parts.
    #[must_use]
    pub fn run(self, lists: &[ScoredList], stored: &PartWeights) -> Tuned {
        if self.parts || !stored.is_empty() {
            tune_parts(lists, self.gamma, stored)
        } else {
            tune(lists, self.gamma)
        }
    }
}

struct State<'a> {
    lists: &'a [ScoredList],
    with_gamma: bool,
    found: Selection,
    steps: Vec<TunePoint>,
    /// The last search of beta and gamma.
    table: Vec<TunePoint>,
}

impl State<'_> {
    /// The weight of one part together with beta; everything else stays.
    fn search_part(&mut self, name: &str) {
        let Weights { gamma, mut parts, .. } = self.found.weights.clone();
        parts.remove(name);
        let first = |list: &ScoredList| {
            let first = list.weighted_first(&parts).into_iter().zip(&list.words);
            first.map(|(first, &words)| first + gamma * f64::from(words)).collect()
        };
        let part = |list: &ScoredList| {
            list.parts.get(name).cloned().unwrap_or_else(|| vec![0.0; list.first.len()])
        };
        let alphas = both_signs(half_octaves(OCTAVES).step_by(2));
        let flat = Flat::of(self.lists, first, part);
        let Selection { weights, at_edge, .. } = search(&flat, &betas(), &alphas, &mut Vec::new());
        let mut better = Weights { beta: weights.beta, gamma, parts };
        if weights.gamma != 0.0 {
            better.parts.insert(name.to_owned(), weights.gamma);
        }
        self.accept(better, at_edge);
    }

    /// Beta, and gamma if it is tuned, with these weights of parts.
    fn search_rest(&mut self, parts: &PartWeights) {
        let words = |list: &ScoredList| list.words.iter().map(|&w| f64::from(w)).collect();
        let flat = Flat::of(self.lists, |list| list.weighted_first(parts), words);
        let gammas = if self.with_gamma { gammas() } else { vec![0.0] };
        let mut table = Vec::new();
        let Selection { weights, at_edge, .. } = search(&flat, &betas(), &gammas, &mut table);
        for point in &mut table {
            point.weights.parts.clone_from(parts);
        }
        self.table = table;
        self.accept(Weights { parts: parts.clone(), ..weights }, at_edge);
    }

    /// Takes weights that make fewer errors.
    fn accept(&mut self, weights: Weights, at_edge: bool) {
        let errors = self.errors(&weights);
        if errors < self.found.errors {
            self.steps.push(TunePoint { weights: weights.clone(), errors });
            self.found = Selection { weights, errors, at_edge };
        }
    }

    /// A step may make the weight of an earlier one superfluous.
    fn drop_useless(&mut self) {
        for name in self.found.weights.parts.keys().cloned().collect::<Vec<_>>() {
            let mut weights = self.found.weights.clone();
            weights.parts.remove(&name);
            let errors = self.errors(&weights);
            if errors <= self.found.errors {
                self.steps.push(TunePoint { weights: weights.clone(), errors });
                self.found = Selection { weights, errors, ..self.found.clone() };
            }
        }
    }

    /// Errors in rescoring, which adds the parts in the order of their names.
    fn errors(&self, weights: &Weights) -> u64 {
        self.lists.iter().map(|list| u64::from(list.errors[list.choice(weights)])).sum()
    }
}
