//! Normalisation of texts.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization_alignments::UnicodeNormalization;

use super::characters::{Invisible, invisible, is_apostrophe, is_in_word};
use super::whisper;

/// How texts are changed before they are compared and before the model reads them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Texts as they are.
    #[default]
    None,
    /// Unicode's composed form (NFC), lower case.
    Lower,
    /// As `Lower`, without punctuation and symbols. A space replaces each of them, except apostrophes inside words,
    /// which become `'` in all their forms. Invisible characters are removed; a zero-width space separates words.
    Basic,
    /// Whisper's rules for English: contractions, numbers, titles and American spelling, no fillers.
    Whisper,
}

impl Normalize {
    /// All kinds, from the weakest to the strongest.
    pub const ALL: [Self; 4] = [Self::None, Self::Lower, Self::Basic, Self::Whisper];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lower => "lower",
            Self::Basic => "basic",
            Self::Whisper => "whisper",
        }
    }

    /// One line of help.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::None => "compare texts as they are",
            Self::Lower => "ignore case and Unicode composition (NFC)",
            Self::Basic => {
                "also ignore punctuation, symbols, forms of the apostrophe and invisible characters"
            }
            Self::Whisper => {
                "Whisper's rules for English: contractions, numbers, titles, spelling, fillers"
            }
        }
    }

    /// The normalised text. Words are separated by single spaces, except by `None` and `Lower`, which keep white
    /// space.
    #[must_use]
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Lower => Cow::Owned(lower(text)),
            Self::Basic => Cow::Owned(basic(text)),
            Self::Whisper => Cow::Owned(whisper::normalize(text)),
        }
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Normalize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| "expected none, lower, basic or whisper".to_owned())
    }
}

/// Composed again after lower-casing, which decomposes some letters, such as I with a dot.
fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    composed(&composed(text).to_lowercase())
}

/// A text in Unicode's composed form (NFC).
#[must_use]
pub fn composed(text: &str) -> String {
    text.nfc().map(|(c, _)| c).collect()
}

fn basic(text: &str) -> String {
    let text = visible(text);
    let text = lower(&text);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let inside = || out.ends_with(is_in_word);
        if is_apostrophe(c) {
            if inside()
                && characters.peek().is_some_and(|&next| is_in_word(next) && !is_apostrophe(next))
            {
                out.push('\'');
            } else if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if is_in_word(c) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A text without invisible characters.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| invisible(c).is_none()) {
        return Cow::Borrowed(text);
    }
    let kept = |c| match invisible(c) {
        None => Some(c),
        Some(Invisible::Space) => Some(' '),
        Some(Invisible::Nothing) => None,
    };
    Cow::Owned(text.chars().filter_map(kept).collect())
}
