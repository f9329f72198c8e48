//! Errors with the names of the package's classes, and remedies as options of the package.

use std::fmt;

use lorb::adapter::AdapterError;
use lorb::base::{BaseError, TensorFault};
use lorb::foreign::Foreign;
use lorb::model::{DeviceFault, FaultKind, ModelError};
use lorb::nbest::NbestError;
use lorb::ops::UnsupportedPrecision;
use lorb::remedy::Remedy;
use lorb::rescorer::RescorerError;
use lorb::train::{CheckpointError, SETTINGS, TrainError};

/// An error for JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebError {
    /// Name of the package's error class.
    pub name: &'static str,
    /// The problem and a remedy.
    pub message: String,
}

impl WebError {
    /// An error of the given class.
    pub fn new(name: &'static str, message: impl fmt::Display) -> Self {
        Self { name, message: message.to_string() }
    }

    /// Invalid input from the caller.
    pub fn input(message: impl fmt::Display) -> Self {
        Self::new("BadInputError", message)
    }

    /// The caller aborted.
    #[must_use]
    pub fn aborted() -> Self {
        Self::new("AbortError", "aborted by the caller")
    }

    fn lorb(message: impl fmt::Display) -> Self {
        Self::new("LorbError", message)
    }

    /// An error, with what to do about a file of another kind.
    fn advised(name: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let foreign = causes.filter_map(|cause| cause.downcast_ref::<Foreign>()).next();
        match foreign.and_then(|what| Remedy::join(what.remedies(), phrase)) {
            Some(advice) => Self::new(name, format_args!("{error}; {advice}")),
            None => Self::new(name, error),
        }
    }

    /// Adds the location of the error before its message.
    fn located_in(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }
}

/// The class of an error in a base.
fn class(error: &BaseError) -> &'static str {
    match error {
        BaseError::ConfigJson(_)
        | BaseError::TokenizerJson { .. }
        | BaseError::Index { .. }
        | BaseError::Metadata(_)
        | BaseError::Foreign { .. }
        | BaseError::Tensor(
            TensorFault::Container(_) | TensorFault::NotFinite { .. } | TensorFault::Foreign(_),
        ) => "IntegrityError",
        BaseError::Taken { .. } => "LorbError",
        BaseError::Within { error, .. } => class(error.error()),
        _ => "UnsupportedModelError",
    }
}

impl From<BaseError> for WebError {
    fn from(error: BaseError) -> Self {
        Self::advised(class(&error), &error)
    }
}

impl From<ModelError> for WebError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Base(error) => error.into(),
            ModelError::Device(fault) => fault.into(),
            ModelError::Precision(unsupported) => unsupported.into(),
            ModelError::Stopped => Self::aborted(),
            ModelError::Text { list, hypothesis, error } => Self::from(*error)
                .located_in(format_args!("list {}, hypothesis {}", list + 1, hypothesis + 1)),
            ModelError::UnknownTarget { .. } | ModelError::Lora { .. } => Self::input(error),
            _ => Self::lorb(error),
        }
    }
}

impl From<UnsupportedPrecision> for WebError {
    fn from(error: UnsupportedPrecision) -> Self {
        let advice = Remedy::join(error.remedies(), phrase).unwrap_or_default();
        Self::new("DeviceRefusedError", format_args!("{error}; {advice}"))
    }
}

impl From<DeviceFault> for WebError {
    fn from(fault: DeviceFault) -> Self {
        let name = match fault.kind {
            FaultKind::OutOfMemory
            | FaultKind::Limit
            | FaultKind::TooManyParameters
            | FaultKind::TableTooLarge => "LorbError",
            // An unknown failure is treated as a lost device.
            FaultKind::Lost | FaultKind::Runtime => "DeviceLostError",
        };
        match Remedy::join(fault.remedies(), phrase) {
            Some(advice) => Self::new(name, format_args!("{fault}; {advice}")),
            None => Self::new(name, fault),
        }
    }
}

