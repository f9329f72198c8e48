//! The report of an evaluation.

use serde::Serialize;

use crate::nbest::Utterance;
use crate::text::Conventions;

use super::{
    ErrorCounts, Finding, Interval, MatchedPairs, TextCheck, best, bootstrap, compared, first_pass,
    matched_pairs, unit_errors,
};

/// One system of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemReport {
    /// Errors over all scored utterances.
    #[serde(flatten)]
    pub counts: ErrorCounts,
    /// Substitutions, insertions and deletions together.
    pub errors: u64,
    /// WER, a fraction; `None` without reference words.
    pub wer: Option<f64>,
    /// 95 % bootstrap interval of the WER.
    pub wer_interval: Option<Interval>,
    /// Utterances with at least one error.
    pub wrong_utterances: u64,
}

/// The result of an evaluation. Serialises to the JSON of `lorb eval --json`; `Display` is its table.
/// Rates are fractions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Utterances with a reference, including the missing ones.
    pub utterances: u64,
    /// Utterances without a reference; they are not counted below.
    pub without_reference: u64,
    /// References without a list that count as deletions; see [`Evaluation::add_missing`].
    pub missing: u64,
    /// The hypothesis with the best first-pass score, the first of equal ones.
    pub first_pass: SystemReport,
    /// The hypothesis selected by rescoring; `None` without rescoring.
    pub rescored: Option<SystemReport>,
    /// The hypothesis with the fewest errors.
    pub oracle: SystemReport,
    /// `1 - errors rescored / errors of the first pass`; `None` if the first pass makes no errors.
    pub relative_gain: Option<f64>,
    /// 95 % bootstrap interval of the relative gain.
    pub relative_gain_interval: Option<Interval>,
    /// First pass compared with rescored.
    pub matched_pairs: Option<MatchedPairs>,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// How texts were compared. Where the unit is not the word, "words" above are units.
    pub conventions: Conventions,
    /// Signs that references and lists follow other conventions; each as a sentence in JSON.
    pub warnings: Vec<Finding>,
}

/// Collects utterances one at a time for a [`Report`].
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    first: System,
    rescored: System,
    oracle: System,
    /// Reference words per scored utterance.
    words: Vec<u32>,
    any_rescored: bool,
    without_reference: u64,
    conventions: Conventions,
    check: TextCheck,
    missing: u64,
}

#[derive(Debug, Clone, Default)]
struct System {
    counts: ErrorCounts,
    /// Errors per utterance.
    errors: Vec<u32>,
}

impl System {
    fn add(&mut self, counts: ErrorCounts) {
        self.counts += counts;
        self.errors.push(u32::try_from(counts.errors()).unwrap_or(u32::MAX));
    }

    fn report(&self, wer_interval: Option<Interval>) -> SystemReport {
        SystemReport {
            counts: self.counts,
            errors: self.counts.errors(),
            wer: self.counts.wer(),
            wer_interval,
            wrong_utterances: self.errors.iter().filter(|&&errors| errors > 0).count() as u64,
        }
    }
}

impl Evaluation {
    /// An empty evaluation, which compares texts as they are, by words.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty evaluation with these conventions.
    #[must_use]
    pub fn with(conventions: Conventions) -> Self {
        Self { conventions, check: TextCheck::new(conventions), ..Self::default() }
    }

    /// Adds an utterance. `rescored` is the index of the hypothesis selected by rescoring, or `None` if it was
    /// not rescored: if others were, the rescored system uses its first pass. An utterance without a reference
    /// is counted but not scored.
    ///
    /// # Panics
    /// If `u` has no hypotheses, or `rescored` is out of range.
    pub fn add(&mut self, u: &Utterance, rescored: Option<usize>) {
        self.any_rescored |= rescored.is_some();
        let view = compared(u, &self.conventions);
        let Some(reference) = view.reference.as_deref() else {
            self.without_reference += 1;
            return;
        };
        let errors = |text: &str| unit_errors(self.conventions.unit, reference, text);
        let counts: Vec<ErrorCounts> = view.hypotheses.iter().map(|h| errors(&h.text)).collect();
        let first = best(&first_pass(&view));
        self.check.add(u, &counts);
        let oracle = counts.iter().copied().min_by_key(ErrorCounts::errors).unwrap_or_default();
        self.first.add(counts[first]);
        self.rescored.add(counts[rescored.unwrap_or(first)]);
        self.oracle.add(oracle);
        self.words.push(u32::try_from(oracle.reference_words).unwrap_or(u32::MAX));
    }

    /// Adds an utterance for which there is no list: every unit of its reference is a deletion, in all systems.
    pub fn add_missing(&mut self, reference: &str) {
        let reference = self.conventions.normalize.apply(reference);
        let counts = unit_errors(self.conventions.unit, &reference, "");
        for system in [&mut self.first, &mut self.rescored, &mut self.oracle] {
            system.add(counts);
        }
        self.words.push(u32::try_from(counts.reference_words).unwrap_or(u32::MAX));
        self.missing += 1;
    }

    /// Signs so far that references and lists follow other conventions.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.check.findings()
    }

    /// The report. `resamples` and `seed` are those of [`bootstrap()`].
    #[must_use]
    pub fn report(&self, resamples: u32, seed: u64) -> Report {
        let systems = [&self.first.errors[..], &self.rescored.errors, &self.oracle.errors];
        let intervals = bootstrap(&systems, &self.words, resamples, seed);
        let first_errors = self.first.counts.errors();
        let gain = || 1.0 - self.rescored.counts.errors() as f64 / first_errors as f64;
        Report {
            utterances: self.words.len() as u64,
            without_reference: self.without_reference,
            missing: self.missing,
            first_pass: self.first.report(intervals.wer[0]),
            rescored: self.any_rescored.then(|| self.rescored.report(intervals.wer[1])),
            oracle: self.oracle.report(intervals.wer[2]),
            relative_gain: (self.any_rescored && first_errors > 0).then(gain),
            relative_gain_interval: intervals.gain[1]
                .filter(|_| self.any_rescored && first_errors > 0),
            matched_pairs: self
                .any_rescored
                .then(|| matched_pairs(&self.first.errors, &self.rescored.errors)),
            seed,
            conventions: self.conventions,
            warnings: self.findings(),
        }
    }
}
