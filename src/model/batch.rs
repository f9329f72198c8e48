//! Packed batches of token sequences.

use crate::ops::Segments;

/// The tokens of several sequences, concatenated without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedBatch {
    /// Vocabulary ids of all sequences, `[T]`.
    pub tokens: Vec<i32>,
    /// Position of each token in its text, from 0, `[T]`.
    pub positions: Vec<i32>,
    /// First token of each sequence, and T: `[S + 1]`; empty without sequences.
    pub offsets: Vec<usize>,
}

impl PackedBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a sequence of vocabulary ids that starts with `[CLS]`.
    pub fn push(&mut self, ids: &[u32]) {
        self.push_led_by(ids, 0);
    }

    /// Appends a sequence with the token at `lead` moved to the front. Every token keeps its position, and attention
    /// has no other notion of order, so this only changes which hidden state the encoder returns.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn push_led_by(&mut self, ids: &[u32], lead: usize) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let order = || std::iter::once(lead).chain((0..ids.len()).filter(|&at| at != lead));
        self.tokens.extend(order().map(|at| ids[at] as i32));
        self.positions.extend(order().map(|at| at as i32));
        self.offsets.push(self.tokens.len());
    }

    /// Number of sequences, S.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of tokens, T.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn segments(&self) -> Segments {
        Segments::new(&self.offsets)
    }
}

/// An item that can be added to a batch.
pub(super) trait Sequence {
    /// Number of tokens.
    fn tokens(&self) -> usize;
    /// Appends the item to a batch.
    fn append_to(&self, batch: &mut PackedBatch);
}

impl Sequence for Vec<u32> {
    fn tokens(&self) -> usize {
        self.len()
    }

    fn append_to(&self, batch: &mut PackedBatch) {
        batch.push(self);
    }
}

impl<'a> FromIterator<&'a [u32]> for PackedBatch {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(sequences: I) -> Self {
        let mut batch = Self::new();
        sequences.into_iter().for_each(|ids| batch.push(ids));
        batch
    }
}
