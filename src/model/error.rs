//! What can be wrong with a model or the adapter asked for.

use super::fault::DeviceFault;
use crate::base::BaseError;
use crate::base::arch::{ARCHITECTURES, BERT};

/// Why a model cannot be built or run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The base lacks something, or something in it is wrong.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A target module that no architecture has.
    #[error(
        "target module {name:?} matches no linear layer; use any of query, key, value, attention.output.dense, \
         intermediate.dense, output.dense (both output layers), dense (the last three), all-linear{}",
        other_names()
    )]
    UnknownTarget {
        /// The name as given.
        name: String,
    },
    /// A setting of the adapter is out of range.
    #[error("LoRA setting `{setting}` {what}")]
    Lora {
        /// The setting's name, as PEFT calls it.
        setting: &'static str,
        /// What is wrong, and what is allowed.
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
        /// What is wrong, and what is allowed.
        what: String,
    },
    /// No setting of a method is small enough.
    #[error(
        "a budget of {:.4} % of the base's {total} parameters does not suit {kind}, which takes {least} parameters at \
         least ({:.4} %)",
        100.0 * share,
        100.0 * *least as f64 / *total as f64
    )]
    Budget {
        /// The method.
        kind: &'static str,
        /// The share that was asked for.
        share: f64,
        /// Fewest parameters of the method.
        least: usize,
        /// Parameters of the base.
        total: usize,
    },
    /// A method that trains tensors of the base was to start without them.
    #[error("{method} starts at the base's own values: start it with `Adapter::init_on`")]
    StartsAtBase {
        /// The method.
        method: &'static str,
    },
    /// Flat parameters do not fit the layout.
    #[error("adapter has {found} parameters where its layout has {expected}")]
    ParameterCount {
        /// Number given.
        found: usize,
        /// Number that the layout has.
        expected: usize,
    },
    /// The device failed while computing or handing over a result.
    #[error("{0}")]
    Device(#[source] DeviceFault),
    /// The request was cancelled.
    #[error("stopped")]
    Stopped,
    /// The model's score of a text is no number.
    #[error("the model scores a text {value}; its adapter has diverged or does not suit this base")]
    ScoreNotFinite {
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// Pseudo-log-likelihood was asked of a base that was loaded without its masked-language head.
    #[error("the base was loaded without its masked-language head")]
    NoMaskedHead,
    /// One text of the lists being scored is at fault.
    #[error("list {}, hypothesis {}: {error}", list + 1, hypothesis + 1)]
    Text {
        /// Index of the list, from 0.
        list: usize,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// What is wrong with it.
        #[source]
        error: Box<ModelError>,
    },
}

/// Names of target modules beside BERT's, for messages.
fn other_names() -> String {
    let others = ARCHITECTURES.iter().filter(|known| ***known != BERT);
    others
        .map(|known| {
            let names = known.linears().map(|linear| linear.peft).join(", ");
            format!("; or {}'s names of the six: {names}", known.name)
        })
        .collect()
}
