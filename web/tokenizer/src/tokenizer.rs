//! The class that this module exports.

use lorb::base::{BaseError, BertConfig, BertTokenizer};
use wasm_bindgen::prelude::*;

use crate::files::Files;
use crate::thrown::WebError;

/// The tokenizer of a base.
#[wasm_bindgen]
pub struct Tokenizer(BertTokenizer);

#[wasm_bindgen]
impl Tokenizer {
    /// Reads `config.json` and the files of the tokenizer, which `files` has by name, and checks them against each other.
    ///
    /// # Errors
    /// `UnsupportedModelError`, `IntegrityError`.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &[u8], files: JsValue) -> Result<Tokenizer, JsValue> {
        let files = Files::of(&files);
        let read = BertConfig::from_json(config)
            .and_then(|config| BertTokenizer::from_files(files.tokenizer(), &config));
        Ok(Self(read.map_err(WebError::from)?))
    }

    /// The ids of a text, and then 1 if it was truncated, else 0.
    ///
    /// # Errors
    /// Throws the text of a [`BaseError::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, JsValue> {
        let encoded = self.0.encode(text).map_err(what)?;
        let mut ids = encoded.ids;
        ids.push(encoded.truncated.into());
        Ok(ids)
    }

    /// The id of the mask token.
    ///
    /// # Errors
    /// Throws the text of a [`BaseError::Tokenizer`].
    pub fn mask(&self) -> Result<u32, JsValue> {
        self.0.mask().map_err(what)
    }

    /// Number of word pieces, including added tokens.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn size(&self) -> u32 {
        self.0.vocabulary_size() as u32
    }

    /// What the user should know about the files, one line each.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    /// All of this instance's memory, in bytes.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn memory(&self) -> f64 {
        (core::arch::wasm32::memory_size(0) * 65536) as f64
    }
}

/// An error in a text. The first module adds where the text is.
fn what(error: BaseError) -> JsValue {
    match error {
        BaseError::Tokenizer(what) => what.into(),
        other => other.to_string().into(),
    }
}
