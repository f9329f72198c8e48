//! Parses JSON text, and rejects a key that occurs twice, which lenient parsers accept.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Problem;
use super::error::clip;

/// Parses one line. The parser limits nesting to 128 levels.
pub(super) fn parse(line: &str) -> Result<Value, Problem> {
    let duplicate = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let parsed = Strict { duplicate: &duplicate }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let column = error.column();
        match duplicate.take() {
            Some(key) => Problem::DuplicateKey { key: clip(&key), column },
            None => syntax(line, &error),
        }
    })
}

fn syntax(line: &str, error: &serde_json::Error) -> Problem {
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

/// Builds a [`Value`], and stores the first duplicate key in `duplicate`.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if object.contains_key(&key) {
                *self.duplicate.borrow_mut() = Some(key);
                return Err(A::Error::custom("duplicate key"));
            }
            let value = access.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
