//! Errors by the names of the package's classes, in words that suit a page.

use std::fmt;

use lorb::adapter::AdapterError;
use lorb::base::{BaseError, TensorFault};
use lorb::model::{DeviceFault, FaultKind, ModelError};
use lorb::nbest::NbestError;
use lorb::train::{CheckpointError, TrainError};

/// An error as JavaScript gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebError {
    /// Name of the class that the package throws.
    pub name: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl WebError {
    /// An error of a class.
    pub fn new(name: &'static str, message: impl fmt::Display) -> Self {
        Self { name, message: message.to_string() }
    }

    /// The caller gave something that cannot be used.
    pub fn input(message: impl fmt::Display) -> Self {
        Self::new("BadInputError", message)
    }

    /// The caller asked to stop.
    #[must_use]
    pub fn aborted() -> Self {
        Self::new("AbortError", "stopped as asked")
    }

    fn lorb(message: impl fmt::Display) -> Self {
        Self::new("LorbError", message)
    }
}

impl From<BaseError> for WebError {
    fn from(error: BaseError) -> Self {
        let name = match error {
            BaseError::ConfigJson(_)
            | BaseError::Metadata(_)
            | BaseError::Tensor(TensorFault::Container(_) | TensorFault::NotFinite { .. }) => {
                "IntegrityError"
            }
            BaseError::Taken { .. } => "LorbError",
            _ => "UnsupportedModelError",
        };
        Self::new(name, error)
    }
}

impl From<ModelError> for WebError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Base(error) => error.into(),
            ModelError::Device(fault) => fault.into(),
            ModelError::Stopped => Self::aborted(),
            ModelError::UnknownTarget { .. } | ModelError::Lora { .. } => Self::input(error),
            _ => Self::lorb(error),
        }
    }
}

impl From<DeviceFault> for WebError {
    fn from(DeviceFault { kind, message }: DeviceFault) -> Self {
        match kind {
            FaultKind::OutOfMemory => Self::lorb(format_args!(
                "the GPU is out of memory ({message}); take smaller batches (batchTokens), recompute layers in \
                 training (recompute), a smaller dtype, or the device 'wasm'"
            )),
            FaultKind::Limit => Self::lorb(format_args!(
                "a limit of the GPU is exceeded ({message}); take smaller batches (batchTokens) or the device 'wasm'"
            )),
            // What fails for no known reason is in no better state than what is gone.
            FaultKind::Lost | FaultKind::Runtime => {
                Self::new("DeviceLostError", format_args!("the GPU was lost ({message})"))
            }
        }
    }
}

impl From<TrainError> for WebError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Model(error) => error.into(),
            TrainError::Device { fault, kept } => {
                let WebError { name, message } = fault.into();
                Self::new(name, format_args!("{message}; the run is kept as of step {kept}"))
            }
            TrainError::NotFinite { .. } => Self::lorb(error),
            TrainError::Checkpoint(CheckpointError::Mismatch { .. }) => Self::input(error),
            TrainError::Checkpoint(_) => Self::new("IntegrityError", error),
            _ => Self::input(error),
        }
    }
}

impl From<AdapterError> for WebError {
    fn from(error: AdapterError) -> Self {
        Self::new("AdapterError", error)
    }
}

impl From<NbestError> for WebError {
    fn from(error: NbestError) -> Self {
        Self::input(error)
    }
}

#[cfg(target_arch = "wasm32")]
impl From<WebError> for wasm_bindgen::JsValue {
    fn from(error: WebError) -> Self {
        let thrown = js_sys::Error::new(&error.message);
        thrown.set_name(error.name);
        thrown.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_its_own_settings_and_never_of_flags() {
        let kinds = [FaultKind::OutOfMemory, FaultKind::Lost, FaultKind::Limit, FaultKind::Runtime];
        for kind in kinds {
            let fault = DeviceFault { kind, message: "said so".into() };
            let error = WebError::from(TrainError::Device { fault, kept: 24 });
            assert!(error.message.contains("said so") && error.message.contains("step 24"));
            assert!(!error.message.contains("--"), "{}", error.message);
            let lost = matches!(kind, FaultKind::Lost | FaultKind::Runtime);
            assert_eq!(error.name == "DeviceLostError", lost, "{kind:?}");
        }
    }

    #[test]
    fn errors_have_the_class_of_their_cause() {
        let damaged = BaseError::Tensor(TensorFault::Container("cut".into()));
        assert_eq!(WebError::from(ModelError::Base(damaged)).name, "IntegrityError");
        let foreign = lorb::base::BertConfig::from_json(br#"{"model_type":"gpt2"}"#).unwrap_err();
        assert_eq!(WebError::from(foreign).name, "UnsupportedModelError");
        assert_eq!(WebError::from(ModelError::Stopped).name, "AbortError");
        let target = lorb::model::Target::parse_list(["q_proj"]).unwrap_err();
        assert_eq!(WebError::from(target).name, "BadInputError");
    }
}
