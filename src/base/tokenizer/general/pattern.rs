//! Patterns of tokenizers: strings, and regular expressions so simple that they take linear time.

use serde::Deserialize;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::pre_tokenizers::split::SplitPattern;

use crate::bounds::MAX_PATTERN_BYTES;

/// What a step searches for.
#[derive(Debug, Deserialize)]
pub enum Pattern {
    String(String),
    Regex(String),
}

impl Pattern {
    /// Checks that the pattern matches no empty text, and takes linear time.
    pub fn check(&self) -> Result<(), String> {
        let (Self::String(text) | Self::Regex(text)) = self;
        check_length("a pattern", text)?;
        if text.is_empty() {
            return Err("a pattern is empty".to_owned());
        }
        match self {
            Self::Regex(text) if !is_simple(text) => Err(format!(
                "the regular expression {text:?} is not supported; LoRB reads characters, classes, and the repetitions \
                 + and {{n,m}}"
            )),
            _ => Ok(()),
        }
    }
}

impl From<Pattern> for ReplacePattern {
    fn from(pattern: Pattern) -> Self {
        match pattern {
            Pattern::String(text) => Self::String(text),
            Pattern::Regex(text) => Self::Regex(text),
        }
    }
}

impl From<Pattern> for SplitPattern {
    fn from(pattern: Pattern) -> Self {
        match pattern {
            Pattern::String(text) => Self::String(text),
            Pattern::Regex(text) => Self::Regex(text),
        }
    }
}

/// Checks the length of a text that every match is replaced with, or that is searched for.
pub fn check_length(what: &str, text: &str) -> Result<(), String> {
    let length = text.len();
    if length > MAX_PATTERN_BYTES {
        return Err(format!("{what} has {length} bytes; expected at most {MAX_PATTERN_BYTES}"));
    }
    Ok(())
}

/// A sequence of characters and classes, each of which may repeat at least once.
fn is_simple(pattern: &str) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        let Some(after) = atom(rest) else { return false };
        rest = repetition(after);
        // A repetition of a repetition.
        if rest.starts_with(['+', '*', '?', '{']) {
            return false;
        }
    }
    true
}

/// The text after a character or class.
fn atom(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    match chars.next()? {
        '\\' => escape(chars.as_str()),
        '[' => {
            let mut rest = chars.as_str();
            loop {
                let mut inner = rest.chars();
                rest = match inner.next()? {
                    ']' => return Some(inner.as_str()),
                    '\\' => escape(inner.as_str())?,
                    // Nested classes and operations on them.
                    '[' | '&' | '~' => return None,
                    _ => inner.as_str(),
                };
            }
        }
        '(' | ')' | '|' | '*' | '+' | '?' | '{' | '}' | '^' | '$' | ']' => None,
        _ => Some(chars.as_str()),
    }
}

/// The text after an escaped character, without its backslash.
fn escape(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    match chars.next()? {
        's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'n' | 'r' | 't' => Some(chars.as_str()),
        c if c.is_ascii_punctuation() && c != '<' && c != '>' => Some(chars.as_str()),
        _ => None,
    }
}

/// The text after `+`, `{n}`, `{n,}` or `{n,m}` with n from 1, if it starts with one of these.
fn repetition(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('+') {
        return rest;
    }
    let counts = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let Some((counts, rest)) = counts else { return text };
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    let digits = |count: &str| count.len() <= 2 && count.bytes().all(|b| b.is_ascii_digit());
    if digits(least) && digits(most) && least.parse().is_ok_and(|least: u8| least > 0) {
        rest
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_patterns_of_linear_time_are_simple() {
        let simple = [" {2,}", r"\s+", r"[\r\n\t]", "a", "[^a-z]{1,3}b", r"\.\s{2}", "é+"];
        for pattern in simple {
            assert!(is_simple(pattern), "{pattern}");
        }
        let others = [
            "a*", "a?", "a|b", "(a)", "(?:a+)+", r"\1", r"\b", "^a", "a$", "a{0,3}", "a{2,}{3}",
            "a++", "a+?", "a{100}", "[a", "[[a]b]", r"\", r"\p{L}", r"\K", "{2}", "a{",
        ];
        for pattern in others {
            assert!(!is_simple(pattern), "{pattern}");
        }
    }
}
