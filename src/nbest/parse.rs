//! Parses and validates a line of JSON as an [`Utterance`].

use serde_json::Value;

use super::{Hypothesis, Problem, Utterance, strict};
use crate::bounds::MAX_HYPOTHESES;

/// Parses and validates one line.
pub(super) fn utterance(line: &str) -> Result<Utterance, Problem> {
    let object = match strict::parse(line)? {
        Value::Object(object) => object,
        other => {
            return Err(Problem::NotAnObject { found: kind(&other) });
        }
    };
    let mut id = None;
    let mut list = None;
    let mut result = Utterance::default();
    for (key, value) in object {
        match key.as_str() {
            "id" => id = Some(string(value, "", "id", "a string")?),
            "ref" if value.is_null() => {}
            "ref" => result.reference = Some(string(value, "", "ref", "a string or null")?),
            "nbest" => list = Some(value),
            _ => {
                result.extra.insert(key, value);
            }
        }
    }
    result.id = id.ok_or_else(|| missing("", "id", None))?;
    if result.id.trim().is_empty() {
        return Err(Problem::EmptyId);
    }
    let other_name =
        ["hyps", "hypotheses", "n_best"].into_iter().find(|name| result.extra.contains_key(*name));
    result.hypotheses = match list {
        Some(Value::Array(values)) => hypotheses(values)?,
        Some(other) => {
            return Err(Problem::WrongKind {
                place: String::new(),
                key: "nbest",
                expected: "a list",
                found: kind(&other),
            });
        }
        None => {
            return Err(missing(
                "",
                "nbest",
                other_name
                    .map(|_| "the list of hypotheses has another name; rename it to \"nbest\""),
            ));
        }
    };
    Ok(result)
}

fn hypotheses(values: Vec<Value>) -> Result<Vec<Hypothesis>, Problem> {
    match values.len() {
        0 => return Err(Problem::EmptyList),
        1..=MAX_HYPOTHESES => {}
        count => return Err(Problem::TooMany { count }),
    }
    values.into_iter().enumerate().map(|(at, value)| hypothesis(value, at + 1)).collect()
}

fn hypothesis(value: Value, index: usize) -> Result<Hypothesis, Problem> {
    let object = match value {
        Value::Object(object) => object,
        other => {
            return Err(Problem::NotAHypothesis { index, found: kind(&other) });
        }
    };
    let place = format!("hypothesis {index}: ");
    let mut text = None;
    let mut result = Hypothesis::default();
    for (key, value) in object {
        match key.as_str() {
            "text" => text = Some(string(value, &place, "text", "a string")?),
            "score" => result.score = number(&value, &place, "score")?,
            "am" => result.am = number(&value, &place, "am")?,
            "lm" => result.lm = number(&value, &place, "lm")?,
            "total" => result.total = number(&value, &place, "total")?,
            _ => {
                result.extra.insert(key, value);
            }
        }
    }
    result.text = text.ok_or_else(|| missing(&place, "text", None))?;
    Ok(result)
}

fn string(
    value: Value,
    place: &str,
    key: &'static str,
    expected: &'static str,
) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        other => {
            Err(Problem::WrongKind { place: place.to_owned(), key, expected, found: kind(&other) })
        }
    }
}

fn number(value: &Value, place: &str, key: &'static str) -> Result<Option<f64>, Problem> {
    match value {
        Value::Null => Ok(None),
        // The parser rejects numbers that overflow, so numbers are finite here.
        Value::Number(number) if number.as_f64().is_some_and(f64::is_finite) => Ok(number.as_f64()),
        other => Err(Problem::WrongKind {
            place: place.to_owned(),
            key,
            expected: "a finite number or null",
            found: kind(other),
        }),
    }
}

fn missing(place: &str, key: &'static str, hint: Option<&'static str>) -> Problem {
    Problem::MissingKey { place: place.to_owned(), key, hint }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
