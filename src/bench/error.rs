//! How a measurement fails.

use crate::model::ModelError;

/// Why something could not be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BenchError {
    /// The model, its base or the device.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A result is no number, so the time it took says nothing.
    #[error(
        "{what} gave {value} on seeded input: this device computes wrongly; `--device cpu` does not depend on it"
    )]
    NotFinite {
        /// What was measured.
        what: &'static str,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// Training was asked for after rescoring.
    #[error("rescoring has merged the adapter into the base; measure training before it")]
    Merged,
}
