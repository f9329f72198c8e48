//! N-best lists in and out.

use lorb::nbest::{JsonLines, Utterance, write_jsonl};
use wasm_bindgen::prelude::*;

use crate::convert::{parsed, text_of};
use crate::error::WebError;
use crate::objects::read_objects;

/// Reads JSON lines, plain text; errors call the file `name` and name the line.
///
/// # Errors
/// `BadInputError`.
#[wasm_bindgen(js_name = parseNbest)]
pub fn parse_nbest(text: &str, name: &str) -> Result<JsValue, JsValue> {
    let lists: Result<Vec<Utterance>, _> = JsonLines::new(text.as_bytes(), name).collect();
    Ok(written(lists.map_err(WebError::from)?)?)
}

/// Utterances as objects of the form in which JSON lines have them.
pub fn written(lists: impl IntoIterator<Item = Utterance>) -> Result<JsValue, WebError> {
    let mut json = Vec::from(*b"[");
    for utterance in lists {
        if json.len() > 1 {
            json.push(b',');
        }
        write_jsonl(&mut json, &utterance).map_err(|error| WebError::new("LorbError", error))?;
    }
    json.push(b']');
    let json = String::from_utf8(json).map_err(|error| WebError::new("LorbError", error))?;
    parsed(&json)
}

/// Utterances from JSON-lines text, whose errors name the line, or from an array of objects of the same form,
/// whose errors name the utterance.
pub fn utterances(value: &JsValue, what: &str) -> Result<Vec<Utterance>, WebError> {
    if value.is_undefined() || value.is_null() {
        return Ok(Vec::new());
    }
    if let Some(text) = value.as_string() {
        let lists: Result<_, _> = JsonLines::new(text.as_bytes(), what).collect();
        return Ok(lists?);
    }
    let array: js_sys::Array = value.clone().dyn_into().map_err(|_| {
        WebError::input(format_args!("{what}: expected JSON-lines text or an array"))
    })?;
    let objects: Result<Vec<String>, _> =
        array.iter().map(|object| text_of(&object, what)).collect();
    read_objects(&objects?, what)
}
