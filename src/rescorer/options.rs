//! Options of a call.

use std::fmt;
use std::ops::ControlFlow;

use crate::model::SCORING_BATCH_TOKENS;
use crate::score::Weights;
use crate::text::Changes;

/// Receives the number of finished hypotheses after each batch, and returns whether to continue.
type Progress<'a> = &'a dyn Fn(usize) -> ControlFlow<()>;

/// The adapter of a call, and further options.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Name of the adapter that scores; `None` keeps the first-pass order.
    pub adapter: Option<&'a str>,
    /// Weights of the score combination; `None` uses those stored in the adapter.
    pub weights: Option<&'a Weights>,
    /// Conventions that replace those stored in the adapter.
    pub conventions: Changes,
    /// Maximum number of tokens per batch; a longer text is a separate batch.
    pub batch_tokens: usize,
    /// Receives progress, and may stop the call with [`ModelError::Stopped`](crate::model::ModelError::Stopped).
    pub progress: Option<Progress<'a>>,
}

impl<'a> Options<'a> {
    /// Only the first pass.
    #[must_use]
    pub fn first_pass() -> Self {
        let batch_tokens = SCORING_BATCH_TOKENS;
        let conventions = Changes::default();
        Self { adapter: None, weights: None, conventions, batch_tokens, progress: None }
    }

    /// An adapter by name, with its stored weights.
    #[must_use]
    pub fn adapter(name: &'a str) -> Self {
        Self { adapter: Some(name), ..Self::first_pass() }
    }

    /// Overrides the weights stored in the adapter.
    #[must_use]
    pub fn weights(self, weights: &'a Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// Replaces some or all of the conventions stored in the adapter, how texts are compared.
    #[must_use]
    pub fn conventions(self, conventions: impl Into<Changes>) -> Self {
        Self { conventions: conventions.into(), ..self }
    }

    /// Maximum number of tokens per batch, at least 1.
    #[must_use]
    pub fn batch_tokens(self, tokens: usize) -> Self {
        Self { batch_tokens: tokens.max(1), ..self }
    }

    /// Sets the progress callback.
    #[must_use]
    pub fn progress(self, progress: Progress<'a>) -> Self {
        Self { progress: Some(progress), ..self }
    }

    pub(super) fn go_on(&self, done: usize) -> ControlFlow<()> {
        self.progress.map_or(ControlFlow::Continue(()), |progress| progress(done))
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, weights, conventions, batch_tokens, progress } = self;
        f.debug_struct("Options")
            .field("adapter", adapter)
            .field("weights", weights)
            .field("conventions", conventions)
            .field("batch_tokens", batch_tokens)
            .field("progress", &progress.is_some())
            .finish()
    }
}
