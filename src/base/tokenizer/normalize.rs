//! BERT's normalisation and its classes of characters, one character at a time.
//!
//! It is that of the `tokenizers` crate, from the same tables; tests compare the two.

use serde::Deserialize;
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

/// The settings of `BertNormalizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Rules {
    /// Whether control characters are removed and white space becomes spaces.
    clean_text: bool,
    /// Whether CJK characters are separate words.
    handle_chinese_chars: bool,
    /// Whether accents are removed; if not given, only in lower-cased text.
    strip_accents: Option<bool>,
    lowercase: bool,
}

impl Rules {
    /// Those of Transformers' `BertTokenizer`, which always cleans texts.
    pub fn new(lowercase: bool, strip_accents: Option<bool>, handle_chinese_chars: bool) -> Self {
        Self { clean_text: true, handle_chinese_chars, strip_accents, lowercase }
    }

    /// The settings of `BertTokenizer` that differ in effect.
    pub fn differences(self, other: Self) -> Vec<&'static str> {
        let strips = |rules: Self| rules.strip_accents.unwrap_or(rules.lowercase);
        let all = [
            (self.lowercase != other.lowercase, "do_lower_case"),
            (strips(self) != strips(other), "strip_accents"),
            (self.handle_chinese_chars != other.handle_chinese_chars, "tokenize_chinese_chars"),
            (self.clean_text != other.clean_text, "clean_text"),
        ];
        all.into_iter().filter_map(|(differs, key)| differs.then_some(key)).collect()
    }

    /// The characters of the normalised text.
    pub fn normalize<'a>(self, text: &'a str) -> impl Iterator<Item = char> + use<'a> {
        let Self { clean_text, handle_chinese_chars, strip_accents, lowercase } = self;
        let kept = text.chars().filter(move |&c| !(clean_text && is_removed(c)));
        let cleaned = kept.map(move |c| if clean_text && c.is_whitespace() { ' ' } else { c });
        let spaced = cleaned.flat_map(move |c| {
            let single = !(handle_chinese_chars && is_cjk(c));
            let (from, count) = if single { (1, 1) } else { (0, 3) };
            [' ', c, ' '].into_iter().skip(from).take(count)
        });
        let (stripped, whole) = if strip_accents.unwrap_or(lowercase) {
            let decomposed = spaced.nfd().map(|(c, _)| c);
            (Some(decomposed.filter(|c| c.is_ascii() || !c.is_mark_nonspacing())), None)
        } else {
            (None, Some(spaced))
        };
        let chars = stripped.into_iter().flatten().chain(whole.into_iter().flatten());
        chars.flat_map(move |c| {
            let lower = lowercase.then(|| c.to_lowercase());
            lower.into_iter().flatten().chain((!lowercase).then_some(c))
        })
    }
}

/// Control characters, which also are those for formatting and of private use.
fn is_removed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        ' '..='~' => false,
        '\0' | '\u{fffd}' => true,
        _ => c.is_other(),
    }
}

/// The blocks of Chinese characters, which Japanese kana and Korean hangul are not part of.
fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

/// Characters that are separate words.
pub fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { c.is_punctuation() }
}

/// Characters that continue a word, as `\w` in regular expressions.
pub fn is_word(c: char) -> bool {
    c.is_alphabetic()
        || c.is_mark()
        || c.is_number_decimal_digit()
        || c.is_punctuation_connector()
        || matches!(c, '\u{200c}' | '\u{200d}')
}
