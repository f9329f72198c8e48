//! A base on a device with its adapters.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Device;
use lorb::adapter::AdapterMeta;
use lorb::base::{BertConfig, BertTokenizer, expected_tensors};
use lorb::model::{
    Adapter, Encoder, LoraConfig, ModelError, SCORING_BATCH_TOKENS, TrainableTensors,
    score_sequences,
};
use lorb::ops::wgsl::runs_on;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::convert::{from_js, to_js};
use crate::device::Watched;
use crate::error::WebError;

/// Hypotheses of the list that a model is warmed up on, and their tokens.
const TRIAL: (usize, usize) = (10, 12);

/// An adapter on the device.
pub struct Loaded {
    pub adapter: Adapter,
    pub meta: AdapterMeta,
    pub trainable: TrainableTensors,
}

/// What a model and its trainers share.
pub struct Shared {
    pub encoder: Encoder,
    pub config: BertConfig,
    pub tokenizer: BertTokenizer,
    pub hash: String,
    /// Name of the base for adapters to remember.
    pub name: RefCell<Option<String>>,
    pub adapters: RefCell<BTreeMap<String, Rc<Loaded>>>,
    pub watched: Rc<Watched>,
}

impl Shared {
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    async fn warm_up(&self, adapter: Option<&str>) -> Result<(), WebError> {
        let Self { encoder, config, .. } = self;
        let loaded = adapter.map(|name| self.adapter(name)).transpose()?;
        let trainable = match &loaded {
            Some(loaded) => &loaded.trainable,
            None => {
                let rank = LoraConfig::default().rank.min(config.hidden_size);
                let form = LoraConfig { rank, ..LoraConfig::default() };
                &TrainableTensors::new(config, &Adapter::init(config, form, 0)?, &self.device())
            }
        };
        let (encoder, trainable) = encoder.ends(trainable);
        let length = TRIAL.1.min(config.max_tokens());
        let id = |at: usize| (at * 31 % config.vocab_size) as u32;
        let sequences: Vec<Vec<u32>> =
            (0..TRIAL.0).map(|i| (0..length).map(|j| id(i * length + j)).collect()).collect();
        let scored =
            score_sequences(&encoder, &trainable, &sequences, SCORING_BATCH_TOKENS, |_| {}).await;
        // The scores mean nothing, even where one is no number; the kernels behind them are judged.
        if let Err(error @ ModelError::Device(_)) = scored {
            return Err(error.into());
        }
        self.watched.trusted().await
    }

    /// The adapter of this name.
    pub fn adapter(&self, name: &str) -> Result<Rc<Loaded>, WebError> {
        let adapters = self.adapters.borrow();
        adapters.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = adapters.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            WebError::input(format_args!("no adapter {name:?} is loaded; loaded: {known}"))
        })
    }

    /// Puts an adapter on the device, in place of one of the same name.
    pub fn put(&self, name: &str, adapter: Adapter, meta: AdapterMeta) -> Rc<Loaded> {
        let trainable = TrainableTensors::new(&self.config, &adapter, &self.device());
        let loaded = Rc::new(Loaded { adapter, meta, trainable });
        self.adapters.borrow_mut().insert(name.to_owned(), loaded.clone());
        loaded
    }
}

/// A frozen base on a device, and the adapters that were loaded for it.
#[wasm_bindgen]
pub struct Model {
    pub(crate) shared: Rc<Shared>,
    file_hash: String,
    dtype: String,
}

impl Model {
    pub(crate) fn new(
        encoder: Encoder,
        config: BertConfig,
        tokenizer: BertTokenizer,
        hash: String,
        file_hash: String,
        dtype: String,
        watched: Rc<Watched>,
    ) -> Self {
        let (name, adapters) = (RefCell::default(), RefCell::default());
        let shared = Rc::new(Shared { encoder, config, tokenizer, hash, name, adapters, watched });
        Self { shared, file_hash, dtype }
    }
}

#[wasm_bindgen]
impl Model {
    /// Identity of the base: what adapters remember it by. For a file of fewer bits that LoRB wrote, the
    /// original's.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn hash(&self) -> String {
        self.shared.hash.clone()
    }

    /// SHA-256 of the `model.safetensors` that was loaded, in hexadecimal digits.
    #[wasm_bindgen(getter, js_name = fileHash)]
    #[must_use]
    pub fn file_hash(&self) -> String {
        self.file_hash.clone()
    }

    /// Numbers in the frozen base.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn parameters(&self) -> f64 {
        let tensors = expected_tensors(&self.shared.config);
        tensors.iter().map(|(_, shape)| shape.iter().product::<usize>() as f64).sum()
    }

    /// `fp32`, `fp16` or `int8`, as asked for.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn dtype(&self) -> String {
        self.dtype.clone()
    }

    /// Hub id or other name of the base, which adapters written from here on state as theirs.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.shared.name.borrow().clone()
    }

    /// Sets the name.
    #[wasm_bindgen(setter)]
    pub fn set_name(&self, name: Option<String>) {
        *self.shared.name.borrow_mut() = name;
    }

    /// Longest text in tokens, `[CLS]` and `[SEP]` included; longer ones are cut.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.shared.config.max_tokens()
    }

    /// Tokens of each text, `[CLS]` and `[SEP]` included, after cutting.
    ///
    /// # Errors
    /// `UnsupportedModelError` when a text cannot be tokenised.
    #[wasm_bindgen(js_name = tokenCounts)]
    pub fn token_counts(&self, texts: JsValue) -> Result<Vec<u32>, JsValue> {
        let texts: Vec<String> = from_js(&texts, "texts")?;
        let count = |text: &String| {
            let encoded = self.shared.tokenizer.encode(text).map_err(WebError::from)?;
            Ok(encoded.ids.len() as u32)
        };
        texts.iter().map(count).collect()
    }

    /// Scores a made-up list with the adapter of this name, without one with a new one of the usual form, on as
    /// few layers as take all kernels: a GPU compiles them now, and not when the first list comes. They are
    /// checked, too. On the CPU path there is nothing to be done.
    ///
    /// # Errors
    /// `DeviceRefusedError` where a kernel computes wrongly, `DeviceLostError`; `BadInputError` for an unknown name.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self, adapter: Option<String>) -> Result<(), JsValue> {
        if runs_on(&self.shared.watched.device) {
            self.shared.warm_up(adapter.as_deref()).await?;
        }
        Ok(())
    }

    /// Bytes: `wasm`, all of this instance's memory; `device` and `deviceReserved`, what tensors take on
    /// the GPU and what is kept ready for them, `null` on the CPU path.
    ///
    /// # Errors
    /// None but a value that cannot be handed over.
    pub fn memory(&self) -> Result<JsValue, JsValue> {
        let wasm = core::arch::wasm32::memory_size(0) * 65536;
        let usage = self.shared.device().memory_pool_usage();
        let (used, reserved) =
            usage.map(|usage| (usage.bytes_in_use, usage.bytes_reserved)).unzip();
        Ok(to_js(&json!({"wasm": wasm, "device": used, "deviceReserved": reserved}))?)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // Trainers may still hold the tensors; what nobody holds goes back to the device.
        self.shared.adapters.borrow_mut().clear();
        self.shared.device().memory_cleanup();
    }
}
