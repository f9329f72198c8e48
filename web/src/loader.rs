//! Loads a base in chunks.

use std::sync::Arc;

use lorb::base::{BaseError, BaseStream, BertConfig, BertTokenizer, WeightStream};
use lorb::ops::Precision;
use lorb::ops::wgsl::{WIDEST_HEAD, runs_on};
use lorb::packed::Format;
use lorb::rescorer::Rescorer;
use wasm_bindgen::prelude::*;

use crate::device::GpuDevice;
use crate::error::WebError;
use crate::files::Files;
use crate::model::Model;
use crate::tokenizer::OtherTokenizer;

/// The precision that the package calls by this name.
pub fn precision(dtype: &str) -> Result<Precision, WebError> {
    Ok(match dtype {
        "fp32" => Precision::F32,
        "fp16" => Precision::F16,
        "int8" => Precision::Int8,
        "mixed" => Precision::Mixed,
        other => {
            return Err(WebError::input(format_args!(
                "unknown dtype {other:?}; choose 'fp32', 'fp16', 'int8' or 'mixed'"
            )));
        }
    })
}

/// Loads the files of a base.
#[wasm_bindgen]
pub struct BaseLoader {
    stream: BaseStream,
    precision: Precision,
    dtype: String,
}

#[wasm_bindgen]
impl BaseLoader {
    /// Reads `config.json`, the tokenizer and the files next to it, and, if the weights are several files,
    /// `model.safetensors.index.json`. `files` has the tokenizer's by name; `other` is the tokenizer itself, if this module
    /// cannot read them. `total_bytes` is the length of `model.safetensors`, 0 if unknown or if there is an index.
    ///
    /// # Errors
    /// `UnsupportedModelError`, `IntegrityError`; `BadInputError` for an unknown dtype; `OtherTokenizerError` if the files
    /// need the other module.
    #[wasm_bindgen(constructor)]
    pub fn new(
        config: &[u8],
        files: JsValue,
        other: Option<OtherTokenizer>,
        index: Option<Vec<u8>>,
        dtype: String,
        total_bytes: f64,
    ) -> Result<BaseLoader, JsValue> {
        let precision = precision(&dtype)?;
        let stream =
            open(config, &Files::of(&files), other, index, precision.format(), total_bytes);
        Ok(Self { stream: stream.map_err(WebError::from)?, precision, dtype })
    }

    /// Names of the files that the index names, in the order in which they are loaded; none without an index.
    #[must_use]
    pub fn shards(&self) -> Vec<String> {
        self.stream.shards().to_vec()
    }

    /// Begins the next of these files. `total_bytes` is its length, 0 if unknown.
    ///
    /// # Errors
    /// `IntegrityError` if the file before it is incomplete, or if there is no other one.
    #[wasm_bindgen(js_name = beginShard)]
    pub fn begin_shard(&mut self, total_bytes: f64) -> Result<(), JsValue> {
        Ok(self.stream.begin_shard(length(total_bytes)).map_err(WebError::from)?)
    }

    /// Processes the next bytes of the weights; chunks of at most a few megabytes keep memory low.
    ///
    /// # Errors
    /// `IntegrityError`, `UnsupportedModelError`; the loader can then no longer be used.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), JsValue> {
        Ok(self.stream.push(chunk).map_err(WebError::from)?)
    }

    /// SHA-256 of the bytes so far, of the current file if there are several, in hexadecimal digits.
    #[wasm_bindgen(getter, js_name = fileHash)]
    #[must_use]
    pub fn file_hash(&self) -> String {
        self.stream.file_hash()
    }

    /// Copies the base to a device, tensor by tensor. Consumes the loader.
    ///
    /// # Errors
    /// `IntegrityError` if bytes are missing, `UnsupportedModelError` for heads that are too wide for the kernels,
    /// `DeviceRefusedError` for a dtype that the device does not compute in, `DeviceLostError`.
    pub async fn finish(self, device: &GpuDevice) -> Result<Model, JsValue> {
        let Self { stream, precision, dtype } = self;
        let file_hash = stream.file_hash();
        let base = stream.finish().map_err(WebError::from)?;
        let notes = base.notes();
        let head = base.config.hidden_size / base.config.num_attention_heads;
        let watched = device.watched.clone();
        if head > WIDEST_HEAD && runs_on(&watched.device) {
            let message = format!(
                "its attention heads are {head} wide; the WebGPU kernels support at most {WIDEST_HEAD}. Use device 'wasm'"
            );
            return Err(WebError::new("UnsupportedModelError", message).into());
        }
        let rescorer = Rescorer::with_precision(base, precision, &watched.device);
        Ok(Model::new(rescorer.map_err(WebError::from)?, file_hash, dtype, notes, watched))
    }
}

fn open(
    config: &[u8],
    files: &Files,
    other: Option<OtherTokenizer>,
    index: Option<Vec<u8>>,
    format: Format,
    total_bytes: f64,
) -> Result<BaseStream, BaseError> {
    let config = BertConfig::from_json(config)?;
    let tokenizer = match other {
        Some(other) => BertTokenizer::given(Arc::new(other), &config),
        None => BertTokenizer::from_files(files.tokenizer(), &config)?,
    };
    let weights = match index {
        Some(index) => WeightStream::sharded(&config, format, &index)?,
        None => WeightStream::new(&config, format, length(total_bytes)),
    };
    Ok(BaseStream::with(config, tokenizer, weights))
}

fn length(total_bytes: f64) -> Option<u64> {
    (total_bytes >= 1.0).then_some(total_bytes as u64)
}
