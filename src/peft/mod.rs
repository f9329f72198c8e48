//! The parts of PEFT's two files that all methods share: names, keys of `adapter_config.json`, errors.

mod error;
mod settings;

use serde_json::{Map, Value};

pub use error::AdapterError;
pub use settings::{flag, number, object, refuse_the_rest, strings, text, whole};

use crate::base::{BertConfig, TensorFile};
use crate::model::Adapter;

/// PEFT's prefix of module names.
pub const PREFIX: &str = "base_model.model.";

/// Key of LoRB's entry in the `__metadata__` of an adapter's weights.
pub const SECTION: &str = "lorb";

/// A tensor of `adapter_model.safetensors`: name, shape and values.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// How the adapters of a method are stored.
pub trait FileFormat: Sync {
    /// PEFT's `peft_type`, if PEFT has a format for the method.
    fn peft_type(&self) -> Option<&'static str> {
        None
    }

    /// Whether `adapter_config.json` describes an adapter of this format.
    fn claims(&self, config: &Map<String, Value>) -> bool;

    /// Reads an adapter. Without a score head in the file, `new_head` is the seed of a new one.
    ///
    /// # Errors
    /// [`AdapterError`] names the setting or tensor at fault.
    fn read(
        &self,
        config: Map<String, Value>,
        weights: &TensorFile<&[u8]>,
        base: &BertConfig,
        new_head: Option<u64>,
    ) -> Result<Adapter, AdapterError>;

    /// `adapter_config.json`: for PEFT's methods, the keys in PEFT's (alphabetical) order.
    ///
    /// # Errors
    /// [`AdapterError::Unwritable`] for a setting that JSON cannot represent.
    fn config(&self, adapter: &Adapter, base_name: Option<&str>) -> Result<Value, AdapterError>;

    /// The tensors of `adapter_model.safetensors`, in any order.
    fn tensors(&self, adapter: &Adapter) -> Vec<NamedTensor>;
}
