//! Adapters as PEFT directories: `adapter_config.json` and `adapter_model.safetensors`, as bytes.
//!
//! Tensors are named as PEFT names them for the bare encoder: `base_model.model.<module>.lora_A.weight`
//! `[r, in]` and `.lora_B.weight` `[out, r]`; the score head is saved in full, as with
//! `modules_to_save`: `base_model.model.score.weight` `[1, H]` and `.bias` `[1]`. What LoRB adds is in the
//! metadata under `lorb`. How the adapters of a method are stored is part of the method ([`crate::methods`]).

mod combine;
#[cfg(not(target_family = "wasm"))]
mod merge;
mod meta;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use crate::peft::AdapterError;
pub use combine::{Combination, CombineError, Weighted, combine};
#[cfg(not(target_family = "wasm"))]
pub use merge::merge;
pub use meta::AdapterMeta;
pub use read::{ReadOptions, read, read_with};
pub use write::write;

use crate::peft::SECTION;

/// File name of the settings.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// File name of the weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// The two files of an adapter, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterFiles {
    /// `adapter_config.json`.
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`.
    pub weights: Vec<u8>,
}
