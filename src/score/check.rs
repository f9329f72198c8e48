//! Signs that references and lists follow different conventions.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::nbest::Utterance;
use crate::text::{Conventions, Normalize, Unit, composed, is_without_spaces};

use super::{ErrorCounts, ScoredList, best, first_pass, unit_errors};

/// Characters of a script without spaces that make a suspiciously long word.
const LONG_RUN: usize = 4;

/// Reference words from which an error rate near 100 % is suspicious.
const FEW_WORDS: u64 = 20;

/// A sign that numbers of errors are not what they should be. `Display` states it with the setting that removes the
/// cause, and so does JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Errors of the first pass that are differences of form.
    Vanishing {
        /// Errors of the first pass.
        errors: u64,
        /// Those that remain if the forms are ignored.
        left: u64,
        /// The difference of form.
        form: Form,
    },
    /// The best hypotheses have nearly as many errors as the references have words.
    HopelessOracle {
        /// Errors of the oracle.
        errors: u64,
        /// Words of the references.
        words: u64,
        /// The unit of both.
        unit: Unit,
    },
    /// Texts in a script without spaces count as single words.
    OneWord {
        /// References with such a word.
        references: u64,
        /// All references.
        all: u64,
        /// The unit to use.
        unit: Unit,
    },
    /// Hypotheses that have no word in common with their reference. Their errors depend only on their lengths.
    NothingInCommon {
        /// The number of these hypotheses.
        hypotheses: u64,
        /// All hypotheses of lists with a reference that is not empty.
        all: u64,
    },
}

/// A difference of form, from the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Composed and decomposed characters.
    Composition,
    /// Case.
    Case,
    /// Case and punctuation.
    Punctuation,
    /// What Whisper's rules for English change.
    Whisper,
}

impl Form {
    const ALL: [Self; 4] = [Self::Composition, Self::Case, Self::Punctuation, Self::Whisper];

    /// The weakest normalisation that ignores it.
    #[must_use]
    pub fn normalize(self) -> Normalize {
        match self {
            Self::Composition | Self::Case => Normalize::Lower,
            Self::Punctuation => Normalize::Basic,
            Self::Whisper => Normalize::Whisper,
        }
    }

    fn ignored_in(self, text: &str) -> String {
        match self {
            Self::Composition => composed(text),
            _ => self.normalize().apply(text).into_owned(),
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Composition => "Unicode composition (NFC) is ignored",
            Self::Case => "case is ignored",
            Self::Punctuation => "case and punctuation are ignored",
            Self::Whisper => "numbers, contractions and spelling are written in one form (English)",
        }
    }
}

impl Finding {
    /// Whether no hypothesis at all has a word in common with its reference.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::NothingInCommon { hypotheses, all } if hypotheses == all)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Vanishing { errors, left, form } => {
                let (gone, phrase, normalize) = (errors - left, form.phrase(), form.normalize());
                write!(
                    f,
                    "{gone} of {errors} errors of the first pass vanish when {phrase}; set `normalize` to `{normalize}`"
                )
            }
            Self::HopelessOracle { errors, words, unit } => {
                let units = unit.plural();
                write!(
                    f,
                    "even the best hypotheses have {errors} errors in {words} {units}; check that references and lists \
                     belong together and are in the same script"
                )
            }
            Self::OneWord { references, all, unit } => write!(
                f,
                "{references} of {all} references are in a script without spaces and count as few words, so that one \
                 wrong character makes a whole text wrong; set `unit` to `{unit}`"
            ),
            Self::NothingInCommon { hypotheses, all } => write!(
                f,
                "{hypotheses} of {all} hypotheses have no word in common with their reference, so their errors depend \
                 only on their lengths"
            ),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Collects what [`Finding`]s need, one utterance at a time.
#[derive(Debug, Clone, Default)]
pub struct TextCheck {
    conventions: Conventions,
    references: u64,
    words: u64,
    /// Errors of the first pass, and what is left of them when each form is ignored.
    first: u64,
    left: [u64; Form::ALL.len()],
    oracle: u64,
    /// References with a long word in a script without spaces, and those that have words of other scripts too.
    without_spaces: u64,
    mixed: u64,
    hypotheses: u64,
    nothing_in_common: u64,
}

impl TextCheck {
    /// A check of lists that are compared with these conventions.
    #[must_use]
    pub fn new(conventions: Conventions) -> Self {
        Self { conventions, ..Self::default() }
    }

