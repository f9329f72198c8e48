//! Parses and validates a line of JSON as an [`Utterance`].
//!
//! Values are slices of the line until they are needed, so unknown keys need no more memory than their text.

use serde::de::Error;

use super::error::clip;
use super::scan::{elements, members};
use super::value::{LIST, NULL, NUMBER, OBJECT, STRING, kind};
use super::{Extra, Hypothesis, Problem, Utterance, limits, renamed, strict};
use crate::bounds::{MAX_HYPOTHESES, MAX_SCORE_PARTS, MAX_UNKNOWN_KEYS};

/// Why a line is rejected.
enum Fault {
    /// It is not valid JSON; [`strict::check`] finds the first invalid place.
    Json(serde_json::Error),
    Problem(Problem),
}

impl Fault {
    fn json(message: &str) -> Self {
        Self::Json(serde_json::Error::custom(message))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Parses and validates one line.
pub(super) fn utterance(line: &str) -> Result<Utterance, Problem> {
    read(line).map_err(|fault| problem(line, fault))
}

fn problem(json: &str, fault: Fault) -> Problem {
    match fault {
        Fault::Json(error) => {
            strict::check(json).err().unwrap_or_else(|| strict::syntax(json, &error))
        }
        Fault::Problem(problem) => problem,
    }
}

fn read(line: &str) -> Result<Utterance, Fault> {
    if kind(line) != OBJECT {
        strict::check(line)?;
        return Err(Problem::NotAnObject { found: kind(line) }.into());
    }
    let (mut id, mut reference, mut list) = (None, None, None);
    let mut result = Utterance::default();
    members(line, |key, value| match key {
        "id" => once(&mut id, value),
        "ref" => once(&mut reference, value),
        "nbest" => once(&mut list, value),
        _ => unknown(&mut result.extra, key, value, || "the list".to_owned()),
    })?;
    let id = id.ok_or_else(|| missing(String::new(), "id", &result.extra))?;
    result.id = string(id, String::new, "id", "a string")?;
    if result.id.trim().is_empty() {
        return Err(Problem::EmptyId.into());
    }
    limits::id(&result.id)?;
    if let Some(reference) = reference.filter(|value| kind(value) != NULL) {
        let reference = string(reference, String::new, "ref", "a string or null")?;
        limits::text(&reference, || "key \"ref\"".to_owned())?;
        result.reference = Some(reference);
    }
    let Some(list) = list else {
        return Err(missing(String::new(), "nbest", &result.extra).into());
    };
    if kind(list) != LIST {
        return Err(wrong_kind(String::new(), "nbest", "a list", list).into());
    }
    result.hypotheses = hypotheses(list)?;
    Ok(result)
}

fn hypotheses(list: &str) -> Result<Vec<Hypothesis>, Fault> {
    let values = elements(list)?;
    match values.len() {
        0 => return Err(Problem::EmptyList { key: "nbest" }.into()),
        1..=MAX_HYPOTHESES => {}
        count => return Err(Problem::TooMany { key: "nbest", count }.into()),
    }
    values.into_iter().enumerate().map(|(at, value)| read_hypothesis(value, at + 1, OWN)).collect()
}

/// What a format calls the text and the first-pass score of a hypothesis. The other keys are those of JSON lines.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub text: &'static str,
    /// `None` if the format has no score that can be used unchanged.
    pub score: Option<&'static str>,
}

/// The names of JSON lines.
pub(super) const OWN: Names = Names { text: "text", score: Some("score") };

/// Parses and validates a hypothesis of another format. `index` counts from 1.
pub(super) fn hypothesis(value: &str, index: usize, names: Names) -> Result<Hypothesis, Problem> {
    read_hypothesis(value, index, names).map_err(|fault| problem(value, fault))
}

fn read_hypothesis(value: &str, index: usize, names: Names) -> Result<Hypothesis, Fault> {
    if kind(value) != OBJECT {
        return Err(Problem::NotAHypothesis { index, found: kind(value) }.into());
    }
    let (mut text, mut scores, mut parts) = (None, [None; 5], None);
    let mut result = Hypothesis::default();
    let [score, am, lm, total, first_lm] = &mut scores;
    members(value, |key, value| match key {
        key if key == names.text => once(&mut text, value),
        key if Some(key) == names.score => once(score, value),
        "am" => once(am, value),
        "lm" => once(lm, value),
        "total" => once(total, value),
        "scores" => once(&mut parts, value),
        "first_lm" if kind(value) == NUMBER => once(first_lm, value),
        _ => unknown(&mut result.extra, key, value, || format!("hypothesis {index}")),
    })?;
    let place = || format!("hypothesis {index}: ");
    let text = text.ok_or_else(|| missing(place(), names.text, &result.extra))?;
    result.text = string(text, place, names.text, "a string")?;
    limits::text(&result.text, || format!("hypothesis {index}: key {:?}", names.text))?;
    let number = |value: Option<&str>, key| value.map_or(Ok(None), |v| number(v, place, key));
    result.score = number(scores[0], names.score.unwrap_or("score"))?;
    result.total = number(scores[3], "total")?;
    let lm = number(scores[2], "lm")?;
    // Rescoring writes both. An `lm` without a total is the recogniser's own.
    let (model_lm, first_lm) = if result.total.is_some() { (lm, None) } else { (None, lm) };
    result.lm = model_lm;
    let mut part = |name: &str, value: f64| match result.parts.insert(name, value) {
        Some(_) => Err(Problem::RepeatedPart { index, part: clip(name) }),
        None if result.parts.len() > MAX_SCORE_PARTS => Err(Problem::ManyParts { index }),
        None => Ok(()),
    };
    let stored_lm = number(scores[4], "first_lm")?;
    for (name, value) in [("am", number(scores[1], "am")?), ("lm", first_lm), ("lm", stored_lm)] {
        value.map_or(Ok(()), |value| part(name, value))?;
    }
    if let Some(parts) = parts.filter(|parts| kind(parts) != NULL) {
        if kind(parts) != OBJECT {
            return Err(wrong_kind(place(), "scores", "an object", parts).into());
        }
        members(parts, |name, value| match kind(value) {
            NULL => Ok::<(), Fault>(()),
            NUMBER => Ok(part(name, serde_json::from_str(value)?)?),
            _ => Err(wrong_kind(place(), "scores", "an object of numbers", value).into()),
        })?;
    }
    Ok(result)
}

/// Stores the value of a known key.
fn once<'a>(place: &mut Option<&'a str>, value: &'a str) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::json("duplicate key")),
    }
}

