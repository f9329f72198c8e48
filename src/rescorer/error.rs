//! Errors of calls.

use crate::adapter::AdapterError;
use crate::model::ModelError;
use crate::train::TrainError;

/// Why a call of a [`Rescorer`](super::Rescorer) failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RescorerError {
    /// The base, the device or the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// One hypothesis of one utterance.
    #[error("utterance {id:?}, hypothesis {}: {error}", hypothesis + 1)]
    Utterance {
        /// Id of the utterance.
        id: String,
        /// Index of the hypothesis in the list, from 0.
        hypothesis: usize,
        /// The problem.
        #[source]
        error: ModelError,
    },
    /// An adapter's files.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A training run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There is no adapter with this name.
    #[error("no adapter {name:?} is loaded; loaded: {}", listed(loaded))]
    UnknownAdapter {
        /// The requested name.
        name: String,
        /// Names of the loaded ones.
        loaded: Vec<String>,
    },
    /// A call that needs an adapter names none.
    #[error("no adapter is selected, but this call needs one")]
    NoAdapter,
    /// There are no weights to combine scores with.
    #[error("adapter {adapter:?} has no tuned weights")]
    NoWeights {
        /// Name of the adapter.
        adapter: String,
    },
    /// A weight that is NaN or infinite.
    #[error("the weight {name} is {value}; expected a finite number")]
    WeightNotFinite {
        /// Its name: `beta`, `gamma`, `parts.am`.
        name: String,
        /// The value.
        value: f64,
    },
    /// Weights cannot be tuned on lists without reference words.
    #[error("no list has reference words to tune on")]
    NoReference,
    /// An adapter is merged into the base, so the base cannot be used with another one.
    #[error(
        "an adapter is merged into this base, so it cannot be used with another one; load the base again"
    )]
    Merged,
}

impl RescorerError {
    /// The underlying model error, if any; it distinguishes device failures from invalid input.
    #[must_use]
    pub fn model(&self) -> Option<&ModelError> {
        match self {
            Self::Model(error) | Self::Utterance { error, .. } => Some(error),
            Self::Train(TrainError::Model(error)) => Some(error),
            _ => None,
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
