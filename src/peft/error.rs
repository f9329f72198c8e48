//! Errors in an adapter directory.

use crate::base::TensorFault;
use crate::foreign::Foreign;
use crate::model::ModelError;

/// Why an adapter cannot be read, written or used with a base. Messages name the file's part at
/// fault; the caller that owns the files adds the directory.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdapterError {
    /// `adapter_config.json` is not a JSON object.
    #[error("adapter_config.json: not valid JSON: {0}")]
    ConfigJson(String),
    /// `adapter_config.json` is a file of another kind.
    #[error("adapter_config.json: {0}")]
    Foreign(#[source] Foreign),
    /// A setting is missing, malformed, or changes the scores in a way that LoRB does not support.
    #[error("adapter_config.json: `{key}` {what}")]
    Setting {
        /// The invalid key.
        key: String,
        /// The problem.
        what: String,
    },
    /// The settings do not fit the base.
    #[error("adapter_config.json: {0}")]
    Model(#[from] ModelError),
    /// The container of the weights is damaged, or a tensor in it cannot be read.
    #[error("adapter_model.safetensors: {0}")]
    Tensor(#[from] TensorFault),
    /// A tensor required by the settings is missing.
    #[error("adapter_model.safetensors: tensor `{name}` is missing; {why}")]
    Missing {
        /// Name in the file.
        name: String,
        /// Why it is needed.
        why: String,
    },
    /// A tensor belongs neither to the base nor to the settings.
    #[error("adapter_model.safetensors: tensor `{name}` would be unused: {why}")]
    Unused {
        /// Name in the file.
        name: String,
        /// Why it is unused.
        why: String,
    },
    /// A tensor's shape does not match base and settings.
    #[error(
        "adapter_model.safetensors: tensor `{name}` has shape {found:?}; base and settings require {expected:?}"
    )]
    Shape {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Required shape.
        expected: Vec<usize>,
    },
    /// Layers adapt different modules.
    #[error(
        "adapter_model.safetensors: module `{module}` is not adapted, but its kind is adapted in another layer; LoRB adapts \
         the same modules in every chosen layer"
    )]
    Uneven {
        /// The missing module.
        module: String,
    },
    /// The adapter of a bare encoder, as PEFT writes it, has no score head.
    #[error(
        "adapter_model.safetensors: no score head (base_model.model.score.weight and .bias); save \
         the adapter from a model that has a linear layer `score`, with \
         modules_to_save=[\"score\"]"
    )]
    NoScoreHead,
    /// The `lorb` section of the metadata is malformed.
    #[error("adapter_model.safetensors: metadata `lorb`: `{key}` {what}")]
    Metadata {
        /// The invalid key, `.` for the section itself.
        key: String,
        /// The problem.
        what: String,
    },
    /// The two files were not saved together.
    #[error(
        "adapter_config.json and adapter_model.safetensors do not belong together: the weights were saved with other \
         settings"
    )]
    Mixed,
    /// The adapter was trained on another base.
    #[error(
        "the adapter was trained on another base{name}: its model.safetensors has sha256 {expected}, this one has \
         {found}"
    )]
    ForeignBase {
        /// SHA-256 stored in the adapter.
        expected: String,
        /// SHA-256 of the given base.
        found: String,
        /// ` (name)` of the adapter's base if known, or empty.
        name: String,
    },
    /// The adapter cannot be written.
    #[error("the adapter cannot be written: {0}")]
    Unwritable(String),
}

impl AdapterError {
    /// A fault of a key of `adapter_config.json`.
    pub fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), what: what.into() }
    }
}
