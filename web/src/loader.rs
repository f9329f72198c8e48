//! Loads a base in chunks.

use lorb::base::{BaseStream, TokenizerFile};
use lorb::ops::Precision;
use lorb::ops::wgsl::{WIDEST_HEAD, runs_on};
use lorb::rescorer::Rescorer;
use wasm_bindgen::prelude::*;

use crate::device::GpuDevice;
use crate::error::WebError;
use crate::model::Model;

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
    /// Reads `config.json` and `tokenizer.json`, or `vocab.txt` if `tokenizer_is_vocab` is set, with `lowercase` as
    /// `do_lower_case` of `tokenizer_config.json`. `total_bytes` is the length of `model.safetensors`, 0 if unknown.
    ///
    /// # Errors
    /// `UnsupportedModelError`, `IntegrityError`; `BadInputError` for an unknown dtype.
    #[wasm_bindgen(constructor)]
    pub fn new(
        config: &[u8],
        tokenizer: &[u8],
        tokenizer_is_vocab: bool,
        lowercase: bool,
        dtype: String,
        total_bytes: f64,
    ) -> Result<BaseLoader, JsValue> {
        let precision = precision(&dtype)?;
        let tokenizer = if tokenizer_is_vocab {
            TokenizerFile::Vocab(tokenizer, lowercase)
        } else {
            TokenizerFile::Json(tokenizer)
        };
        let length = (total_bytes >= 1.0).then_some(total_bytes as u64);
        let stream = BaseStream::new(config, tokenizer, precision.format(), length)
            .map_err(WebError::from)?;
        Ok(Self { stream, precision, dtype })
    }

    /// Processes the next bytes of `model.safetensors`; chunks of at most a few megabytes keep memory low.
    ///
    /// # Errors
    /// `IntegrityError`, `UnsupportedModelError`; the loader can then no longer be used.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), JsValue> {
        Ok(self.stream.push(chunk).map_err(WebError::from)?)
    }

    /// SHA-256 of the bytes so far, in hexadecimal digits.
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
        let head = base.config.hidden_size / base.config.num_attention_heads;
        let watched = device.watched.clone();
        if head > WIDEST_HEAD && runs_on(&watched.device) {
            let message = format!(
                "its attention heads are {head} wide; the WebGPU kernels support at most {WIDEST_HEAD}. Use device 'wasm'"
            );
            return Err(WebError::new("UnsupportedModelError", message).into());
        }
        let rescorer = Rescorer::with_precision(base, precision, &watched.device);
        Ok(Model::new(rescorer.map_err(WebError::from)?, file_hash, dtype, watched))
    }
}
