//! Checks JSON text: its syntax, that no key occurs twice in one object, which lenient parsers accept, and that its
//! numbers are finite. No values are built, so a check needs memory only for the keys of the open objects.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Problem;
use super::error::clip;

/// Checks one value. The parser limits nesting to 128 levels.
pub(super) fn check(line: &str) -> Result<(), Problem> {
    let duplicate = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let parsed = Strict { duplicate: &duplicate }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    parsed.map_err(|error| match duplicate.take() {
        Some(key) => Problem::DuplicateKey { key: clip(&key), column: error.column() },
        None => syntax(line, &error),
    })
}

/// The problem behind an error of the parser.
pub(super) fn syntax(line: &str, error: &serde_json::Error) -> Problem {
    let column = error.column();
    let text = error.to_string();
    // The parser sees only one line, so its "at line 1" would be misleading.
    let message =
        text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
    let mut around =
        (column.saturating_sub(2)..=column).filter_map(|start| line.as_bytes().get(start..));
    if message == "number out of range" || around.any(begins_with_non_finite) {
        return Problem::NotFinite { column };
    }
    let hint = match line.trim_start().as_bytes().first() {
        Some(b'{') if error.is_eof() => {
            Some("truncated, or one object over several lines; write one object per line")
        }
        Some(b'{') if message == "trailing characters" => Some("write one object per line"),
        Some(b'{') if message == "key must be a string" && line.contains('\'') => {
            Some("JSON requires double quotes")
        }
        Some(b'{') => None,
        Some(b'[') => Some("write one object per line, without a surrounding list"),
        _ => Some("N-best files have one JSON object per line; is this one?"),
    };
    Problem::Syntax { column, message, hint }
}

/// Whether the text starts with a word that other writers use for non-finite numbers.
fn begins_with_non_finite(text: &[u8]) -> bool {
    ["NaN", "Infinity", "nan", "inf"].iter().any(|word| {
        let rest = text.strip_prefix(word.as_bytes());
        rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// Visits a value, and stores the first duplicate key in `duplicate`.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        // The parser rejects numbers that overflow.
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if keys.contains(&key) {
                *self.duplicate.borrow_mut() = Some(key);
                return Err(A::Error::custom("duplicate key"));
            }
            access.next_value_seed(self)?;
            keys.insert(key);
        }
        Ok(())
    }
}
