//! Lists that are in memory together.

use super::Utterance;
use super::error::clip;
use crate::bounds::MAX_LISTS_BYTES;

/// The lists need more memory than [`MAX_LISTS_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "utterance {id:?}: the lists up to this one need more than {MAX_LISTS_BYTES} bytes of memory, the limit for lists \
     that are used together"
)]
pub struct TooManyLists {
    /// The first list beyond the limit.
    pub id: String,
}

/// Lists that a command needs together, such as those of a training run, in bounded memory.
#[derive(Debug)]
pub struct HeldLists {
    lists: Vec<Utterance>,
    bytes: u64,
    limit: u64,
}

impl Default for HeldLists {
    fn default() -> Self {
        Self::new()
    }
}

impl HeldLists {
    /// No lists.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(MAX_LISTS_BYTES)
    }

    pub(super) fn with_limit(limit: u64) -> Self {
        Self { lists: Vec::new(), bytes: 0, limit }
    }

    /// Adds a list.
    ///
    /// # Errors
    /// The lists would need more than [`MAX_LISTS_BYTES`].
    pub fn push(&mut self, mut list: Utterance) -> Result<(), TooManyLists> {
        list.hypotheses.shrink_to_fit();
        self.bytes += list.bytes() as u64;
        if self.bytes > self.limit {
            return Err(TooManyLists { id: clip(&list.id) });
        }
        self.lists.push(list);
        Ok(())
    }

    /// The lists, in the order in which they were added.
    #[must_use]
    pub fn into_lists(self) -> Vec<Utterance> {
        self.lists
    }
}