/// Stores an unknown key.
fn unknown(
    extra: &mut Extra,
    key: &str,
    value: &str,
    place: impl FnOnce() -> String,
) -> Result<(), Fault> {
    if extra.get(key).is_some() {
        return Err(Fault::json("duplicate key"));
    }
    if extra.len() == MAX_UNKNOWN_KEYS {
        return Err(Problem::ManyKeys { place: place() }.into());
    }
    // What the scanner does not check.
    let simple = match kind(value) {
        OBJECT | LIST | NUMBER => false,
        _ => !value.contains('\\'),
    };
    if !simple && strict::check(value).is_err() {
        return Err(Fault::json("invalid value"));
    }
    extra.push(key, value);
    Ok(())
}

fn string(
    value: &str,
    place: impl FnOnce() -> String,
    key: &'static str,
    expected: &'static str,
) -> Result<String, Fault> {
    if kind(value) != STRING {
        return Err(wrong_kind(place(), key, expected, value).into());
    }
    Ok(serde_json::from_str(value)?)
}

fn number(
    value: &str,
    place: impl FnOnce() -> String,
    key: &'static str,
) -> Result<Option<f64>, Fault> {
    match kind(value) {
        NULL => Ok(None),
        // The parser rejects numbers that overflow, so numbers are finite.
        NUMBER => Ok(Some(serde_json::from_str(value)?)),
        _ => Err(wrong_kind(place(), key, "a finite number or null", value).into()),
    }
}

fn missing(place: String, key: &'static str, others: &Extra) -> Problem {
    let hint = renamed::hint(key, |other| others.get(other).is_some());
    Problem::MissingKey { place, key, hint }
}

fn wrong_kind(place: String, key: &'static str, expected: &'static str, value: &str) -> Problem {
    Problem::WrongKind { place, key, expected, found: kind(value) }
}
