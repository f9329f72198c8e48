//! Texts as tokens of the teacher and of the student, aligned by words.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::error::DistillError;
use crate::base::BertTokenizer;
use crate::digest::hex;

/// Every how many texts one is kept apart to judge the student.
const APART_EVERY: usize = 20;
/// At most this many texts judge: more would take long and say the same.
const MOST_APART: usize = 400;

/// A text for both models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Ids of the teacher.
    pub teacher: Vec<u32>,
    /// Ids of the student, if it has another vocabulary.
    pub student: Option<Vec<u32>>,
}

impl Pair {
    /// Ids of the student.
    pub fn student(&self) -> &[u32] {
        self.student.as_deref().unwrap_or(&self.teacher)
    }
}

/// Texts to learn from, and some that are kept apart to judge by.
#[derive(Clone, Debug)]
pub struct Corpus {
    pub(super) train: Vec<Pair>,
    pub(super) apart: Vec<Pair>,
    /// Pieces that continue a word, of the teacher and of the student; empty if both have the same vocabulary.
    continuing: [HashSet<u32>; 2],
    /// Texts that were cut at the limit of a base.
    pub truncated: usize,
}

impl Corpus {
    /// Tokenises texts for both models. Empty texts are left out; of the others, one in twenty is kept apart, 400 at
    /// most. `student` is the student's tokenizer, if it differs from the teacher's.
    ///
    /// # Errors
    /// [`DistillError::NoText`], [`DistillError::Text`], [`DistillError::Words`].
    pub fn new(
        texts: &[String],
        teacher: &BertTokenizer,
        student: Option<&BertTokenizer>,
    ) -> Result<Self, DistillError> {
        let continuing = match student {
            Some(student) => [teacher, student].map(continuing),
            None => Default::default(),
        };
        let mut corpus = Self { train: Vec::new(), apart: Vec::new(), continuing, truncated: 0 };
        for (at, text) in texts.iter().enumerate() {
            let fault = |error| DistillError::Text { line: at + 1, error };
            let of_teacher = teacher.encode(text).map_err(fault)?;
            // Only the two tokens around a text.
            if of_teacher.ids.len() <= 2 {
                continue;
            }
            let of_student =
                student.map(|student| student.encode(text).map_err(fault)).transpose()?;
            let cut =
                of_teacher.truncated || of_student.as_ref().is_some_and(|text| text.truncated);
            corpus.truncated += usize::from(cut);
            let mut pair =
                Pair { teacher: of_teacher.ids, student: of_student.map(|text| text.ids) };
            corpus.align(&mut pair, cut, at + 1)?;
            let count = corpus.train.len() + corpus.apart.len();
            if count % APART_EVERY == APART_EVERY - 1 && corpus.apart.len() < MOST_APART {
                corpus.apart.push(pair);
            } else {
                corpus.train.push(pair);
            }
        }
        if corpus.train.is_empty() {
            return Err(DistillError::NoText);
        }
        Ok(corpus)
    }

    /// Checks that both models have the same words, after cutting the longer one of a text that was cut.
    fn align(&self, pair: &mut Pair, cut: bool, line: usize) -> Result<(), DistillError> {
        let Some(student) = &mut pair.student else { return Ok(()) };
        let [of_teacher, of_student] = &self.continuing;
        let words = |ids: &[u32], continuing: &HashSet<u32>| {
            ids.iter().filter(|id| !continuing.contains(id)).count()
        };
        let counts = [words(&pair.teacher, of_teacher), words(student, of_student)];
        let [teacher, own] = counts;
        if teacher == own {
            return Ok(());
        }
        if !cut {
            return Err(DistillError::Words { line, teacher, student: own });
        }
        // The last word may be incomplete; it is left out, and so is the token at the end in its place.
        let shared = teacher.min(own).saturating_sub(2).max(1);
        for (ids, continuing) in [(&mut pair.teacher, of_teacher), (student, of_student)] {
            let end = ids.pop();
            let mut seen = 0;
            let kept = ids.iter().take_while(|id| {
                seen += usize::from(!continuing.contains(id));
                seen <= shared
            });
            let kept = kept.count();
            ids.truncate(kept);
            ids.extend(end);
        }
        Ok(())
    }

    /// The index of its word for every token of some texts, one text after the other, for the teacher and the student;
    /// `None` if their tokens are the same.
    pub(super) fn words(&self, pairs: &[&Pair]) -> Option<[Vec<usize>; 2]> {
        if pairs.iter().all(|pair| pair.student.is_none()) {
            return None;
        }
        let [of_teacher, of_student] = &self.continuing;
        let index = |ids: &mut dyn Iterator<Item = u32>, continuing: &HashSet<u32>| {
            let mut word = 0;
            ids.map(|id| {
                word += usize::from(!continuing.contains(&id));
                // The first token of a text begins a word.
                word - 1
            })
            .collect()
        };
        Some([
            index(&mut pairs.iter().flat_map(|pair| pair.teacher.iter().copied()), of_teacher),
            index(&mut pairs.iter().flat_map(|pair| pair.student().iter().copied()), of_student),
        ])
    }

    /// Number of rows of a text: words, or tokens if both models have the same.
    pub(super) fn rows(&self, pair: &Pair) -> usize {
        let [of_teacher, _] = &self.continuing;
        pair.teacher.iter().filter(|id| !of_teacher.contains(id)).count()
    }

    /// Number of texts to learn from, and of texts kept apart.
    #[must_use]
    pub fn counts(&self) -> [usize; 2] {
        [self.train.len(), self.apart.len()]
    }

    /// SHA-256 of all tokens, 64 hexadecimal digits.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for pairs in [&self.train, &self.apart] {
            hasher.update((pairs.len() as u64).to_le_bytes());
            for ids in pairs.iter().flat_map(|pair| [&pair.teacher[..], pair.student()]) {
                hasher.update((ids.len() as u64).to_le_bytes());
                ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
            }
        }
        hex(hasher)
    }
}

/// Ids of the pieces that continue a word.
fn continuing(tokenizer: &BertTokenizer) -> HashSet<u32> {
    let pieces = tokenizer.word_pieces().into_iter().flatten();
    pieces.filter(|(piece, _)| piece.starts_with("##")).map(|(_, id)| id).collect()
}
