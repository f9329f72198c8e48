//! Utterances as training sees them: token ids, first-pass scores and word errors.

use sha2::{Digest, Sha256};

use super::calibrate::first_scale;
use super::error::TrainError;
use super::settings::TrainConfig;
use crate::base::{BertTokenizer, Encoded};
use crate::digest::hex;
use crate::model::Sequences;
use crate::nbest::Utterance;
use crate::score::{first_pass, word_errors};

/// One list to train on; all vectors hold one entry per hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainList {
    /// First-pass scores times [`TrainData::first_scale`], absent ones filled in as rescoring does.
    pub first: Vec<f64>,
    /// Word errors, not all equal.
    pub errors: Vec<u32>,
    /// Index of the token ids among [`TrainData::sequences`].
    pub sequences: Vec<usize>,
}

/// What became of the utterances given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Utterances given.
    pub utterances: usize,
    /// Left out for want of a reference.
    pub no_reference: usize,
    /// Left out because all hypotheses have equally many word errors.
    pub equal_errors: usize,
    /// Hypotheses of the lists that are trained on.
    pub hypotheses: usize,
    /// Of these, those cut at the position limit.
    pub truncated: usize,
    /// Lists trained on in which no hypothesis has a first-pass score.
    pub without_scores: usize,
    /// Lists trained on whose first-pass scores add up to more than 0.
    pub positive_sums: usize,
}

/// The training set, prepared once.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainData {
    /// Distinct token sequences.
    pub sequences: Vec<Vec<u32>>,
    /// The lists that have something to choose, in the order given.
    pub lists: Vec<TrainList>,
    /// Factor that the first-pass scores were multiplied by.
    pub first_scale: f64,
    /// What was left out.
    pub counts: Counts,
}

impl TrainData {
    /// Prepares utterances.
    ///
    /// Of a list longer than `nbest` those hypotheses stay that have the best first-pass scores,
    /// in the order given.
    ///
    /// # Errors
    /// [`TrainError::NoUsableList`] when nothing is left to train on, [`TrainError::ScoreNotFinite`]
    /// when a first-pass score is no number, [`TrainError::Text`] when a text cannot be tokenised.
    pub fn prepare(
        utterances: &[Utterance],
        tokenizer: &BertTokenizer,
        config: &TrainConfig,
    ) -> Result<Self, TrainError> {
        let mut distinct = Sequences::new();
        let mut counts = Counts { utterances: utterances.len(), ..Counts::default() };
        let mut lists = Vec::new();
        for utterance in utterances {
            let Some(reference) = utterance.reference.as_deref() else {
                counts.no_reference += 1;
                continue;
            };
            check_scores(utterance)?;
            let all = first_pass(utterance);
            let kept = best_of(&all, config.nbest);
            let text = |&at: &usize| utterance.hypotheses[at].text.as_str();
            let errors: Vec<u32> = kept.iter().map(|at| errors_of(reference, text(at))).collect();
            if errors.windows(2).all(|pair| pair[0] == pair[1]) {
                counts.equal_errors += 1;
                continue;
            }
            let mut sequences = Vec::with_capacity(kept.len());
            for at in &kept {
                let encoded = encode(tokenizer, utterance, *at)?;
                counts.truncated += usize::from(encoded.truncated);
                sequences.push(distinct.intern(encoded.ids));
            }
            let first: Vec<f64> = kept.iter().map(|&at| all[at]).collect();
            counts.hypotheses += kept.len();
            counts.without_scores +=
                usize::from(utterance.hypotheses.iter().all(|h| h.score.is_none()));
            counts.positive_sums += usize::from(first.iter().sum::<f64>() > 0.0);
            lists.push(TrainList { first, errors, sequences });
        }
        if lists.is_empty() {
            return Err(TrainError::NoUsableList {
                utterances: counts.utterances,
                without_reference: counts.no_reference,
                equal_errors: counts.equal_errors,
                nbest: config.nbest,
            });
        }
        let first_scale = config.first_scale.unwrap_or_else(|| first_scale(&lists));
        lists.iter_mut().flat_map(|list| &mut list.first).for_each(|score| *score *= first_scale);
        Ok(Self { sequences: distinct.into_parts().0, lists, first_scale, counts })
    }

    /// Fingerprint of everything that training computes with: SHA-256 in hexadecimal digits.
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
        }
        hex(hasher)
    }
}

/// A first-pass score that is no number would poison every loss of its batch.
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

/// Tokenises one hypothesis; an error names it.
pub(super) fn encode(
    tokenizer: &BertTokenizer,
    utterance: &Utterance,
    hypothesis: usize,
) -> Result<Encoded, TrainError> {
    let encoded = tokenizer.encode(&utterance.hypotheses[hypothesis].text);
    let id = || utterance.id.clone();
    encoded.map_err(|error| TrainError::Text { id: id(), hypothesis, error })
}

/// Indices of the `limit` highest scores, ascending; of equal scores the earlier ones.
fn best_of(scores: &[f64], limit: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if scores.len() > limit {
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(limit);
        order.sort_unstable();
    }
    order
}

fn errors_of(reference: &str, text: &str) -> u32 {
    u32::try_from(word_errors(reference, text).errors()).unwrap_or(u32::MAX)
}

/// Adds one list to a fingerprint; lengths go in, so that no two lists read as one.
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
