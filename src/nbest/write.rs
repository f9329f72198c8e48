//! The writer of JSON lines.

use std::io::{self, Write};

use serde_json::{Map, Number, Value};

use super::{Hypothesis, Utterance};

/// Writes one utterance as one line: known keys first (`id`, `ref`, `nbest`; `text`, `score`, `am`,
/// `lm`, `total`), without absent ones, then the unknown keys in their order. Numbers are
/// written so that they read back to the same bits.
///
/// # Errors
/// Errors of `w`, and [`io::ErrorKind::InvalidInput`] for a non-finite score, which JSON cannot represent; nothing of
/// the line is then written.
pub fn write_jsonl(w: &mut impl Write, u: &Utterance) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("id".into(), Value::String(u.id.clone()));
    if let Some(reference) = &u.reference {
        object.insert("ref".into(), Value::String(reference.clone()));
    }
    let list: io::Result<Vec<Value>> =
        u.hypotheses.iter().enumerate().map(|(at, h)| hypothesis(&u.id, at + 1, h)).collect();
    object.insert("nbest".into(), Value::Array(list?));
    append_unknown(&mut object, &u.extra);
    let mut line = serde_json::to_vec(&Value::Object(object))?;
    line.push(b'\n');
    w.write_all(&line)
}

fn hypothesis(id: &str, index: usize, h: &Hypothesis) -> io::Result<Value> {
    let mut object = Map::new();
    object.insert("text".into(), Value::String(h.text.clone()));
    for (key, value) in [("score", h.score), ("am", h.am), ("lm", h.lm), ("total", h.total)] {
        let Some(value) = value else { continue };
        let number = Number::from_f64(value).ok_or_else(|| {
            let message = format!(
                "utterance {id:?}, hypothesis {index}: {key} is {value}, which JSON cannot represent"
            );
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        object.insert(key.into(), Value::Number(number));
    }
    append_unknown(&mut object, &h.extra);
    Ok(Value::Object(object))
}

/// A known key takes precedence over a key of the same name in `extra`.
fn append_unknown(object: &mut Map<String, Value>, extra: &Map<String, Value>) {
    for (key, value) in extra {
        if !object.contains_key(key) {
            object.insert(key.clone(), value.clone());
        }
    }
}
