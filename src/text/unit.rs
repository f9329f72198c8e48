//! The units in which errors are counted.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

use serde::{Deserialize, Serialize};

use super::characters::is_without_spaces;

/// What counts as one unit of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A word: what is between white space. Rates are word error rates (WER).
    #[default]
    Word,
    /// A character (a Unicode code point) that is not white space. Rates are character error rates (CER).
    Char,
    /// A character in scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese); in other
    /// scripts, a word. Rates are mixed error rates (MER).
    Mixed,
}

impl Unit {
    /// All units.
    pub const ALL: [Self; 3] = [Self::Word, Self::Char, Self::Mixed];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Char => "char",
            Self::Mixed => "mixed",
        }
    }

    /// One line of help.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Word => "words between white space (WER)",
            Self::Char => "characters, without white space (CER)",
            Self::Mixed => {
                "characters of Chinese, Japanese, Thai, Lao, Khmer and Burmese, words of other scripts (MER)"
            }
        }
    }

    /// The usual abbreviation of its error rate: WER, CER or MER.
    #[must_use]
    pub fn rate(self) -> &'static str {
        match self {
            Self::Word => "WER",
            Self::Char => "CER",
            Self::Mixed => "MER",
        }
    }

    /// The units in a sentence: words, characters or units.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Word => "words",
            Self::Char => "characters",
            Self::Mixed => "units",
        }
    }

    /// The units of a text, in order.
    #[must_use]
    pub fn of(self, text: &str) -> Units<'_> {
        Units { unit: self, words: text.split_whitespace(), rest: "" }
    }

    /// The number of units of a text.
    #[must_use]
    pub fn count(self, text: &str) -> u32 {
        u32::try_from(self.of(text).count()).unwrap_or(u32::MAX)
    }
}

/// The units of a text; see [`Unit::of`].
#[derive(Debug, Clone)]
pub struct Units<'a> {
    unit: Unit,
    words: SplitWhitespace<'a>,
    /// What is left of the current word.
    rest: &'a str,
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            self.rest = self.words.next()?;
        }
        let mut characters = self.rest.char_indices();
        let end = match self.unit {
            Unit::Word => self.rest.len(),
            Unit::Mixed if !self.rest.starts_with(is_without_spaces) => {
                self.rest.find(is_without_spaces).unwrap_or(self.rest.len())
            }
            Unit::Char | Unit::Mixed => {
                characters.next();
                characters.offset()
            }
        };
        let (unit, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(unit)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|unit| unit.name() == name);
        found.ok_or_else(|| "expected word, char or mixed".to_owned())
    }
}
