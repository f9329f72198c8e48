//! Adapters as PEFT directories: `adapter_config.json` and `adapter_model.safetensors`, in bytes.
//!
//! Tensors are named as PEFT names them for the bare encoder: `base_model.model.<module>.lora_A.weight`
//! `[r, in]` and `.lora_B.weight` `[out, r]`; the score head is saved whole, as `modules_to_save`
//! does: `base_model.model.score.weight` `[1, H]` and `.bias` `[1]`. What LoRB adds lies in the
//! metadata under `lorb`. Prefixes are described in `prefix`, methods that
//! PEFT does not know in `plain`.

mod error;
mod meta;
mod plain;
mod prefix;
mod read;
mod selection;
mod settings;
#[cfg(test)]
mod tests;
mod write;

pub use error::AdapterError;
pub use meta::AdapterMeta;
pub use read::{ReadOptions, read, read_with};
pub use write::write;

use crate::model::{MethodKind, SlotKind};
use meta::SECTION;

/// Name of the settings' file in the directory.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the weights' file in the directory.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// What PEFT puts before the name of every module.
const PREFIX: &str = "base_model.model.";

/// The two files of an adapter, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterFiles {
    /// `adapter_config.json`.
    pub config: Vec<u8>,
    /// `adapter_model.safetensors`.
    pub weights: Vec<u8>,
}

/// PEFT's name of a tensor of LoRA, or of the score head. AdaLoRA's are parameters and no modules.
fn tensor_name(module: &str, kind: SlotKind, method: MethodKind) -> String {
    let tensor = match kind {
        SlotKind::LoraA if method == MethodKind::AdaLora => "lora_A",
        SlotKind::LoraB if method == MethodKind::AdaLora => "lora_B",
        SlotKind::LoraA => "lora_A.weight",
        SlotKind::LoraB => "lora_B.weight",
        SlotKind::Magnitude => "lora_magnitude_vector",
        SlotKind::LoraE => "lora_E",
        _ => return format!("{PREFIX}{}", plain::tensor_name(module, kind)),
    };
    format!("{PREFIX}{module}.{tensor}")
}
