//! Packed batches of token sequences.

use crate::ops::{Places, Segments};

/// Why a batch cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// An id has no row in the token embedding.
    #[error("token {at} of the batch has the id {id}, but the base has {rows} embeddings")]
    Token {
        /// Index of the token in the batch, from 0.
        at: usize,
        /// Its id.
        id: i32,
        /// Rows of the token embedding.
        rows: usize,
    },
    /// A token is beyond the longest text of the base.
    #[error(
        "token {at} of the batch has the position {position}, but the base has {rows} positions"
    )]
    Position {
        /// Index of the token in the batch, from 0.
        at: usize,
        /// Its position.
        position: i32,
        /// Positions of the base.
        rows: usize,
    },
    /// The lengths of the batch's vectors disagree, or a sequence has no tokens.
    #[error("the batch is inconsistent: {0}")]
    Inconsistent(&'static str),
}

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
        // A sequence without tokens is found when the batch is checked.
        let order = (0..ids.len()).map(|at| (at, ids[at]));
        self.append(order);
    }

    /// Appends a sequence with the token at `lead` moved to the front. Every token keeps its position, and attention
    /// has no other notion of order, so this only changes which hidden state the encoder returns.
    ///
    /// # Panics
    /// If there is no such token.
    pub fn push_led_by(&mut self, ids: &[u32], lead: usize) {
        let order = std::iter::once(lead).chain((0..ids.len()).filter(|&at| at != lead));
        self.append(order.map(|at| (at, ids[at])));
    }

    /// Appends a sequence of positions and ids.
    fn append(&mut self, sequence: impl Iterator<Item = (usize, u32)>) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        for (position, id) in sequence {
            self.tokens.push(id as i32);
            self.positions.push(position as i32);
        }
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

    /// Checks that the batch has at least one sequence, that every sequence has tokens, and that ids and positions have
    /// rows in tables of these sizes.
    ///
    /// # Errors
    /// [`BatchFault`] names the first token at fault.
    pub fn check(&self, vocabulary: usize, positions: usize) -> Result<(), BatchFault> {
        let Self { tokens, positions: places, offsets } = self;
        if tokens.len() != places.len() {
            return Err(BatchFault::Inconsistent("not every token has a position"));
        }
        if offsets.len() < 2 || offsets[0] != 0 || offsets[offsets.len() - 1] != tokens.len() {
            return Err(BatchFault::Inconsistent("its sequences do not cover its tokens"));
        }
        if u32::try_from(tokens.len()).is_err() {
            return Err(BatchFault::Inconsistent("it has 2^32 tokens or more"));
        }
        if !offsets.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(BatchFault::Inconsistent("a sequence has no tokens"));
        }
        let outside = |values: &[i32], rows: usize| {
            let inside = |value: &i32| usize::try_from(*value).is_ok_and(|value| value < rows);
            values.iter().position(|value| !inside(value))
        };
        if let Some(at) = outside(tokens, vocabulary) {
            return Err(BatchFault::Token { at, id: tokens[at], rows: vocabulary });
        }
        match outside(places, positions) {
            Some(at) => Err(BatchFault::Position { at, position: places[at], rows: positions }),
            None => Ok(()),
        }
    }

    /// The positions of a batch that was checked.
    pub(super) fn places(&self) -> Places {
        Places::new(self.positions.iter().map(|position| *position as u32))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequences: &[&[u32]]) -> PackedBatch {
        sequences.iter().copied().collect()
    }

    #[test]
    fn ids_and_positions_outside_their_tables_are_named() {
        let whole = batch(&[&[2, 9, 3], &[2, 3]]);
        assert_eq!(whole.check(10, 3), Ok(()));
        assert_eq!(whole.check(9, 3), Err(BatchFault::Token { at: 1, id: 9, rows: 9 }));
        assert_eq!(whole.check(10, 2), Err(BatchFault::Position { at: 2, position: 2, rows: 2 }));
        let negative = batch(&[&[2, u32::MAX]]);
        assert_eq!(negative.check(10, 3), Err(BatchFault::Token { at: 1, id: -1, rows: 10 }));
        let moved = PackedBatch { positions: vec![0, -1, 2, 0, 1], ..whole };
        assert!(matches!(moved.check(10, 3), Err(BatchFault::Position { at: 1, .. })));
    }

    #[test]
    fn inconsistent_batches_are_rejected() {
        let whole = batch(&[&[2, 9, 3], &[2, 3]]);
        let offsets = |offsets: &[usize]| PackedBatch { offsets: offsets.into(), ..whole.clone() };
        let cases = [
            PackedBatch::new(),
            PackedBatch { positions: vec![0], ..whole.clone() },
            offsets(&[]),
            offsets(&[5]),
            offsets(&[0, 3]),
            offsets(&[0, 3, 6]),
            offsets(&[1, 3, 5]),
            offsets(&[0, 4, 3, 5]),
            offsets(&[0, 0, 5]),
            batch(&[&[]]),
            batch(&[&[2, 3], &[]]),
        ];
        for case in cases {
            assert!(matches!(case.check(10, 3), Err(BatchFault::Inconsistent(_))), "{case:?}");
        }
    }
}
