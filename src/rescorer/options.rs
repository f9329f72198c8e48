//! What a call may be told.

use std::fmt;
use std::ops::ControlFlow;

use crate::model::SCORING_BATCH_TOKENS;
use crate::score::Weights;

/// Told the number of hypotheses done after each batch; decides whether to go on.
type Progress<'a> = &'a dyn Fn(usize) -> ControlFlow<()>;

/// Which adapter a call uses, and how.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Name of the adapter that scores; `None` trainable lists in first-pass order.
    pub adapter: Option<&'a str>,
    /// Weights of the combination; `None` takes those stored with the adapter.
    pub weights: Option<Weights>,
    /// Most tokens in a batch; a longer text is a batch by itself.
    pub batch_tokens: usize,
    /// Watches the call, and may stop it with [`ModelError::Stopped`](crate::model::ModelError::Stopped).
    pub progress: Option<Progress<'a>>,
}

impl<'a> Options<'a> {
    /// The first pass alone.
    #[must_use]
    pub fn first_pass() -> Self {
        let batch_tokens = SCORING_BATCH_TOKENS;
        Self { adapter: None, weights: None, batch_tokens, progress: None }
    }

    /// An adapter by its name, with the weights stored with it.
    #[must_use]
    pub fn adapter(name: &'a str) -> Self {
        Self { adapter: Some(name), ..Self::first_pass() }
    }

    /// Other weights than those stored with the adapter.
    #[must_use]
    pub fn weights(self, weights: Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// Most tokens in a batch, at least 1.
    #[must_use]
    pub fn batch_tokens(self, tokens: usize) -> Self {
        Self { batch_tokens: tokens.max(1), ..self }
    }

    /// Watches the call.
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
        let Self { adapter, weights, batch_tokens, progress } = self;
        f.debug_struct("Options")
            .field("adapter", adapter)
            .field("weights", weights)
            .field("batch_tokens", batch_tokens)
            .field("progress", &progress.is_some())
            .finish()
    }
}
