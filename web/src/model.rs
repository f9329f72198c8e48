//! A base on a device with its adapters.

use std::cell::RefCell;
use std::rc::Rc;

use lorb::base::expected_tensors;
use lorb::model::ModelError;
use lorb::rescorer::{Rescorer, RescorerError};
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::convert::{from_js, to_js};
use crate::device::CheckedDevice;
use crate::error::WebError;
use crate::start::clock;

/// State shared by a model and its trainers.
pub struct Shared {
    rescorer: RefCell<Rescorer>,
    /// The rescorer with the adapter merged that scored last, and its name.
    merged: RefCell<Option<(String, Rescorer)>>,
    pub watched: Rc<CheckedDevice>,
}

impl Shared {
    /// A clone of the rescorer for an asynchronous call, so that nothing stays borrowed.
    pub fn snapshot(&self) -> Rescorer {
        self.rescorer.borrow().clone()
    }

    /// As [`Shared::snapshot`], for scoring with an adapter. On a GPU, the adapter is merged, which costs a copy of the
    /// matrices that it changes. The copy is kept for the next call with the same adapter.
    pub fn scoring(&self, adapter: Option<&str>) -> Rescorer {
        let Some(name) = adapter.filter(|_| self.watched.is_gpu()) else { return self.snapshot() };
        let mut kept = self.merged.borrow_mut();
        if kept.as_ref().is_none_or(|(of, _)| of != name) {
            // Before the next one, so that the device never holds two.
            *kept = None;
            *kept = self.snapshot().merged(name).ok().map(|merged| (name.to_owned(), merged));
        }
        // For an unknown adapter, the call itself reports the error.
        kept.as_ref().map_or_else(|| self.snapshot(), |(_, merged)| merged.clone())
    }

    /// Releases the merged copy.
    pub fn unmerge(&self) {
        self.merged.take();
    }

    /// Changes the rescorer.
    pub fn change<T>(&self, change: impl FnOnce(&mut Rescorer) -> T) -> T {
        self.unmerge();
        change(&mut self.rescorer.borrow_mut())
    }

    /// A result, after a check of the kernels that computed it. Errors, such as a non-finite score, are checked
    /// too, because a faulty kernel may be the cause.
    pub async fn trusted<T>(&self, result: Result<T, RescorerError>) -> Result<T, WebError> {
        let model = result.as_ref().err().and_then(RescorerError::model);
        if !matches!(model, Some(ModelError::Device(_) | ModelError::Stopped)) {
            self.watched.trusted().await?;
        }
        Ok(result?)
    }
}

/// A frozen base on a device, and its loaded adapters.
#[wasm_bindgen]
pub struct Model {
    pub(crate) shared: Rc<Shared>,
    file_hash: String,
    dtype: String,
    notes: Vec<String>,
}

impl Model {
    pub(crate) fn new(
        rescorer: Rescorer,
        file_hash: String,
        dtype: String,
        notes: Vec<String>,
        watched: Rc<CheckedDevice>,
    ) -> Self {
        let (rescorer, merged) = (RefCell::new(rescorer), RefCell::default());
        let shared = Rc::new(Shared { rescorer, merged, watched });
        Self { shared, file_hash, dtype, notes }
    }
}

#[wasm_bindgen]
impl Model {
    /// Identity of the base, stored in adapters. For an exported base, that of the original.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn hash(&self) -> String {
        self.shared.snapshot().hash().to_owned()
    }

    /// SHA-256 of the loaded `model.safetensors`, in hexadecimal digits.
    #[wasm_bindgen(getter, js_name = fileHash)]
    #[must_use]
    pub fn file_hash(&self) -> String {
        self.file_hash.clone()
    }

    /// What the user should know about the base's files, one line each.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Parameters of the frozen base.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn parameters(&self) -> f64 {
        let tensors = expected_tensors(self.shared.snapshot().base());
        tensors.iter().map(|(_, shape)| shape.iter().product::<usize>() as f64).sum()
    }

    /// The requested `fp32`, `fp16`, `int8` or `mixed`.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn dtype(&self) -> String {
        self.dtype.clone()
    }

    /// Hub id or other name of the base, written into adapters.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.shared.snapshot().name().map(str::to_owned)
    }

    /// Sets the name.
    #[wasm_bindgen(setter)]
    pub fn set_name(&self, name: Option<String>) {
        self.shared.change(|rescorer| rescorer.set_name(name));
    }

    /// Tokens of each text, `[CLS]` and `[SEP]` included, after truncation.
    ///
    /// # Errors
    /// `UnsupportedModelError` if a text cannot be tokenised.
    #[wasm_bindgen(js_name = tokenCounts)]
    pub fn token_counts(&self, texts: JsValue) -> Result<Vec<u32>, JsValue> {
        let texts: Vec<String> = from_js(&texts, "texts")?;
        let rescorer = self.shared.snapshot();
        let count = |text: &String| {
            let encoded = rescorer.tokenizer().encode(text).map_err(WebError::from)?;
            Ok(encoded.ids.len() as u32)
        };
        texts.iter().map(count).collect()
    }

    /// Compiles what scoring needs, and on a GPU checks the kernels, for the named adapter or for a new one with default
    /// settings, so that the first list does not wait for it. Returns the number of tokens per batch that
    /// suits the speed of the device.
    ///
    /// # Errors
    /// `DeviceRefusedError` if a kernel returns wrong results, `DeviceLostError`; `BadInputError` for an unknown
    /// name.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self, adapter: Option<String>) -> Result<usize, JsValue> {
        let adapter = adapter.as_deref();
        let rescorer = self.shared.scoring(adapter);
        // On the CPU path too: the browser compiles functions of the module at their first call.
        let warm = rescorer.warm_up_async(adapter).await;
        self.shared.trusted(warm).await?;
        let tokens = rescorer.suitable_batch_tokens_async(adapter, clock).await;
        Ok(self.shared.trusted(tokens).await?)
    }

    /// Bytes: `wasm`, all of this instance's memory; `device` and `deviceReserved`, what tensors use on
    /// the GPU and what is reserved for them, `null` on the CPU path.
    ///
    /// # Errors
    /// Only for a value that cannot be passed to JavaScript.
    pub fn memory(&self) -> Result<JsValue, JsValue> {
        let wasm = core::arch::wasm32::memory_size(0) * 65536;
        let usage = self.shared.watched.device.memory_pool_usage();
        let (used, reserved) =
            usage.map(|usage| (usage.bytes_in_use, usage.bytes_reserved)).unzip();
        Ok(to_js(&json!({"wasm": wasm, "device": used, "deviceReserved": reserved}))?)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // Trainers may still hold the base's tensors; unused ones are returned to the device.
        self.shared.change(Rescorer::remove_adapters);
        self.shared.watched.device.memory_cleanup();
    }
}
