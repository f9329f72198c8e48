//! The output blocks of a (possibly fused) linear layer that have a low-rank term.

/// The low-rank part of a linear layer whose output is `blocks` blocks of `width` columns.
///
/// The query, key and value projections run as one product of three blocks; each of them may or
/// may not be adapted. The `n` adapted ones are in ascending order in the stacked factors `A: [n * rank, in]` and
/// `B: [n * width, rank]`, which are contiguous in one vector, the factors:
///
/// ```text
/// y[:, block_j] += scale * (x A_j^T) B_j^T        scale = alpha / rank, or alpha / sqrt(rank)
/// ```
/// Source: Hu et al., arXiv 2106.09685; the square root: Kalajdzievski, arXiv 2312.03732.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraPlan {
    /// Index of each adapted block, ascending.
    pub adapted: Vec<usize>,
    /// Columns in a block.
    pub width: usize,
    /// Rank r of each factor pair.
    pub rank: usize,
    /// Scale of the low-rank term.
    pub scale: f32,
}

impl LoraPlan {
    /// Adapted blocks as `(index among the adapted blocks, first output column)`.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.adapted.iter().map(|block| block * self.width).enumerate()
    }

    /// Rows of the stacked A, columns of `x A^T`.
    pub fn stacked_rank(&self) -> usize {
        self.adapted.len() * self.rank
    }

    /// Number of elements in the stacked B.
    pub fn up_len(&self) -> usize {
        self.stacked_rank() * self.width
    }

    /// Number of inputs of the layer whose factors have `len` elements.
    pub fn inputs(&self, len: usize) -> usize {
        (len - self.up_len()) / self.stacked_rank()
    }
}
