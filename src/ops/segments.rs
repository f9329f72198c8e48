//! Where each sequence of a packed batch begins and ends.

use std::any::Any;
use std::sync::{Arc, OnceLock};

/// The sequences of a packed batch: sequence `s` owns the rows `offsets[s]..offsets[s + 1]`.
///
/// Cloning is cheap, so that an operation can keep its segments for the backward pass.
#[derive(Clone, Debug)]
pub struct Segments {
    offsets: Arc<[u32]>,
    /// What a device made of the offsets for its own use, once for all layers.
    on_device: Arc<OnceLock<Box<dyn Any + Send + Sync>>>,
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.offsets == other.offsets
    }
}

impl Eq for Segments {}

impl Segments {
    /// Takes `S + 1` ascending offsets, the first of which is 0.
    ///
    /// # Panics
    /// When the offsets are not of that form: the packer, not the user, is at fault then.
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
        Self { offsets, on_device: Arc::default() }
    }

    /// The `S + 1` offsets.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// What a device keeps with the segments, made by `make` when it is first asked for. `None` when
    /// the place is taken by something of another type.
    pub(super) fn on_device<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.on_device.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Number of sequences, S.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no sequence at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of rows of all sequences together, T.
    pub fn rows(&self) -> usize {
        self.offsets[self.len()] as usize
    }

    /// The rows of sequence `s`.
    pub fn range(&self, s: usize) -> std::ops::Range<usize> {
        self.offsets[s] as usize..self.offsets[s + 1] as usize
    }

    /// Row ranges of all sequences in turn.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        (0..self.len()).map(|s| self.range(s))
    }

    /// The sequences `range` alone, their rows counted from the first one's.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let offsets = &self.offsets[range.start..=range.end];
        Self::of(offsets.iter().map(|row| row - offsets[0]).collect())
    }

    /// Length of the longest sequence; 0 when there is none.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// First row of each sequence: where its `[CLS]` stands.
    pub fn first_rows(&self) -> Vec<usize> {
        self.ranges().map(|range| range.start).collect()
    }
}
