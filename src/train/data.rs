//! Training data: token ids, first-pass scores and word errors.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::calibrate::first_scale;
use super::error::TrainError;
use super::part_weights::{PartedList, fit};
use super::settings::TrainConfig;
use crate::base::{BertTokenizer, Encoded};
use crate::digest::hex;
use crate::model::Sequences;
use crate::nbest::Utterance;
use crate::score::{
    ErrorCounts, Finding, PartWeights, TextCheck, add_part, distinct, first_pass, part_scores,
    unit_errors,
};

/// Lists from which it is an error if no hypothesis has a word in common with its reference. In a few lists, as
/// when a user corrects single utterances, the recogniser may have misheard every word.
const LISTS_WITHOUT_A_WORD: usize = 10;

/// One training list; all vectors have one entry per hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainList {
    /// First-pass scores times [`TrainData::first_scale`]; missing ones are filled in as in rescoring.
    pub first: Vec<f64>,
    /// Errors in the unit of the conventions: not all equal if the objective learns from them, 0 without a reference.
    pub errors: Vec<u32>,
    /// The teacher's scores; empty without one.
    pub teacher: Vec<f64>,
    /// Index of the token ids among [`TrainData::sequences`].
    pub sequences: Vec<usize>,
}

impl TrainList {
    /// Whether some hypotheses have more errors than others.
    pub(super) fn has_different_errors(&self) -> bool {
        differ(&self.errors)
    }
}

/// Statistics of the input utterances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Input utterances.
    pub utterances: usize,
    /// Skipped because they have no reference, which the objective needs.
    pub no_reference: usize,
    /// Skipped because all hypotheses have the same number of word errors.
    pub equal_errors: usize,
    /// Hypotheses in the usable lists.
    pub hypotheses: usize,
    /// The number of these that were truncated.
    pub truncated: usize,
    /// Usable lists without any first-pass score.
    pub without_scores: usize,
    /// Usable lists whose first-pass scores sum to more than 0.
    pub positive_sums: usize,
}

/// The preprocessed training set.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainData {
    /// Distinct token sequences.
    pub sequences: Vec<Vec<u32>>,
    /// The usable lists, in input order.
    pub lists: Vec<TrainList>,
    /// First-pass scale.
    pub first_scale: f64,
    /// Weights of the parts of the first-pass scores; the scores of the lists contain them.
    pub part_weights: PartWeights,
    /// Statistics of used and skipped utterances.
    pub counts: Counts,
    /// Signs that references and lists follow other conventions.
    pub findings: Vec<Finding>,
}

impl TrainData {
    /// Preprocesses utterances. Only an objective that learns from word errors needs references.
    ///
    /// Of a list longer than `nbest`, the hypotheses with the best first-pass scores are kept, in input order.
    ///
    /// # Errors
    /// [`TrainError::NoUsableList`] if there is no usable list, [`TrainError::NothingInCommon`] if no hypothesis of ten or
    /// more lists has a word in common with its reference, [`TrainError::ScoreNotFinite`] if a first-pass score is not
    /// finite, [`TrainError::NoTeacherScore`] if the settings need a teacher's score that is missing, [`TrainError::Text`] if
    /// a text cannot be tokenised.
    pub fn prepare(
        utterances: &[Utterance],
        tokenizer: &BertTokenizer,
        config: &TrainConfig,
    ) -> Result<Self, TrainError> {
        let mut sequences = Sequences::new();
        let mut counts = Counts { utterances: utterances.len(), ..Counts::default() };
        let mut lists = Vec::new();
        let mut parts = Vec::new();
        let conventions = config.conventions();
        let mut check = TextCheck::new(conventions);
        let from_errors = config.objective.needs_references();
        for given in utterances {
            if from_errors && given.reference.is_none() {
                counts.no_reference += 1;
                continue;
            }
            check_scores(given)?;
            let (utterance, places) = distinct(given, &conventions);
            let utterance = &*utterance;
            let all = first_pass(utterance);
            let kept = best_of(&all, config.nbest);
            let text = |&at: &usize| utterance.hypotheses[at].text.as_str();
            let mut errors = vec![0; kept.len()];
            if let Some(reference) = utterance.reference.as_deref() {
                let of_kept =
                    kept.iter().map(|at| unit_errors(conventions.unit, reference, text(at)));
                let counted: Vec<ErrorCounts> = of_kept.collect();
                check.add(given, &counted);
                errors = counted.iter().map(errors_of).collect();
            }
            if kept.len() < 2 || from_errors && !differ(&errors) {
                counts.equal_errors += 1;
                continue;
            }
            let mut places_of = Vec::with_capacity(kept.len());
            for at in &kept {
                let encoded = encode(tokenizer, text(at), &given.id, places[*at])?;
                counts.truncated += usize::from(encoded.truncated);
                places_of.push(sequences.intern(encoded.ids));
            }
            let first: Vec<f64> = kept.iter().map(|&at| all[at]).collect();
            counts.hypotheses += kept.len();
            counts.without_scores += usize::from(
                given.hypotheses.iter().all(|h| h.score.is_none() && h.parts.is_empty()),
            );
            counts.positive_sums += usize::from(first.iter().sum::<f64>() > 0.0);
            if config.parts {
                let of_kept = |(name, scores): (String, Vec<f64>)| {
                    (name, kept.iter().map(|&at| scores[at]).collect::<Vec<f64>>())
                };
                parts.push(part_scores(utterance).into_iter().map(of_kept).collect());
            }
            let teacher = match config.has_teacher() {
                true => teacher_scores(utterance, &kept, &places)?,
                false => Vec::new(),
            };
            lists.push(TrainList { first, errors, teacher, sequences: places_of });
        }
        let mut findings = check.findings();
        let cause = findings.first().copied();
        if let Some(found) = check.nothing_in_common() {
            let lists = counts.utterances - counts.no_reference;
            if from_errors && lists >= LISTS_WITHOUT_A_WORD && found.is_complete() {
                return Err(TrainError::NothingInCommon { lists, cause });
            }
            findings.push(found);
        }
        if lists.is_empty() {
            return Err(TrainError::NoUsableList {
                utterances: counts.utterances,
                without_reference: counts.no_reference,
                equal_errors: counts.equal_errors,
                nbest: config.nbest,
                cause,
            });
        }
        let part_weights = combine_parts(&mut lists, &parts);
        let first_scale = config.first_scale.unwrap_or_else(|| first_scale(&lists));
        lists.iter_mut().flat_map(|list| &mut list.first).for_each(|score| *score *= first_scale);
        let sequences = sequences.into_parts().0;
        Ok(Self { sequences, lists, first_scale, part_weights, counts, findings })
    }

