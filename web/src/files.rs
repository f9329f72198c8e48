//! The files of a tokenizer, as both wasm modules get them.

use js_sys::{Reflect, Uint8Array};
use lorb::base::TokenizerFiles;
use wasm_bindgen::{JsCast, JsValue};

/// Copies of the files, by name.
pub struct Files(Vec<(&'static str, Vec<u8>)>);

impl Files {
    /// The files of an object whose keys are names and whose values are `Uint8Array`s. Other keys are ignored.
    pub fn of(object: &JsValue) -> Self {
        let file = |name: &'static str| {
            let bytes = Reflect::get(object, &name.into()).ok()?;
            Some((name, bytes.dyn_ref::<Uint8Array>()?.to_vec()))
        };
        Self(TokenizerFiles::NAMES.into_iter().filter_map(file).collect())
    }

    /// The files, as a tokenizer reads them.
    pub fn tokenizer(&self) -> TokenizerFiles<'_> {
        TokenizerFiles::named(|name| {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.as_slice())
        })
    }
}