/// A remedy as options of the package.
fn phrase(remedy: Remedy) -> Option<&'static str> {
    match remedy {
        Remedy::SmallerBatches => Some("lower batchTokens"),
        Remedy::GradientCheckpointing => Some("train with recompute"),
        Remedy::FewerParameters => Some("use another method"),
        Remedy::LowerPrecision => Some("use a smaller dtype"),
        Remedy::ComputeInF32 => Some("use the dtype 'fp16', which computes in f32"),
        Remedy::UseCpu => Some("use the device 'wasm'"),
        Remedy::Retry => Some("open the model again"),
        Remedy::UpdateDriver => Some("update browser and driver"),
        Remedy::FetchFromLfs => Some("serve the file itself"),
        Remedy::DownloadAgain => Some("check its URL"),
        Remedy::ConvertToSafetensors => Some("convert it to safetensors"),
        Remedy::SaveAsUtf8 => Some("save it in UTF-8"),
        Remedy::Unpack => Some("unpack it first"),
        // Only for the command line.
        Remedy::NoMatrixUnits | Remedy::ListAdapters | Remedy::CheckKernels => None,
    }
}

impl From<TrainError> for WebError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Model(error) => error.into(),
            TrainError::Device { fault, kept } => {
                let WebError { name, message } = fault.into();
                Self::new(name, format_args!("{message}; the state of step {kept} is saved"))
            }
            TrainError::NotFinite { .. } => Self::lorb(error),
            TrainError::Setting { setting, value, expected } => {
                let known = SETTINGS.iter().find(|known| known.name == setting);
                let option = known.map_or(setting, |known| known.option);
                Self::input(format_args!(
                    "training option {option} is {value}; expected {expected}"
                ))
            }
            TrainError::Checkpoint(CheckpointError::Mismatch { .. }) => Self::input(error),
            TrainError::Checkpoint(_) => Self::new("IntegrityError", error),
            _ => Self::input(error),
        }
    }
}

impl From<RescorerError> for WebError {
    fn from(error: RescorerError) -> Self {
        match error {
            RescorerError::Model(error) => error.into(),
            RescorerError::Utterance { id, hypothesis, error } => Self::from(error)
                .located_in(format_args!("utterance {id:?}, hypothesis {}", hypothesis + 1)),
            RescorerError::Adapter(error) => error.into(),
            RescorerError::Train(error) => error.into(),
            RescorerError::NoWeights { .. } => Self::input(format_args!(
                "{error}; tune them on lists with references, or pass weights"
            )),
            RescorerError::Merged => Self::lorb(error),
            _ => Self::input(error),
        }
    }
}

impl From<AdapterError> for WebError {
    fn from(error: AdapterError) -> Self {
        Self::advised("AdapterError", &error)
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
    fn a_device_failure_has_options_and_never_flags() {
        let kinds = [FaultKind::OutOfMemory, FaultKind::Lost, FaultKind::Limit, FaultKind::Runtime];
        for kind in kinds {
            let fault = DeviceFault { kind, message: "said so".into() };
            let error = WebError::from(TrainError::Device { fault, kept: 24 });
            assert!(error.message.contains("said so") && error.message.contains("step 24"));
            assert!(!error.message.contains("--"), "{}", error.message);
            assert!(error.message.contains("use the device 'wasm'"), "{}", error.message);
            let lost = matches!(kind, FaultKind::Lost | FaultKind::Runtime);
            assert_eq!(error.name == "DeviceLostError", lost, "{kind:?}");
        }
    }

    #[test]
    fn an_utterance_is_named_by_its_own_id() {
        let inner = ModelError::ScoreNotFinite { value: f32::NAN };
        let error = RescorerError::Utterance { id: "call-7".into(), hypothesis: 0, error: inner };
        let WebError { name, message } = error.into();
        assert_eq!(name, "LorbError");
        assert!(message.starts_with(r#"utterance "call-7", hypothesis 1: "#), "{message}");
    }

    #[test]
    fn a_dtype_that_the_device_does_not_compute_in_is_refused_with_another() {
        let unsupported = UnsupportedPrecision { precision: lorb::ops::Precision::Mixed };
        let WebError { name, message } = ModelError::Precision(unsupported).into();
        assert_eq!(name, "DeviceRefusedError");
        assert!(message.ends_with("; use the dtype 'fp16', which computes in f32"), "{message}");
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
