//! Errors of a model or adapter.

use super::batch::BatchFault;
use super::fault::DeviceFault;
use crate::base::BaseError;
use crate::base::arch::{ARCHITECTURES, BERT};
use crate::ops::UnsupportedPrecision;

/// Why a model cannot be built or run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The base is incomplete or invalid.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The device cannot compute in the requested precision.
    #[error("{0}")]
    Precision(#[from] UnsupportedPrecision),
    /// A target module that no architecture has.
    #[error(
        "target module {name:?} matches no linear layer; use any of query, key, value, attention.output.dense, \
         intermediate.dense, output.dense (both output layers), dense (the last three), all-linear{}",
        other_names()
    )]
    UnknownTarget {
        /// The given name.
        name: String,
    },
    /// A setting of the adapter is out of range.
    #[error("LoRA setting `{setting}` {what}")]
    Lora {
        /// PEFT's name of the setting.
        setting: &'static str,
        /// The problem, and the valid range.
        what: String,
    },
    /// A setting of a method has a value of another type.
    #[error("setting `{setting}` {what}")]
    Setting {
        /// The setting's name, as `adapter_config.json` has it.
        setting: &'static str,
        /// What is wrong, and what is expected.
        what: String,
    },
    /// A setting of another method is out of range.
    #[error("{method} setting `{setting}` {what}")]
    Method {
        /// The method.
        method: &'static str,
        /// The setting's name.
        setting: &'static str,
        /// The problem, and the valid range.
        what: String,
    },
    /// A method that does not suit the architecture of the base.
    #[error("method {method} does not suit {architecture}: {why}")]
    Unsuited {
        /// The method.
        method: &'static str,
        /// The architecture of the base.
        architecture: &'static str,
        /// What it lacks.
        why: &'static str,
    },
    /// No setting of a method is small enough.
    #[error(
        "a budget of {:.4} % of the base's {total} parameters is too small for {kind}, which needs at least {least} parameters \
         ({:.4} %)",
        100.0 * share,
        100.0 * *least as f64 / *total as f64
    )]
    Budget {
        /// The method.
        kind: &'static str,
        /// The requested fraction.
        share: f64,
        /// Minimum number of parameters of the method.
        least: usize,
        /// Parameters of the base.
        total: usize,
    },
    /// A method that trains base tensors was started without them.
    #[error("{method} starts from the base's values; create the adapter with `Adapter::init_on`")]
    StartsAtBase {
        /// The method.
        method: &'static str,
    },
    /// A method does more than change tensors of the base, so its adapters cannot become part of it.
    #[error(
        "an adapter of method {method} cannot be merged into its base, because it does more than change the base's weights"
    )]
    NotMergeable {
        /// The method.
        method: &'static str,
    },
    /// Flat parameters do not fit the layout.
    #[error("adapter has {found} parameters, but its layout has {expected}")]
    ParameterCount {
        /// Number given.
        found: usize,
        /// Number that the layout has.
        expected: usize,
    },
    /// A batch has ids that the base has no embedding for, or is inconsistent.
    #[error(transparent)]
    Batch(#[from] BatchFault),
    /// The device failed during a computation or read-back.
    #[error("{0}")]
    Device(#[source] DeviceFault),
    /// The request was cancelled.
    #[error("stopped")]
    Stopped,
    /// The model returned a non-finite score.
    #[error(
        "the model returned the score {value}; its adapter has diverged or does not fit this base"
    )]
    ScoreNotFinite {
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// Pseudo-log-likelihood was requested from a base that was loaded without its masked-language-model head.
    #[error("the base was loaded without its masked-language-model head")]
    NoMaskedHead,
    /// One text of the lists being scored is at fault.
    #[error("list {}, hypothesis {}: {error}", list + 1, hypothesis + 1)]
    Text {
        /// Index of the list, from 0.
        list: usize,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// The problem.
        #[source]
        error: Box<ModelError>,
    },
}

/// Names of target modules other than BERT's, for messages.
fn other_names() -> String {
    let others = ARCHITECTURES.iter().filter(|known| ***known != BERT);
    others
        .map(|known| {
            let linears = known.linears();
            let names: Vec<_> = linears.iter().map(|linear| linear.peft).collect();
            format!("; or {}'s names of them: {}", known.name, names.join(", "))
        })
        .collect()
}