    /// Adds a list as the recogniser wrote it, with the errors of its hypotheses under the conventions. A list without
    /// a reference is ignored.
    pub fn add(&mut self, u: &Utterance, errors: &[ErrorCounts]) {
        if errors.iter().any(|e| e.reference_words > 0) {
            let common = |e: &&ErrorCounts| e.reference_words > e.substitutions + e.deletions;
            self.hypotheses += errors.len() as u64;
            self.nothing_in_common += (errors.len() - errors.iter().filter(common).count()) as u64;
        }
        self.add_forms(u, errors.iter().map(ErrorCounts::errors).min());
    }

    /// As [`TextCheck::add`], with the list in numeric form; what hypotheses have in common is not counted.
    pub fn add_scored(&mut self, u: &Utterance, list: &ScoredList) {
        self.add_forms(u, list.errors.iter().copied().min().map(u64::from));
    }

    fn add_forms(&mut self, u: &Utterance, oracle: Option<u64>) {
        let Some(reference) = u.reference.as_deref() else { return };
        let Conventions { normalize, unit, .. } = self.conventions;
        let normalized = normalize.apply(reference);
        self.references += 1;
        self.words += u64::from(unit.count(&normalized));
        self.oracle += oracle.unwrap_or(0);
        self.add_script(reference);
        let first = &u.hypotheses[best(&first_pass(u))].text;
        let errors = |reference: &str, text: &str| unit_errors(unit, reference, text).errors();
        let now = errors(&normalized, &normalize.apply(first));
        self.first += now;
        if now == 0 {
            return;
        }
        for (form, left) in Form::ALL.into_iter().zip(&mut self.left) {
            *left += if form.normalize() <= normalize {
                now
            } else {
                errors(&form.ignored_in(reference), &form.ignored_in(first))
            };
        }
    }

    fn add_script(&mut self, reference: &str) {
        let (mut long, mut other) = (false, false);
        for word in reference.split_whitespace() {
            long |= word.chars().filter(|&c| is_without_spaces(c)).count() >= LONG_RUN;
            other |= word.chars().any(|c| c.is_alphabetic() && !is_without_spaces(c));
        }
        self.without_spaces += u64::from(long);
        self.mixed += u64::from(long && other);
    }

    /// What was found, the cause with the largest effect first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let vanishing = self.vanishing();
        // Differences of form that explain most errors explain the oracle's too.
        let explained = vanishing.is_some_and(
            |found| matches!(found, Finding::Vanishing { errors, left, .. } if 2 * left < errors),
        );
        found.extend(vanishing);
        let unit = self.conventions.unit;
        if unit == Unit::Word && 2 * self.without_spaces >= self.references.max(1) {
            let unit = if self.mixed > 0 { Unit::Mixed } else { Unit::Char };
            let (references, all) = (self.without_spaces, self.references);
            found.push(Finding::OneWord { references, all, unit });
        } else if !explained && self.words >= FEW_WORDS && 10 * self.oracle >= 9 * self.words {
            found.push(Finding::HopelessOracle { errors: self.oracle, words: self.words, unit });
        }
        found
    }

    /// The weakest form that makes up nearly all errors of form, if these are a tenth of all errors and a hundredth of
    /// the words.
    fn vanishing(&self) -> Option<Finding> {
        let errors = self.first;
        let gone = |form: usize| errors.saturating_sub(self.left[form]);
        let matters = |gone: u64| gone > 0 && 10 * gone >= errors && 100 * gone >= self.words;
        let plain = Form::ALL.len() - 1;
        let most = (0..plain).map(gone).max()?;
        // Whisper's rules are for English only, so they must remove much more than the others do.
        let form = if matters(gone(plain).saturating_sub(most)) {
            plain
        } else {
            (0..plain).find(|&form| 10 * gone(form) >= 9 * most)?
        };
        let left = self.left[form];
        matters(gone(form)).then(|| Finding::Vanishing { errors, left, form: Form::ALL[form] })
    }

    /// Set if at least nine of ten hypotheses have no word in common with their reference.
    #[must_use]
    pub fn nothing_in_common(&self) -> Option<Finding> {
        let (hypotheses, all) = (self.nothing_in_common, self.hypotheses);
        let most = all > 0 && 10 * hypotheses >= 9 * all;
        most.then_some(Finding::NothingInCommon { hypotheses, all })
    }
}
