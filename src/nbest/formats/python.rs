//! Values as Python prints them.

use std::fmt::Write as _;
use std::str::CharIndices;

use crate::bounds::MAX_SCORE_PARTS;
use crate::nbest::Parts;

/// `-12.3`, or what Python prints for a tensor of one element, with or without brackets and further
/// properties: `tensor(-12.3)`, `tensor([-12.3], device='cuda:0')`.
pub(super) fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    let inner = match value.strip_prefix("tensor(") {
        Some(rest) => rest.strip_suffix(')')?.split(',').next()?.trim(),
        None => value,
    };
    let inner = match inner.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.trim(),
        None => inner,
    };
    inner.parse().ok().filter(|score: &f64| score.is_finite())
}

/// A dictionary of numbers by name: `{'decoder': tensor(-3.2), 'ctc': -1.5}`. At most [`MAX_SCORE_PARTS`] of them.
pub(super) fn parts(value: &str) -> Option<Parts> {
    let mut rest = value.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut parts = Parts::default();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
        let (name, after) = rest[1..].split_once(quote)?;
        let after = after.trim_start().strip_prefix(':')?;
        // A tensor with a device has commas inside its brackets.
        let mut depth = 0_usize;
        let end = after.find(|letter| {
            match letter {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            letter == ',' && depth == 0
        });
        let (value, next) = match end {
            Some(end) => (&after[..end], &after[end + 1..]),
            None => (after, ""),
        };
        let repeated = parts.insert(name, number(value)?).is_some();
        if repeated || parts.len() > MAX_SCORE_PARTS {
            return None;
        }
        rest = next.trim_start();
    }
    Some(parts)
}

/// The same form, with plain numbers.
pub(super) fn dictionary(parts: &Parts) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in parts.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}'{name}': {value}");
    }
    text + "}"
}

/// The strings of a list, `['TURN', "IT'S"]`, joined by spaces.
pub(super) fn words_of_list(list: &str) -> Option<String> {
    let mut rest = list.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut words = String::new();
    while !rest.is_empty() {
        if !words.is_empty() {
            words.push(' ');
        }
        let mut letters = rest.char_indices();
        let (_, quote) = letters.next().filter(|(_, letter)| matches!(letter, '\'' | '"'))?;
        let end = loop {
            match letters.next()? {
                (at, letter) if letter == quote => break at + 1,
                (_, '\\') => words.push(escaped(&mut letters)?),
                (_, letter) => words.push(letter),
            }
        };
        rest = rest[end..].trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(words)
}

/// The letter of an escape, after its backslash.
fn escaped(letters: &mut CharIndices<'_>) -> Option<char> {
    let digits = match letters.next()?.1 {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        letter => return Some(letter),
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)?.checked_add(letters.next()?.1.to_digit(16)?)?;
    }
    char::from_u32(code)
}

/// A list of the words of a text.
pub(super) fn list_of_words(text: &str) -> String {
    let mut list = String::from("[");
    for (at, word) in text.split_whitespace().enumerate() {
        let quote = if word.contains('\'') && !word.contains('"') { '"' } else { '\'' };
        list.push_str(if at == 0 { "" } else { ", " });
        list.push(quote);
        for letter in word.chars() {
            match letter {
                '\\' => list.push_str("\\\\"),
                letter if letter == quote => list.extend(['\\', letter]),
                letter if letter.is_control() => {
                    // Writing to a string does not fail.
                    let _ = write!(list, "\\u{:04x}", u32::from(letter));
                }
                letter => list.push(letter),
            }
        }
        list.push(quote);
    }
    list + "]"
}
