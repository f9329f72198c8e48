//! Converts values to and from JavaScript as JSON, because they are small compared with the computation.

use js_sys::{Array, Float64Array, Function, JSON};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::error::WebError;

/// A plain object, list or value. Non-finite numbers become `null`.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, WebError> {
    let text = serde_json::to_string(value).map_err(|e| WebError::new("LorbError", e))?;
    parsed(&text)
}

/// Parses JSON text.
pub fn parsed(text: &str) -> Result<JsValue, WebError> {
    JSON::parse(text)
        .map_err(|_| WebError::new("LorbError", "a result cannot be converted to JavaScript"))
}

/// Parses a value; `undefined` and `null` give its default. `what` names it in errors.
pub fn from_js<T: DeserializeOwned + Default>(value: &JsValue, what: &str) -> Result<T, WebError> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    let text = text_of(value, what)?;
    serde_json::from_str(&text).map_err(|e| WebError::input(format_args!("{what}: {e}")))
}

/// A value as JSON text.
pub fn text_of(value: &JsValue, what: &str) -> Result<String, WebError> {
    let invalid = || WebError::input(format_args!("{what}: not a value that JSON can represent"));
    let text = JSON::stringify(value).map_err(|_| invalid())?;
    text.as_string().ok_or_else(invalid)
}

/// One array of numbers per list.
pub fn number_lists(lists: &[Vec<f64>]) -> Array {
    lists.iter().map(|list| JsValue::from(Float64Array::from(list.as_slice()))).collect()
}

/// The caller's two callbacks for a long operation.
pub struct Callbacks {
    progress: Option<Function>,
    aborted: Option<Function>,
}

impl Callbacks {
    pub fn new(progress: Option<Function>, aborted: Option<Function>) -> Self {
        Self { progress, aborted }
    }

    /// Reports progress, and returns whether to continue. A callback that throws stops the operation.
    pub fn go_on(&self, done: usize) -> std::ops::ControlFlow<()> {
        let told =
            self.progress.as_ref().map(|f| f.call1(&JsValue::NULL, &JsValue::from(done as f64)));
        let asked = self.aborted.as_ref().map(|f| f.call0(&JsValue::NULL));
        match (told, asked) {
            (Some(Err(_)), _) | (_, Some(Err(_))) => std::ops::ControlFlow::Break(()),
            (_, Some(Ok(answer))) if answer.is_truthy() => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        }
    }
}
