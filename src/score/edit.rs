//! Word-level edit distance.

use std::fmt;
use std::hash::Hash;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::distance::{self, Edits};
use crate::text::Unit;

/// Cells of a table that is filled as a whole, because that is faster for short sequences.
const PLAIN_CELLS: usize = 1 << 14;

/// Word errors by type. Counts can be summed over utterances.
///
/// `Display` prints Kaldi's format:
/// `%WER 5.48 [ 451 / 8234, 45 ins, 69 del, 337 sub ]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorCounts {
    /// Substituted words.
    pub substitutions: u64,
    /// Words of the hypothesis that are not in the reference.
    pub insertions: u64,
    /// Words of the reference that are not in the hypothesis.
    pub deletions: u64,
    /// Words of the reference.
    pub reference_words: u64,
}

impl ErrorCounts {
    /// Substitutions, insertions and deletions together.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.substitutions + self.insertions + self.deletions
    }

    /// Word error rate, a fraction (0.05 is 5 %); many insertions can raise it above 1. `None` without
    /// reference words.
    #[must_use]
    pub fn wer(&self) -> Option<f64> {
        (self.reference_words > 0).then(|| self.errors() as f64 / self.reference_words as f64)
    }
}

impl Add for ErrorCounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for ErrorCounts {
    fn add_assign(&mut self, other: Self) {
        self.substitutions += other.substitutions;
        self.insertions += other.insertions;
        self.deletions += other.deletions;
        self.reference_words += other.reference_words;
    }
}

impl Sum for ErrorCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for ErrorCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_unit(Unit::Word).fmt(f)
    }
}

impl ErrorCounts {
    /// `Display` of counts of these units: `%CER 5.48 [ ...`.
    #[must_use]
    pub fn in_unit(self, unit: Unit) -> impl fmt::Display {
        CountsOf { counts: self, unit }
    }
}

struct CountsOf {
    counts: ErrorCounts,
    unit: Unit,
}

impl fmt::Display for CountsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.unit.rate();
        match self.counts.wer() {
            Some(wer) => write!(f, "%{rate} {:.2}", 100.0 * wer)?,
            None => write!(f, "%{rate} n/a")?,
        }
        let ErrorCounts { substitutions, insertions, deletions, reference_words } = self.counts;
        let errors = self.counts.errors();
        write!(
            f,
            " [ {errors} / {reference_words}, {insertions} ins, {deletions} del, {substitutions} sub ]"
        )
    }
}

/// Word errors of a hypothesis. Words are separated by Unicode white space and compared exactly, so letter
/// case and punctuation matter.
#[must_use]
pub fn word_errors(reference: &str, hypothesis: &str) -> ErrorCounts {
    unit_errors(Unit::Word, reference, hypothesis)
}

/// Errors of a hypothesis in other units than words: characters, or characters and words. Texts are compared exactly.
#[must_use]
pub fn unit_errors(unit: Unit, reference: &str, hypothesis: &str) -> ErrorCounts {
    let reference: Vec<&str> = unit.of(reference).collect();
    let hypothesis: Vec<&str> = unit.of(hypothesis).collect();
    edit_counts(&reference, &hypothesis)
}

/// The fewest edits (Levenshtein 1966) that turn `reference` into `hypothesis`.
///
/// Several alignments may have the same number of edits but different types. The one with the most
/// substitutions is counted. This makes the counts unique, and swapping the two sequences swaps insertions
/// and deletions.
///
/// Two sequences of `n` elements need time proportional to `n * n / 64`, and additionally to `n` times the number of
/// insertions and deletions. No path is stored: the counts follow from the number of edits E, the number K of
/// insertions and deletions, and insertions - deletions = length difference.
#[must_use]
pub fn edit_counts<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> ErrorCounts {
    let reference_words = reference.len() as u64;
    let prefix = reference.iter().zip(hypothesis).take_while(|(r, h)| r == h).count();
    let (reference, hypothesis) = (&reference[prefix..], &hypothesis[prefix..]);
    let suffix =
        reference.iter().rev().zip(hypothesis.iter().rev()).take_while(|(r, h)| r == h).count();
    let reference = &reference[..reference.len() - suffix];
    let hypothesis = &hypothesis[..hypothesis.len() - suffix];
    let Edits { edits, gaps } = if reference.len() * hypothesis.len() <= PLAIN_CELLS {
        distance::plain(reference, hypothesis)
    } else {
        distance::long(reference, hypothesis)
    };
    let (r, h) = (reference.len() as u64, hypothesis.len() as u64);
    ErrorCounts {
        substitutions: edits - gaps,
        insertions: (gaps + h.saturating_sub(r) - r.saturating_sub(h)) / 2,
        deletions: (gaps + r.saturating_sub(h) - h.saturating_sub(r)) / 2,
        reference_words,
    }
}
