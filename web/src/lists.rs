//! Conversion of N-best lists.

use std::io::Cursor;

use js_sys::{Array, Object, Reflect, Uint8Array};
use lorb::nbest::{
    FORMATS, JsonLines, MemoryFolder, NbestFormat, OpenOptions, References, ScoreKind,
    ScoreReading, Source, Stream, Utterance, format_by_name, open, write_jsonl,
};
use lorb::score::ScoreCheck;
use wasm_bindgen::prelude::*;

use crate::convert::{parsed, text_of};
use crate::error::WebError;
use crate::objects::{all, read_objects};

/// Reads lists. `files` is the text or the bytes of one file, or an array of `[path, contents]` for a format that is a
/// folder. `format` is one of the core's names, or `auto`. `references` is the contents of a file of
/// references, which replace those of the lists, and `manifest` that of NeMo's manifest. Error messages call the file or folder `name`.
/// `score_key` and `score_kind` (`logprob`, `cost` or `prob`) say what the scores are, for formats that do not define
/// it. `acoustic_scale` is for Kaldi's folders. Returns `{lists, notes}`; notes are what the user should know about the source.
///
/// # Errors
/// `BadInputError`.
#[wasm_bindgen(js_name = parseNbest)]
#[expect(
    clippy::too_many_arguments,
    reason = "the options of one call, which is all that JavaScript has"
)]
pub fn parse_nbest(
    files: JsValue,
    name: &str,
    format: Option<String>,
    references: JsValue,
    manifest: JsValue,
    score_key: Option<String>,
    score_kind: Option<String>,
    acoustic_scale: Option<f64>,
) -> Result<JsValue, JsValue> {
    let source = source(&files, name)?;
    let stream = |name, file| contents(file).map(|bytes| Stream::new(name, Cursor::new(bytes)));
    let references = stream("references", &references).map(References::read);
    let references = references.transpose().map_err(WebError::from)?;
    if acoustic_scale.is_some_and(|scale| !scale.is_finite()) {
        return Err(WebError::input("acousticScale: expected a number").into());
    }
    let options = OpenOptions {
        references: references.clone(),
        manifest: stream("manifest", &manifest),
        scores: scores(score_key, score_kind)?,
        acoustic_scale,
    };
    let mut opened = open(source, chosen(format.as_deref())?, options).map_err(WebError::from)?;
    let lists = all(opened.lists.by_ref(), WebError::from)?;
    let mut notes = opened.lists.take_notes();
    notes.extend(references.and_then(|references| references.note()));
    let notes = notes.iter().map(ToString::to_string);
    let warnings = ScoreCheck::of(&lists).warnings();
    let notes: Array =
        notes.chain(warnings.iter().map(ToString::to_string)).map(JsValue::from).collect();
    let lists = written(lists)?;
    let answer = Object::new();
    Reflect::set(&answer, &"lists".into(), &lists)?;
    Reflect::set(&answer, &"notes".into(), &notes)?;
    Ok(answer.into())
}

/// What the scores are.
fn scores(key: Option<String>, kind: Option<String>) -> Result<ScoreReading, WebError> {
    let kind = kind.map_or(Ok(ScoreKind::default()), |kind| kind.parse());
    Ok(ScoreReading { key, kind: kind.map_err(WebError::input)? })
}

/// The format of that name; `None` detects it.
fn chosen(format: Option<&str>) -> Result<Option<&'static dyn NbestFormat>, WebError> {
    let Some(name) = format.filter(|name| *name != "auto") else { return Ok(None) };
    match format_by_name(name) {
        Some(format) => Ok(Some(format)),
        None => {
            let known: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
            let known = known.join(", ");
            Err(WebError::input(format_args!("format {name:?}: expected auto, {known}")))
        }
    }
}

/// A text, or the bytes of a file.
fn contents(value: &JsValue) -> Option<Vec<u8>> {
    match value.dyn_ref::<Uint8Array>() {
        Some(bytes) => Some(bytes.to_vec()),
        None => value.as_string().map(String::into_bytes),
    }
}

/// One text or file as a stream, pairs of path and contents as a folder.
fn source(files: &JsValue, name: &str) -> Result<Source, WebError> {
    if let Some(bytes) = contents(files) {
        return Ok(Source::stream(name, Cursor::new(bytes)));
    }
    let invalid = || {
        WebError::input(format_args!(
            "{name}: expected a text, bytes, or pairs of path and contents"
        ))
    };
    let array: &Array = files.dyn_ref().ok_or_else(invalid)?;
    let mut folder = MemoryFolder::new(name);
    for pair in array.iter() {
        let pair: Array = pair.dyn_into().map_err(|_| invalid())?;
        let (path, bytes) = (pair.get(0).as_string(), contents(&pair.get(1)));
        let (path, bytes) = path.zip(bytes).ok_or_else(invalid)?;
        folder = folder.with(path, bytes);
    }
    Ok(Source::folder(folder))
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
        return all(JsonLines::new(text.as_bytes(), what), WebError::from);
    }
    let array: js_sys::Array = value.clone().dyn_into().map_err(|_| {
        WebError::input(format_args!("{what}: expected JSON-lines text or an array"))
    })?;
    let objects: Result<Vec<String>, _> =
        array.iter().map(|object| text_of(&object, what)).collect();
    read_objects(&objects?, what)
}
