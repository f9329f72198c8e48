//! The development set, which evaluates the adapter and tunes beta.

use sha2::Sha256;

use super::data::{check_scores, encode, hash_list};
use super::error::TrainError;
use crate::base::BertTokenizer;
use crate::digest::hex;
use crate::model::{
    Encoder, ModelError, SCORING_BATCH_TOKENS, Sequences, TrainableTensors, score_sequences,
};
use crate::nbest::Utterance;
use crate::score::{
    Finding, PartWeights, ScoredList, TextCheck, Tuned, Weights, compared, tune,
    weighted_first_pass,
};
use crate::text::Conventions;

/// The preprocessed development set.
///
/// Lists whose hypotheses all have the same number of errors count in every WER, but their texts are not
/// scored, because every choice gives the same errors.
#[derive(Clone, Debug)]
pub struct DevData {
    lists: Vec<ScoredList>,
    /// Indices of each list's texts in `sequences`; empty if all hypotheses have the same number of errors.
    places: Vec<Vec<usize>>,
    sequences: Vec<Vec<u32>>,
    /// Errors of the first pass, without weights of parts.
    errors_first: u64,
    wer_oracle: f64,
    findings: Vec<Finding>,
}

impl DevData {
    /// Preprocesses the utterances that have a reference; `None` without utterances. `part_weights` are those of
    /// [`TrainData`](super::TrainData).
    ///
    /// # Errors
    /// [`TrainError::NoDevReference`] if there are no reference words, [`TrainError::ScoreNotFinite`] if a first-pass
    /// score is not finite, [`TrainError::Text`] if a text cannot be tokenised.
    pub fn prepare(
        utterances: &[Utterance],
        tokenizer: &BertTokenizer,
        conventions: Conventions,
        part_weights: &PartWeights,
    ) -> Result<Option<Self>, TrainError> {
        if utterances.is_empty() {
            return Ok(None);
        }
        let mut distinct = Sequences::new();
        let (mut lists, mut places) = (Vec::new(), Vec::new());
        let mut check = TextCheck::new(conventions);
        let mut errors_first = 0;
        for given in utterances {
            let utterance = compared(given, &conventions);
            let zeros = vec![0.0; utterance.hypotheses.len()];
            let Some(mut list) = ScoredList::new(&utterance, &zeros, conventions.unit) else {
                continue;
            };
            errors_first += u64::from(list.errors[list.choice(&Weights::default())]);
            list.first = weighted_first_pass(&utterance, part_weights);
            list.parts.clear();
            check_scores(given)?;
            check.add_scored(given, &list);
            let mut row = Vec::new();
            if list.errors.windows(2).any(|pair| pair[0] != pair[1]) {
                for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
                    let encoded = encode(tokenizer, &hypothesis.text, &utterance.id, at)?;
                    row.push(distinct.intern(encoded.ids));
                }
            }
            lists.push(list);
            places.push(row);
        }
        let words: u64 = lists.iter().map(|list| u64::from(list.reference_words)).sum();
        if words == 0 {
            return Err(TrainError::NoDevReference { utterances: utterances.len() });
        }
        let fewest = |list: &ScoredList| u64::from(list.errors.iter().min().copied().unwrap_or(0));
        let wer_oracle = lists.iter().map(fewest).sum::<u64>() as f64 / words as f64;
        let (sequences, _) = distinct.into_parts();
        let findings = check.findings();
        Ok(Some(Self { lists, places, sequences, errors_first, wer_oracle, findings }))
    }

    /// Utterances with a reference.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// WER of the first pass without weights of parts, a fraction.
    #[must_use]
    pub fn wer_first(&self) -> f64 {
        let words: u64 = self.lists.iter().map(|list| u64::from(list.reference_words)).sum();
        self.errors_first as f64 / words as f64
    }

    /// WER of the oracle, a fraction.
    #[must_use]
    pub fn wer_oracle(&self) -> f64 {
        self.wer_oracle
    }

    /// Signs that references and lists follow other conventions.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Scores the lists and tunes beta on them.
    ///
    /// # Errors
    /// [`ModelError::Device`] and [`ModelError::ScoreNotFinite`], as in scoring.
    pub async fn evaluate(
        &mut self,
        encoder: &Encoder,
        trainable: &TrainableTensors,
    ) -> Result<Tuned, ModelError> {
        let lm = score_sequences(encoder, trainable, &self.sequences, SCORING_BATCH_TOKENS, |_| ())
            .await?;
        for (list, places) in self.lists.iter_mut().zip(&self.places) {
            for (score, &place) in list.lm.iter_mut().zip(places) {
                *score = lm[place];
            }
        }
        let mut tuned = tune(&self.lists, false);
        tuned.errors_first = self.errors_first;
        tuned.wer_first = Some(self.wer_first());
        Ok(tuned)
    }

    /// Fingerprint of all data used in an evaluation: SHA-256 in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        let mut hasher = Sha256::new();
        for (list, places) in self.lists.iter().zip(&self.places) {
            hasher.update(list.reference_words.to_le_bytes());
            hash_list(
                &mut hasher,
                &list.first,
                &list.errors,
                places.iter().map(|&at| &self.sequences[at]),
            );
        }
        hex(hasher)
    }
}
