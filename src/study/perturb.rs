//! Lists in which words are replaced by homophones.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Homophones;
use crate::nbest::Utterance;
use crate::score::{best, first_pass};

/// The hypotheses of a list that are perturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The one with the best first-pass score.
    OneBest,
    /// All of them.
    All,
}

/// A way to perturb lists.
///
/// Every word with homophones is replaced with the probability `rate` by one of them, drawn uniformly.
/// First-pass scores are unchanged, because the words sound the same. The draws depend on the seed, the
/// utterance's id, the index of the hypothesis and the index of the word, but not on rate or scope: a word that
/// is replaced at one rate is replaced by the same word at every higher rate, and replacements in the best
/// hypothesis are the same in both scopes.
#[derive(Debug, Clone, Copy)]
pub struct Perturbation<'a> {
    /// The dictionary.
    pub homophones: &'a Homophones,
    /// Which hypotheses.
    pub scope: Scope,
    /// Probability, 0 to 1.
    pub rate: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Perturbation<'_> {
    /// The perturbed list, the number of replaced words, and the number of candidate words.
    #[must_use]
    pub fn apply(&self, utterance: &Utterance) -> (Utterance, u64, u64) {
        let mut perturbed = utterance.clone();
        let only = match self.scope {
            Scope::All => None,
            Scope::OneBest if utterance.hypotheses.is_empty() => return (perturbed, 0, 0),
            Scope::OneBest => Some(best(&first_pass(utterance))),
        };
        let (mut replaced, mut words) = (0, 0);
        for (at, hypothesis) in perturbed.hypotheses.iter_mut().enumerate() {
            if only.is_some_and(|only| only != at) {
                continue;
            }
            let mut rng = self.draws(&utterance.id, at);
            let mut changed = false;
            let text: Vec<String> = hypothesis
                .text
                .split_whitespace()
                .map(|word| {
                    // Draw both for every word, so that the draws of later words do not shift.
                    let (chance, choice) = (uniform(&mut rng), uniform(&mut rng));
                    let others = self.homophones.of(word);
                    words += 1;
                    if others.is_empty() || chance >= self.rate {
                        return word.to_owned();
                    }
                    replaced += 1;
                    changed = true;
                    let place = (choice * others.len() as f64) as usize;
                    in_case_of(word, &others[place.min(others.len() - 1)])
                })
                .collect();
            if changed {
                hypothesis.text = text.join(" ");
            }
        }
        (perturbed, replaced, words)
    }

    fn draws(&self, id: &str, hypothesis: usize) -> ChaCha8Rng {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        hasher.update((hypothesis as u64).to_le_bytes());
        hasher.update(id.as_bytes());
        ChaCha8Rng::from_seed(hasher.finalize().into())
    }
}

/// A number in [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The replacement with the letter case of the word: all capitals, initial capital, or lower case.
fn in_case_of(word: &str, replacement: &str) -> String {
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    if letters().count() > 1 && letters().all(char::is_uppercase) {
        return replacement.to_uppercase();
    }
    let mut rest = replacement.chars();
    match (letters().next(), rest.next()) {
        (Some(first), Some(new)) if first.is_uppercase() => {
            new.to_uppercase().chain(rest).collect()
        }
        _ => replacement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbest::Hypothesis;

    const TEXT: &str = "sea S IY\nsee S IY\nred R EH D\nread R EH D\nreed R IY D\nread(2) R IY D\n";

    fn list() -> Utterance {
        let text = "i see the red sea and read it ".repeat(10);
        let hypotheses = [-2.0, -1.0, -3.0].map(|s| Hypothesis::new(text.trim(), Some(s)));
        Utterance::new("u1", Some(text.trim().to_owned()), hypotheses.to_vec())
    }

    fn perturb(scope: Scope, rate: f64, seed: u64) -> (Utterance, u64, u64) {
        let homophones = Homophones::read(TEXT, "d").unwrap();
        Perturbation { homophones: &homophones, scope, rate, seed }.apply(&list())
    }

    #[test]
    fn higher_rates_include_the_replacements_of_lower_ones() {
        let original = list();
        let before: Vec<&str> = original.hypotheses[1].text.split(' ').collect();
        let mut last: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
        let mut counts = Vec::new();
        for rate in [0.0, 0.2, 0.5, 1.0] {
            let (list, replaced, words) = perturb(Scope::OneBest, rate, 3);
            assert_eq!(words, 80);
            let now: Vec<String> = list.hypotheses[1].text.split(' ').map(str::to_owned).collect();
            for ((now, last), before) in now.iter().zip(&last).zip(&before) {
                assert!(now == last || last == before, "{last} became {now}");
            }
            counts.push(replaced);
            last = now;
        }
        assert_eq!((counts[0], counts[3]), (0, 40), "see, red, sea and read, ten times");
        assert!(counts[0] < counts[1] && counts[1] < counts[2] && counts[2] < counts[3]);
    }

    #[test]
    fn one_best_perturbs_only_the_best_and_all_perturbs_it_equally() {
        let (one, ..) = perturb(Scope::OneBest, 0.5, 3);
        let (all, ..) = perturb(Scope::All, 0.5, 3);
        let original = list();
        for at in [0, 2] {
            assert_eq!(one.hypotheses[at], original.hypotheses[at]);
            assert_ne!(all.hypotheses[at], original.hypotheses[at]);
        }
        assert_ne!(one.hypotheses[1].text, original.hypotheses[1].text);
        assert_eq!(one.hypotheses[1], all.hypotheses[1]);
        assert_eq!(one.reference, original.reference);
        assert_eq!(perturb(Scope::All, 0.5, 3).0, all);
        assert_ne!(perturb(Scope::All, 0.5, 4).0, all);
    }

    #[test]
    fn case_is_kept() {
        assert_eq!(in_case_of("SEA", "see"), "SEE");
        assert_eq!(in_case_of("Sea", "see"), "See");
        assert_eq!(in_case_of("I", "eye"), "Eye");
        assert_eq!(in_case_of("sea", "see"), "see");
    }
}
