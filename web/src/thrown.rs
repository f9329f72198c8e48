//! Errors as both wasm modules throw them: with the names of the package's classes, and remedies as options of the package.

use std::fmt;

use lorb::base::{BaseError, TensorFault};
use lorb::foreign::Foreign;
use lorb::remedy::Remedy;

/// The name of the error for a tokenizer that the other module reads. The worker loads that module then; no page sees it.
pub(crate) const OTHER_TOKENIZER: &str = "OtherTokenizerError";

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

    pub(crate) fn lorb(message: impl fmt::Display) -> Self {
        Self::new("LorbError", message)
    }

    /// An error, with what to do about a file of another kind.
    pub(crate) fn advised(name: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let foreign = causes.filter_map(|cause| cause.downcast_ref::<Foreign>()).next();
        match foreign.and_then(|what| Remedy::join(what.remedies(), phrase)) {
            Some(advice) => Self::new(name, format_args!("{error}; {advice}")),
            None => Self::new(name, error),
        }
    }

    /// Adds the location of the error before its message.
    pub(crate) fn located_in(self, place: impl fmt::Display) -> Self {
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
        BaseError::OtherTokenizer => OTHER_TOKENIZER,
        _ => "UnsupportedModelError",
    }
}

impl From<BaseError> for WebError {
    fn from(error: BaseError) -> Self {
        Self::advised(class(&error), &error)
    }
}

/// A remedy as options of the package.
pub(crate) fn phrase(remedy: Remedy) -> Option<&'static str> {
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

#[cfg(target_arch = "wasm32")]
impl From<WebError> for wasm_bindgen::JsValue {
    fn from(error: WebError) -> Self {
        let thrown = js_sys::Error::new(&error.message);
        thrown.set_name(error.name);
        thrown.into()
    }
}
