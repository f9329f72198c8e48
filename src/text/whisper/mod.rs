//! The English text rules that Whisper's error rates are computed with (Radford et al. 2022, appendix C, and the
//! normaliser published with it under the MIT licence), written from that description.
//!
//! In this order: remove what is in brackets and fillers; write contractions and titles in full; remove commas in
//! numbers, punctuation, symbols and accents; write numbers and amounts in digits; American spelling.
//!
//! Results are those of the PyPI package `whisper-normalizer` (`tests/golden/make_whisper.py` compares them), with
//! these differences:
//!
//! - Every form of the apostrophe counts as `'`, so `don’t` is `do not` too. The package makes it `don t`.
//! - Invisible characters are removed, and a zero-width space separates words. The package keeps them.
//! - `archaeology` becomes `archeology`. The package's table has a fragment of HTML there.
//! - Only the digits 0 to 9, also of full width, are numbers. The package accepts those of other scripts.
//! - White space at the ends is removed. The package keeps one space.

mod contractions;
mod numbers;
mod scan;
mod spelling;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

use super::characters::is_apostrophe;
use super::normalize::visible;
use scan::{is_word, words_with_bounds};

/// Sounds of hesitation.
const FILLERS: [&str; 6] = ["hmm", "mm", "mhm", "mmm", "uh", "um"];

/// Symbols of numbers and amounts, which have a meaning next to digits.
const NUMERIC: [char; 6] = ['.', '%', '$', '¢', '€', '£'];

/// Letters that have no decomposition into a letter and an accent.
const LETTERS: [(char, &str); 9] = [
    ('œ', "oe"),
    ('ø', "o"),
    ('æ', "ae"),
    ('ß', "ss"),
    ('đ', "d"),
    ('ð', "d"),
    ('þ', "th"),
    ('ł', "l"),
    ('ẞ', "ss"),
];

/// The normalised text.
pub fn normalize(text: &str) -> String {
    let text = visible(text).to_lowercase();
    let text: String = text.chars().map(|c| if is_apostrophe(c) { '\'' } else { c }).collect();
    let text = without_brackets(&text);
    let text = without_fillers(&text);
    let text = attach_apostrophes(&text);
    let text = contractions::expand(&text);
    let text = join_thousands(&text);
    let text = drop_full_stops(&text);
    let text = letters_and_numbers(&text);
    let text = numbers::in_digits(&text);
    let text = spelling::american(&text);
    let text = drop_lone_symbols(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes `[...]`, `<...>` and `(...)`. An opening bracket without a closing one is kept, and so is `()`.
fn without_brackets(text: &str) -> String {
    let square = cut(text, &['<', '['], &['>', ']'], 0);
    cut(&square, &['('], &[')'], 1)
}

/// Removes the spans from an opening to the next closing character that have at least `least` bytes inside.
fn cut(text: &str, open: &[char], close: &[char], least: usize) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(open) {
        // All brackets are ASCII.
        let inside = &rest[start + 1..];
        let Some(length) = inside.find(close) else { break };
        if length < least {
            out.push_str(&rest[..=start]);
            rest = inside;
        } else {
            out.push_str(&rest[..start]);
            rest = &inside[length + 1..];
        }
    }
    out + rest
}

fn without_fillers(text: &str) -> String {
    words_with_bounds(text).filter(|word| !FILLERS.contains(word)).collect()
}

/// Removes white space before an apostrophe.
fn attach_apostrophes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' {
            out.truncate(out.trim_end().len());
        }
        out.push(c);
    }
    out
}

/// Removes commas between digits. A digit belongs to one comma only: `1,2,3` becomes `12,3`.
fn join_thousands(text: &str) -> String {
    let (mut out, mut free) = (String::with_capacity(text.len()), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().filter(|c| c.is_number_decimal_digit());
        if let (',', true, Some(digit)) = (c, free, next) {
            out.push(digit);
            characters.next();
            free = false;
        } else {
            out.push(c);
            free = c.is_number_decimal_digit();
        }
    }
    out
}

/// Replaces a full stop that no digit follows by a space. The next character is kept, whatever it is.
fn drop_full_stops(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '.' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some(digit @ '0'..='9') => out.extend([c, digit]),
            Some(next) => out.extend([' ', next]),
            None => out.push(' '),
        }
    }
    out
}

/// Replaces symbols and punctuation by spaces and letters with accents by letters, except what numbers need.
fn letters_and_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (c, _) in text.nfkd() {
        if NUMERIC.contains(&c) || c.is_ascii_alphanumeric() {
            out.push(c);
        } else if let Some((_, letters)) = LETTERS.iter().find(|(letter, _)| *letter == c) {
            out.push_str(letters);
        } else if c.is_mark_nonspacing() {
            // An accent.
        } else if c.is_mark() || c.is_symbol() || c.is_punctuation() || is_recent_symbol(c) {
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
}

/// Pictures that are newer than the table of categories.
fn is_recent_symbol(c: char) -> bool {
    matches!(u32::from(c), 0x1F000..=0x1FAFF) && !c.is_alphanumeric()
}

/// Removes symbols that are not part of a number: `.` and currencies without a digit after them, `%` without a digit
/// before it. The neighbour is kept, whatever it is.
fn drop_lone_symbols(text: &str) -> String {
    let digit = |c: &char| c.is_ascii_digit();
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let symbol = NUMERIC.contains(&c) && c != '%';
        match characters.clone().next().filter(|_| symbol) {
            Some(next) if !digit(&next) => {
                out.extend([' ', next]);
                characters.next();
            }
            _ => out.push(c),
        }
    }
    let text = std::mem::take(&mut out);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        out.push(c);
        if !digit(&c) && characters.clone().next() == Some('%') {
            out.push(' ');
            characters.next();
        }
    }
    out
}

#[cfg(test)]
mod tests;
