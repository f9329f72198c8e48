//! A tokenizer in the other wasm module, which has those that this one lacks.

use lorb::base::{BaseError, Encoded, Tokenize};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The class `Tokenizer` of that module (`web/tokenizer`).
    #[derive(Debug)]
    pub type OtherTokenizer;
    #[wasm_bindgen(method, catch)]
    fn encode(this: &OtherTokenizer, text: &str) -> Result<Vec<u32>, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn mask(this: &OtherTokenizer) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn size(this: &OtherTokenizer) -> u32;
    #[wasm_bindgen(method, getter)]
    fn notes(this: &OtherTokenizer) -> Vec<String>;
}

// SAFETY: the module is built without threads, so the object never leaves the thread that it belongs to.
unsafe impl Send for OtherTokenizer {}
// SAFETY: as above.
unsafe impl Sync for OtherTokenizer {}

impl Tokenize for OtherTokenizer {
    fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        let mut ids = OtherTokenizer::encode(self, text).map_err(fault)?;
        let truncated = ids.pop() == Some(1);
        Ok(Encoded { ids, truncated })
    }

    fn mask(&self) -> Result<u32, BaseError> {
        OtherTokenizer::mask(self).map_err(fault)
    }

    fn vocabulary_size(&self) -> usize {
        self.size() as usize
    }

    fn notes(&self) -> Vec<String> {
        OtherTokenizer::notes(self)
    }
}

/// The error that the other module throws as the text of a [`BaseError::Tokenizer`]. Anything else is a panic there, which
/// ends this instance as its own panics do.
fn fault(thrown: JsValue) -> BaseError {
    match thrown.as_string() {
        Some(what) => BaseError::Tokenizer(what),
        None => wasm_bindgen::throw_val(thrown),
    }
}