    /// Fingerprint of all data used in training: SHA-256 in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for list in &self.lists {
            hash_list(
                &mut hasher,
                &list.first,
                &list.errors,
                list.sequences.iter().map(|&at| &self.sequences[at]),
            );
            list.teacher.iter().for_each(|score| hasher.update(score.to_bits().to_le_bytes()));
        }
        hex(hasher)
    }
}

/// Fits weights of the parts and adds the weighted parts to the first-pass scores. `parts` has those of each list by
/// name, or is empty.
fn combine_parts(lists: &mut [TrainList], parts: &[BTreeMap<String, Vec<f64>>]) -> PartWeights {
    let views: Vec<PartedList<'_>> = lists
        .iter()
        .zip(parts)
        .filter(|(list, _)| list.has_different_errors())
        .map(|(TrainList { first, errors, .. }, parts)| PartedList { first, parts, errors })
        .collect();
    let weights = fit(&views);
    for (list, parts) in lists.iter_mut().zip(parts) {
        for (name, alpha) in &weights {
            let scores = parts.get(name).into_iter().flatten();
            list.first
                .iter_mut()
                .zip(scores)
                .for_each(|(first, part)| add_part(first, *alpha, *part));
        }
    }
    weights
}

/// A non-finite first-pass score would make every loss of its batch non-finite.
pub(super) fn check_scores(utterance: &Utterance) -> Result<(), TrainError> {
    let bad = |score: &f64| !score.is_finite();
    let found = utterance.hypotheses.iter().position(|h| h.score.as_ref().is_some_and(bad));
    match found {
        Some(hypothesis) => Err(TrainError::ScoreNotFinite {
            id: utterance.id.clone(),
            hypothesis,
            score: utterance.hypotheses[hypothesis].score.unwrap_or(f64::NAN),
        }),
        None => Ok(()),
    }
}

/// The teacher's scores of some hypotheses, whose places in the given list are `places`.
fn teacher_scores(
    utterance: &Utterance,
    kept: &[usize],
    places: &[usize],
) -> Result<Vec<f64>, TrainError> {
    let score = |&at: &usize| {
        let score = utterance.hypotheses[at].lm.filter(|score| score.is_finite());
        score.ok_or_else(|| TrainError::NoTeacherScore {
            id: utterance.id.clone(),
            hypothesis: places[at],
        })
    };
    kept.iter().map(score).collect()
}

/// Tokenises one hypothesis; an error names it, by its index in the list.
pub(super) fn encode(
    tokenizer: &BertTokenizer,
    text: &str,
    id: &str,
    hypothesis: usize,
) -> Result<Encoded, TrainError> {
    let encoded = tokenizer.encode(text);
    encoded.map_err(|error| TrainError::Text { id: id.to_owned(), hypothesis, error })
}

/// Indices of the `limit` highest scores, ascending; earlier ones win ties.
fn best_of(scores: &[f64], limit: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if scores.len() > limit {
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(limit);
        order.sort_unstable();
    }
    order
}

fn differ(errors: &[u32]) -> bool {
    errors.windows(2).any(|pair| pair[0] != pair[1])
}

fn errors_of(counts: &ErrorCounts) -> u32 {
    u32::try_from(counts.errors()).unwrap_or(u32::MAX)
}

/// Adds one list to a fingerprint, including lengths, so that different lists cannot give the same bytes.
pub(super) fn hash_list<'a>(
    hasher: &mut Sha256,
    first: &[f64],
    errors: &[u32],
    sequences: impl ExactSizeIterator<Item = &'a Vec<u32>>,
) {
    hasher.update((sequences.len() as u64).to_le_bytes());
    first.iter().for_each(|score| hasher.update(score.to_bits().to_le_bytes()));
    errors.iter().for_each(|e| hasher.update(e.to_le_bytes()));
    for ids in sequences {
        hasher.update((ids.len() as u64).to_le_bytes());
        ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
    }
}
