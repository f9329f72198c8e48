//! Errors of a benchmark.

use crate::model::ModelError;
use crate::remedy::Remedy;
use crate::train::TrainError;

/// Why a measurement failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BenchError {
    /// The model, its base or the device.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A result is not finite, so its time is meaningless.
    #[error("{what} gave {value} on seeded input: the device returns wrong results")]
    NotFinite {
        /// The measured operation.
        what: &'static str,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// The device does not accept a kernel, a buffer or a launch.
    #[error("the device refused {what}: {error}")]
    Refused {
        /// What it was given.
        what: String,
        /// The first line of its message.
        error: String,
    },
    /// A step of a training run.
    #[error(transparent)]
    Training(#[from] TrainError),
    /// Launches were to be measured on a device without kernels.
    #[error("this device launches no kernels; select a GPU or a software adapter")]
    NoKernels,
    /// A prediction needs the same operations at every size.
    #[error(
        "a step runs other operations for another number of tokens, so its time cannot be predicted"
    )]
    Uneven,
    /// Training was requested after rescoring.
    #[error("rescoring has merged the adapter into the base; measure training before rescoring")]
    Merged,
}

impl BenchError {
    /// Remedies, the most promising first. Those against a failed device are with its [`DeviceFault`].
    ///
    /// [`DeviceFault`]: crate::model::DeviceFault
    #[must_use]
    pub fn remedies(&self) -> &'static [Remedy] {
        match self {
            Self::NotFinite { .. } | Self::Refused { .. } => {
                &[Remedy::UpdateDriver, Remedy::UseCpu, Remedy::CheckKernels]
            }
            Self::Model(_) | Self::Training(_) | Self::NoKernels | Self::Uneven | Self::Merged => {
                &[]
            }
        }
    }
}
