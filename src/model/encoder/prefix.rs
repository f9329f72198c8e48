//! Keys and values of tokens that do not exist, put before those of every sequence.

use burn::tensor::{Device, Int, Tensor};

use crate::ops::Segments;

/// Where the rows of a prefix go in a packed batch.
///
/// Every sequence gets P rows before its own. Their queries are zeros and what they give is dropped,
/// so that the attention of a batch with a prefix is the same operation on longer sequences.
#[derive(Clone, Debug)]
pub(super) struct Prefixed {
    /// The sequences with their prefixes.
    pub segments: Segments,
    /// For every row, where it lies in the prefix's rows with the batch's behind them.
    sources: Tensor<1, Int>,
    /// The batch's own rows among all.
    own: Tensor<1, Int>,
}

impl Prefixed {
    /// A prefix of `length` tokens before each of the sequences.
    pub fn new(segments: &Segments, length: usize, device: &Device) -> Self {
        let (mut sources, mut own, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        for range in segments.ranges() {
            sources.extend(0..length as i32);
            for row in range {
                own.push(sources.len() as i32);
                sources.push((length + row) as i32);
            }
            offsets.push(sources.len());
        }
        let indices = |rows: Vec<i32>| Tensor::<1, Int>::from_ints(rows.as_slice(), device);
        Self { segments: Segments::new(&offsets), sources: indices(sources), own: indices(own) }
    }

    /// Puts `prefix [P, W]` before every sequence of `x [T, W]`: `[T + S P, W]`.
    pub fn insert(&self, prefix: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        Tensor::cat(vec![prefix, x], 0).select(0, self.sources.clone())
    }

    /// The rows of `x [T + S P, W]` that are not the prefix's, `[T, W]`.
    pub fn own(&self, x: Tensor<2>) -> Tensor<2> {
        x.select(0, self.own.clone())
    }
}
