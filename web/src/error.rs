//! Errors of what computes, as [`WebError`].

use lorb::adapter::AdapterError;
use lorb::model::{DeviceFault, FaultKind, ModelError};
use lorb::nbest::NbestError;
use lorb::ops::UnsupportedPrecision;
use lorb::remedy::Remedy;
use lorb::rescorer::RescorerError;
use lorb::train::{CheckpointError, SETTINGS, TrainError};

pub use crate::thrown::WebError;
use crate::thrown::phrase;

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

#[cfg(test)]
mod tests {
    use lorb::base::{BaseError, TensorFault};

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
