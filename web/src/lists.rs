//! N-best lists in and out.

use lorb::nbest::{Hypothesis, JsonLines, MAX_HYPOTHESES, Utterance, write_jsonl};
use lorb::score::align_words;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::convert::{from_js, parsed, text_of, to_js};
use crate::error::WebError;

/// Reads JSON lines, plain text; errors call the file `name` and name the line.
///
/// # Errors
/// `BadInputError`.
#[wasm_bindgen(js_name = parseNbest)]
pub fn parse_nbest(text: &str, name: &str) -> Result<JsValue, JsValue> {
    let mut json = Vec::from(*b"[");
    for utterance in JsonLines::new(text.as_bytes(), name) {
        let utterance = utterance.map_err(WebError::from)?;
        if json.len() > 1 {
            json.push(b',');
        }
        write_jsonl(&mut json, &utterance).map_err(|e| WebError::new("LorbError", e))?;
    }
    json.push(b']');
    let json = String::from_utf8(json).map_err(|e| WebError::new("LorbError", e))?;
    Ok(parsed(&json)?)
}

/// The steps from `reference` to `hypothesis`, word by word, with the fewest errors.
///
/// # Errors
/// None but a value that cannot be handed over.
#[wasm_bindgen(js_name = alignWords)]
pub fn align(reference: &str, hypothesis: &str) -> Result<JsValue, JsValue> {
    Ok(to_js(&align_words(reference, hypothesis))?)
}

/// Utterances from JSON-lines text or from an array of objects of the same form.
pub fn utterances(value: &JsValue, what: &str) -> Result<Vec<Utterance>, WebError> {
    if value.is_undefined() || value.is_null() {
        return Ok(Vec::new());
    }
    let text = match value.as_string() {
        Some(text) => text,
        None => {
            let array: js_sys::Array = value.clone().dyn_into().map_err(|_| {
                WebError::input(format_args!("{what}: expected JSON-lines text or an array"))
            })?;
            // A line each, so that errors count the objects as they count lines.
            let lines: Result<Vec<_>, _> =
                array.iter().map(|object| text_of(&object, what)).collect();
            lines?.join("\n")
        }
    };
    let lists: Result<_, _> = JsonLines::new(text.as_bytes(), what).collect();
    Ok(lists?)
}

#[derive(Deserialize)]
struct Entry {
    text: String,
    #[serde(default)]
    score: Option<f64>,
}

/// Lists of `{text, score?}`, named by their place.
pub fn lists(value: &JsValue) -> Result<Vec<Utterance>, WebError> {
    let lists: Vec<Vec<Entry>> = from_js(value, "lists")?;
    let utterance = |(at, list): (usize, Vec<Entry>)| {
        if list.is_empty() || list.len() > MAX_HYPOTHESES {
            let count = list.len();
            let what =
                format_args!("list {at}: {count} hypotheses; expected 1 to {MAX_HYPOTHESES}");
            return Err(WebError::input(what));
        }
        let hypotheses = list.into_iter().map(|Entry { text, score }| Hypothesis::new(text, score));
        Ok(Utterance::new(format!("list {at}"), None, hypotheses.collect()))
    };
    lists.into_iter().enumerate().map(utterance).collect()
}
