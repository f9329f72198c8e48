//! Keys and values of virtual tokens, put before those of every text.

use burn::tensor::{Device, Int, Tensor};

use crate::ops::Segments;

/// A packed batch with P rows before the rows of every text.
///
/// The queries of those rows are zeros and what they give is dropped, so the attention is the same operation
/// on longer sequences.
#[derive(Clone, Debug)]
pub struct WithVirtualTokens {
    /// The texts with their virtual tokens.
    pub segments: Segments,
    /// For every row, its index among the P virtual rows and the batch's rows after them.
    sources: Tensor<1, Int>,
    /// The batch's own rows among all.
    own: Tensor<1, Int>,
}

impl WithVirtualTokens {
    /// `length` virtual tokens before each of the texts.
    pub(super) fn new(segments: &Segments, length: usize, device: &Device) -> Self {
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

    /// Puts `rows [P, W]` before every text of `x [T, W]`: `[T + S P, W]`.
    #[must_use]
    pub fn insert(&self, rows: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        Tensor::cat(vec![rows, x], 0).select(0, self.sources.clone())
    }

    /// The rows of `x [T + S P, W]` that are not virtual, `[T, W]`.
    #[must_use]
    pub fn own(&self, x: Tensor<2>) -> Tensor<2> {
        x.select(0, self.own.clone())
    }
}
