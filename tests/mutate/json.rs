//! Changes of one value in JSON.

use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{below, one_of, times};

/// Values that a reader may not expect, as JSON texts; some are not valid JSON.
const TELLING: &[&str] = &[
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "\" \"",
    "0",
    "-0.0",
    "-1",
    "1",
    "0.5",
    "2",
    "3",
    "217",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e20",
    "1e308",
    "-1e308",
    "1e400",
    "1e-320",
    "NaN",
    "Infinity",
    "1.",
    "[0]",
    "[[]]",
    "{\"\":0}",
    "\"\\u0000\"",
    "\"\\u001b[31m\\n\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "\"../../x\"",
    "\"/dev/zero\"",
    "\"x\"",
    "\"[CLS]\"",
    "\"##a\"",
    "\"F16\"",
    "\"I64\"",
    "\"F8_E4M3\"",
    "\"LORA\"",
    "\"WordPiece\"",
];

/// Marks the place of a text that is not a valid value.
const MARK: &str = "@changed@";

/// `bytes` with one change; `None` if they are not JSON.
pub fn change(rng: &mut ChaCha8Rng, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(bytes).ok()?;
    let other = pick(rng, &mut json).clone();
    let action = below(rng, 12);
    let target = pick(rng, &mut json);
    let old = std::mem::replace(target, Value::String(MARK.into()));
    let text = match (action, old.as_array()) {
        (0..=5, Some(list)) if below(rng, 2) == 0 => resized(rng, list),
        _ => one_value(rng, action, &old, &other),
    };
    let Some(text) = text else { return Some(reshaped(rng, json, old)) };
    Some(json.to_string().replacen(&format!("\"{MARK}\""), &text, 1).into_bytes())
}

/// A list with fewer or more elements.
fn resized(rng: &mut ChaCha8Rng, list: &[Value]) -> Option<String> {
    let mut list = list.to_vec();
    if below(rng, 2) == 0 {
        list.truncate(below(rng, list.len() + 1));
    } else {
        let more = list.get(below(rng, list.len().max(1))).cloned().unwrap_or_default();
        let count = times(rng, 8, more.to_string().len());
        list.resize(list.len() + count, more);
    }
    Some(Value::Array(list).to_string())
}

/// The text of a value in place of `old`; `None` to change what contains it instead.
fn one_value(rng: &mut ChaCha8Rng, action: usize, old: &Value, other: &Value) -> Option<String> {
    Some(match action {
        0..=4 => (*one_of(rng, TELLING)).to_owned(),
        5 => other.to_string(),
        6 => deep(rng),
        7 => {
            format!("\"{}\"", one_of(rng, &["x", "\\u0007", "ä ", "["]).repeat(1 << below(rng, 18)))
        }
        8 => {
            let old = old.to_string();
            format!("[{old}{}]", format!(",{old}").repeat(times(rng, 12, old.len())))
        }
        _ => return None,
    })
}

/// Opening brackets, closed or not.
fn deep(rng: &mut ChaCha8Rng) -> String {
    let times = 1 << below(rng, 17);
    let closing = times * below(rng, 2);
    let (open, close) = *one_of(rng, &[("[", "]"), ("{\"a\":", "}")]);
    format!("{}0{}", open.repeat(times), close.repeat(closing))
}

/// The parent of the marked value without it, with it twice, or under another name.
fn reshaped(rng: &mut ChaCha8Rng, mut json: Value, old: Value) -> Vec<u8> {
    let action = below(rng, 4);
    let name =
        (*one_of(rng, &["", "x", "__proto__", "\u{1b}[31m", "type", "id", "text"])).to_owned();
    with_parent(&mut json, &mut |parent| match parent {
        Value::Array(list) => {
            let at = list.iter().position(is_marked).unwrap_or_default();
            if action < 2 {
                list.remove(at);
            } else {
                list[at] = old.clone();
                list.insert(at, old.clone());
            }
        }
        Value::Object(map) => {
            let key = map.iter().find(|(_, value)| is_marked(value)).map(|(key, _)| key.clone());
            let key = key.unwrap_or_default();
            match action {
                0 | 1 => drop(map.shift_remove(&key)),
                2 => {
                    map.shift_remove(&key);
                    map.insert(name.clone(), old.clone());
                }
                // Replaced by two members below.
                _ => {}
            }
        }
        _ => {}
    });
    let twice = format!("{old},{}:{old}", Value::String(name));
    json.to_string().replacen(&format!("\"{MARK}\""), &twice, 1).into_bytes()
}

fn is_marked(value: &Value) -> bool {
    value.as_str() == Some(MARK)
}

/// Calls `work` with the list or object that contains the mark.
fn with_parent(json: &mut Value, work: &mut dyn FnMut(&mut Value)) {
    let here = match json {
        Value::Array(list) => list.iter().any(is_marked),
        Value::Object(map) => map.values().any(is_marked),
        _ => false,
    };
    if here {
        return work(json);
    }
    match json {
        Value::Array(list) => list.iter_mut().for_each(|value| with_parent(value, work)),
        Value::Object(map) => map.values_mut().for_each(|value| with_parent(value, work)),
        _ => {}
    }
}

/// A value somewhere in `json`. Descends at random, so that a long list does not hide what is next to it.
fn pick<'a>(rng: &mut ChaCha8Rng, json: &'a mut Value) -> &'a mut Value {
    let children = match json {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    if children == 0 || below(rng, 8) == 0 {
        return json;
    }
    let at = below(rng, children);
    match json {
        Value::Array(list) => pick(rng, &mut list[at]),
        Value::Object(map) => pick(rng, map.values_mut().nth(at).expect("a child")),
        leaf => leaf,
    }
}
