//! A base with its adapters: rescore, evaluate, tune and train through one type.
//!
//! A [`Rescorer`] has a frozen base on a device and any number of named adapters. Every call names the adapter that it
//! uses. Methods that end in `_async` work everywhere; the same methods without the suffix block until the result is
//! available, and do not exist on wasm.
//!
//! ```
//! use std::fs;
//!
//! use lorb::adapter::AdapterFiles;
//! use lorb::base::{Base, BaseFiles, TokenizerFiles};
//! use lorb::device::{DeviceChoice, select};
//! use lorb::nbest::{Hypothesis, Utterance};
//! use lorb::rescorer::{Options, Rescorer};
//! use lorb::score::Weights;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = "tests/golden/tiny";
//! let read = |name: &str| fs::read(format!("{folder}/{name}"));
//! let base = Base::from_files(BaseFiles {
//!     config: &read("config.json")?,
//!     tokenizer: TokenizerFiles::json(&read("tokenizer.json")?),
//!     weights: read("model.safetensors")?,
//! })?;
//! let device = select(DeviceChoice::Cpu)?.device;
//! let mut rescorer = Rescorer::new(base, &device)?;
//! rescorer.read_adapter(
//!     "call-centre",
//!     &AdapterFiles {
//!         config: read("adapter/adapter_config.json")?,
//!         weights: read("adapter/adapter_model.safetensors")?,
//!     },
//! )?;
//!
//! let lists = [Utterance::new(
//!     "u1",
//!     Some("turn off the lights".to_owned()),
//!     vec![
//!         Hypothesis::new("turn of the lights", Some(-3.2)),
//!         Hypothesis::new("turn off the lights", Some(-3.4)),
//!     ],
//! )];
//! // Tuned adapters contain their weights, and need none here.
//! let weights = Weights::new(0.5, 0.0);
//! let options = Options::adapter("call-centre").weights(&weights);
//! let ranked = rescorer.rescore(&lists, options)?;
//! assert_eq!(ranked[0].id, "u1");
//! for hypothesis in &ranked[0].hypotheses {
//!     println!("{} {:.3} {}", hypothesis.rank, hypothesis.total, hypothesis.text);
//! }
//! let evaluated = rescorer.evaluate(&lists, options, 0)?;
//! println!("{}", evaluated.report);
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `adapters` | adapters by name: read, add, write, merge |
//! | `options` | [`Options`] of a call |
//! | `scoring` | score, rescore, evaluate, tune |
//! | `texts` | scores and embeddings of texts outside lists |
//! | `training` | [`Run`] and [`Rescorer::train_async`] |
//! | `blocking` | blocking versions of the calls |
//! | `error` | [`RescorerError`] |

mod adapters;
#[cfg(not(target_family = "wasm"))]
mod blocking;
mod error;
mod options;
mod scoring;
mod texts;
mod training;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;

use crate::base::{Base, BertConfig, BertTokenizer};
use crate::model::{Encoder, MaskedHead, ModelError};
use crate::ops::Precision;

pub use adapters::LoadedAdapter;
pub use error::RescorerError;
pub use options::Options;
pub use scoring::{Evaluated, TunedWeights};
pub use texts::{BATCH_SECONDS, LEAST_BATCH_TOKENS};
pub use training::{Run, Trained};

/// A frozen base on a device, and adapters for it by name.
///
/// A clone shares all tensors, so it is cheap. Adapters added to one of them are not visible in the other.
#[derive(Clone, Debug)]
pub struct Rescorer {
    frozen: Arc<Frozen>,
    encoder: Encoder,
    /// Name of the base, stored in adapters: a hub id or a directory name.
    name: Option<String>,
    adapters: BTreeMap<String, Arc<LoadedAdapter>>,
    /// Whether an adapter is merged into the encoder's weights.
    merged: bool,
}

/// The constant parts of a base, except its encoder.
#[derive(Debug)]
struct Frozen {
    config: BertConfig,
    tokenizer: BertTokenizer,
    hash: String,
    masked: Option<MaskedHead>,
}

impl Rescorer {
    /// Moves a base to a device, in f32.
    ///
    /// # Errors
    /// [`RescorerError::Model`] names the missing or invalid tensor.
    pub fn new(base: Base, device: &Device) -> Result<Self, RescorerError> {
        Self::with_precision(base, Precision::F32, device)
    }

    /// As [`Rescorer::new`], with linear layers in another precision.
    ///
    /// # Errors
    /// As for [`Rescorer::new`], and [`ModelError::Precision`] if the device cannot compute in the precision.
    pub fn with_precision(
        base: Base,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, RescorerError> {
        let Base { config, tokenizer, mut weights, hash } = base;
        let encoder = Encoder::with_precision(&config, &mut weights, precision, device)?;
        let frozen = Frozen { config, tokenizer, hash, masked: None };
        Ok(Self::of(frozen, encoder))
    }

    /// As [`Rescorer::with_precision`], with the base's masked-language-model head, which stays in f32, for
    /// [`Rescorer::pseudo_log_likelihood_async`].
    ///
    /// # Errors
    /// As for [`Rescorer::with_precision`], and for a base without that head.
    pub fn with_masked_head(
        base: Base,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, RescorerError> {
        let Base { config, tokenizer, mut weights, hash } = base;
        let encoder = Encoder::with_precision(&config, &mut weights, precision, device)?;
        let masked = Some(MaskedHead::new(&config, &mut weights, &encoder)?);
        Ok(Self::of(Frozen { config, tokenizer, hash, masked }, encoder))
    }

    fn of(frozen: Frozen, encoder: Encoder) -> Self {
        let (name, adapters) = (None, BTreeMap::new());
        Self { frozen: Arc::new(frozen), encoder, name, adapters, merged: false }
    }

    /// Sizes and constants of the base.
    #[must_use]
    pub fn base(&self) -> &BertConfig {
        &self.frozen.config
    }

    /// The base's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &BertTokenizer {
        &self.frozen.tokenizer
    }

    /// Identity of the base, stored in adapters; see [`Base::hash`].
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.frozen.hash
    }

    /// Name of the base, stored in adapters created here.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Sets the name of the base, preferably a hub id.
    pub fn set_name(&mut self, name: Option<String>) {
        self.name = name;
    }

    /// The device that computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    fn masked_head(&self) -> Result<&MaskedHead, ModelError> {
        self.frozen.masked.as_ref().ok_or(ModelError::NoMaskedHead)
    }
}
