//! The row ranges of the sequences in a packed batch.

use std::sync::Arc;

use super::upload::OnDevice;

/// The sequences of a packed batch: sequence `s` has the rows `offsets[s]..offsets[s + 1]`.
///
/// Cloning is cheap, so an operation can save its segments for the backward pass.
#[derive(Clone, Debug)]
pub struct Segments {
    offsets: Arc<[u32]>,
    /// The offsets, and what is derived from them, on a device, for all layers.
    pub(super) on_device: OnDevice,
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.offsets == other.offsets
    }
}

impl Eq for Segments {}

impl Segments {
    /// Creates segments from `S + 1` ascending offsets, the first of which is 0.
    ///
    /// # Panics
    /// If the offsets are invalid, which is a bug in the packer.
    pub fn new(offsets: &[usize]) -> Self {
        assert!(
            offsets.first() == Some(&0) && offsets.windows(2).all(|pair| pair[0] < pair[1]),
            "segment offsets must ascend from 0"
        );
        let offsets = offsets
            .iter()
            .map(|&row| u32::try_from(row).expect("a packed batch has fewer than 2^32 rows"))
            .collect();
        Self::of(offsets)
    }

    fn of(offsets: Arc<[u32]>) -> Self {
        Self { offsets, on_device: OnDevice::default() }
    }

    /// The `S + 1` offsets.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Number of sequences, S.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Total number of rows, T.
    pub fn rows(&self) -> usize {
        self.offsets[self.len()] as usize
    }

    /// The rows of sequence `s`.
    pub fn range(&self, s: usize) -> std::ops::Range<usize> {
        self.offsets[s] as usize..self.offsets[s + 1] as usize
    }

    /// Row ranges of all sequences in order.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        (0..self.len()).map(|s| self.range(s))
    }

    /// Only the sequences `range`, with rows counted from the first one.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let offsets = &self.offsets[range.start..=range.end];
        Self::of(offsets.iter().map(|row| row - offsets[0]).collect())
    }

    /// Length of the longest sequence; 0 if there are none.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// First row of each sequence, which is its `[CLS]`.
    pub fn first_rows(&self) -> Vec<usize> {
        self.ranges().map(|range| range.start).collect()
    }
}
