//! What can be wrong with an adapter directory.

use crate::base::TensorFault;
use crate::model::ModelError;

/// Why an adapter cannot be read, written or used with a base. Messages name the file's part at
/// fault; the door that owns the files adds the directory.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdapterError {
    /// `adapter_config.json` is no JSON object.
    #[error("adapter_config.json: not valid JSON: {0}")]
    ConfigJson(String),
    /// A setting is missing, malformed, or would change the scores in a way that LoRB does not
    /// compute.
    #[error("adapter_config.json: `{key}` {what}")]
    Setting {
        /// The key at fault.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The settings do not suit the base.
    #[error("adapter_config.json: {0}")]
    Model(#[from] ModelError),
    /// The container of the weights is damaged, or a tensor in it cannot be read.
    #[error("adapter_model.safetensors: {0}")]
    Tensor(#[from] TensorFault),
    /// A tensor that the settings ask for is not there.
    #[error("adapter_model.safetensors: tensor `{name}` is missing; {why}")]
    Missing {
        /// Name in the file.
        name: String,
        /// Why it is needed.
        why: String,
    },
    /// A tensor has no place in the base or in the settings.
    #[error("adapter_model.safetensors: tensor `{name}` would go unused: {why}")]
    Unused {
        /// Name in the file.
        name: String,
        /// Why it has no place.
        why: String,
    },
    /// A tensor has another shape than base and settings demand.
    #[error(
        "adapter_model.safetensors: tensor `{name}` has shape {found:?}; base and settings ask for {expected:?}"
    )]
    Shape {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape asked for.
        expected: Vec<usize>,
    },
    /// Some layers adapt other modules than the rest.
    #[error(
        "adapter_model.safetensors: module `{module}` is not adapted, though its kind is in another layer; LoRB adapts \
         the same modules in every chosen layer"
    )]
    Uneven {
        /// The module left out.
        module: String,
    },
    /// PEFT wrote the adapter of a bare encoder: it cannot score.
    #[error(
        "adapter_model.safetensors: no score head (base_model.model.score.weight and .bias); save \
         the adapter from a model that has a linear layer `score`, with \
         modules_to_save=[\"score\"]"
    )]
    NoScoreHead,
    /// The `lorb` section of the metadata is malformed.
    #[error("adapter_model.safetensors: metadata `lorb`: `{key}` {what}")]
    Metadata {
        /// The key at fault, `.` for the section itself.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The adapter was trained on another base.
    #[error(
        "the adapter was trained on another base{name}: its model.safetensors has sha256 {expected}, this one has \
         {found}"
    )]
    ForeignBase {
        /// SHA-256 that the adapter remembers.
        expected: String,
        /// SHA-256 of the base at hand.
        found: String,
        /// ` (name)` of the adapter's base where it is known, or empty.
        name: String,
    },
    /// The adapter cannot be put into files.
    #[error("the adapter cannot be written: {0}")]
    Unwritable(String),
}

impl AdapterError {
    pub(super) fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), what: what.into() }
    }
}
