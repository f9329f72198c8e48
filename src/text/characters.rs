//! Classes of characters.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::canonical_combining_class;

/// Whether a character is written like an apostrophe: the straight one, the quotation marks that keyboards and
/// recognisers use for it, accents without a letter, and the modifier letter.
pub fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | '‛' | '`' | '´' | 'ʼ' | '′' | '＇')
}

/// What an invisible character is replaced with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invisible {
    /// It separates words.
    Space,
    /// It has no effect on words.
    Nothing,
}

/// Whether a character is invisible: zero-width characters, the byte-order mark, soft hyphens, controls, marks of
/// direction, variation selectors. A zero-width space separates words; the others are inside a word or next to it.
pub fn invisible(c: char) -> Option<Invisible> {
    match c {
        '\u{200b}' => Some(Invisible::Space),
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => Some(Invisible::Nothing),
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
            Some(Invisible::Nothing)
        }
        '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}' => {
            Some(Invisible::Nothing)
        }
        _ if c.is_control() && !c.is_whitespace() => Some(Invisible::Nothing),
        _ => None,
    }
}

/// Marks that belong to the character before them: accents, vowel signs, tones, viramas.
pub fn is_mark(c: char) -> bool {
    !c.is_ascii() && (c.is_mark() || canonical_combining_class(c) != 0)
}

/// Letters, digits and their marks; everything else that is visible is punctuation or a symbol.
pub fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

/// Whether a script is written without spaces between words: Chinese characters, Japanese kana, Thai, Lao, Khmer
/// and Burmese.
#[must_use]
pub fn is_without_spaces(c: char) -> bool {
    matches!(u32::from(c),
        // Thai, Lao; Burmese and its extensions; Khmer.
        0x0E01..=0x0E3A | 0x0E40..=0x0E5B | 0x0E80..=0x0EFF
        | 0x1000..=0x109F | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F | 0x1780..=0x17FF
        // Iteration marks and the number zero; kana, also of half width.
        | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3041..=0x309F | 0x30A1..=0x30FA | 0x30FC..=0x30FF
        | 0x31F0..=0x31FF | 0xFF66..=0xFF9F
        // Bopomofo, and Chinese characters with their extensions.
        | 0x3105..=0x312F | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF)
}
