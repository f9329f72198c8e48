//! The writer of JSON lines.

use std::io::{self, Write};

use super::extra::Extra;
use super::parse::{Names, OWN};
use super::value::{NULL, NUMBER, OBJECT, STRING, kind};
use super::{Hypothesis, Utterance};

/// Writes one utterance as one line: known keys first (`id`, `ref`, `nbest`; `text`, `score`, `am`,
/// `lm`, `total`, `first_lm`, `scores`), without absent ones, then the unknown keys in their order. Numbers are
/// written so that they read back to the same bits.
///
/// # Errors
/// Errors of `w`, and [`io::ErrorKind::InvalidInput`] for a non-finite score, which JSON cannot represent; nothing of
/// the line is then written.
pub fn write_jsonl(w: &mut impl Write, u: &Utterance) -> io::Result<()> {
    let mut line = Vec::new();
    line.extend(b"{\"id\":");
    string(&mut line, &u.id)?;
    if let Some(reference) = &u.reference {
        line.extend(b",\"ref\":");
        string(&mut line, reference)?;
    }
    line.extend(b",\"nbest\":[");
    for (at, h) in u.hypotheses.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        hypothesis(&mut line, &u.id, at + 1, h, OWN)?;
    }
    line.push(b']');
    let known = |key: &str| match key {
        "id" | "nbest" => true,
        "ref" => u.reference.is_some(),
        _ => false,
    };
    unknown(&mut line, &u.extra, |key, _| known(key))?;
    line.extend(b"}\n");
    w.write_all(&line)
}

/// Writes a hypothesis with a format's names of text and score.
pub(super) fn hypothesis(
    line: &mut Vec<u8>,
    id: &str,
    index: usize,
    h: &Hypothesis,
    names: Names,
) -> io::Result<()> {
    line.push(b'{');
    string(line, names.text)?;
    line.push(b':');
    string(line, &h.text)?;
    let own_lm = h.parts.get("lm");
    let (lm, first_lm) = if h.total.is_some() { (h.lm, own_lm) } else { (own_lm.or(h.lm), None) };
    let scores = [
        (names.score.unwrap_or("score"), h.score.filter(|_| names.score.is_some())),
        ("am", h.parts.get("am")),
        ("lm", lm),
        ("total", h.total),
        ("first_lm", first_lm),
    ];
    let number = |line: &mut Vec<u8>, key: &str, value: f64| {
        if !value.is_finite() {
            let message = format!(
                "utterance {id:?}, hypothesis {index}: {key} is {value}, which JSON cannot represent"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        string(line, key)?;
        line.push(b':');
        Ok(serde_json::to_writer(line, &value)?)
    };
    for (key, value) in scores.iter().filter_map(|(key, value)| Some((key, (*value)?))) {
        line.push(b',');
        number(line, key, value)?;
    }
    let mut others = h.parts.iter().filter(|(name, _)| !matches!(*name, "am" | "lm")).peekable();
    let has_others = others.peek().is_some();
    if has_others {
        line.extend(b",\"scores\":{");
        for (at, (name, value)) in others.enumerate() {
            if at > 0 {
                line.push(b',');
            }
            number(line, name, value)?;
        }
        line.push(b'}');
    }
    let known = |key: &str| {
        key == names.text
            || (key == "scores" && has_others)
            || scores.iter().any(|(name, value)| *name == key && value.is_some())
    };
    unknown(line, &h.extra, |key, json| known(key) || unreadable(key, json))?;
    line.push(b'}');
    Ok(())
}

/// Whether a key that another format does not know would be an error where it is known.
fn unreadable(key: &str, json: &str) -> bool {
    match key {
        "text" => kind(json) != STRING,
        "scores" => kind(json) != OBJECT,
        "score" | "am" | "lm" | "total" => !matches!(kind(json), NUMBER | NULL),
        _ => false,
    }
}

fn string(line: &mut Vec<u8>, text: &str) -> io::Result<()> {
    Ok(serde_json::to_writer(line, text)?)
}

/// A key that was written already takes precedence over one of the same name in `extra`.
fn unknown(
    line: &mut Vec<u8>,
    extra: &Extra,
    written: impl Fn(&str, &str) -> bool,
) -> io::Result<()> {
    for (key, json) in extra.iter().filter(|(key, json)| !written(key, json)) {
        line.push(b',');
        string(line, key)?;
        line.push(b':');
        line.extend(json.as_bytes());
    }
    Ok(())
}
