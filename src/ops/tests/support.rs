//! Seeded inputs, odd shapes, and comparisons.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::{DType, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::tolerance::Tolerance;
use crate::ops::upload::OnDevice;
use crate::ops::{Lists, LoraPlan, Objective, Segments};

pub(in crate::ops) type Float = FloatTensor<Flex>;

/// Lengths of the segments of a packed batch: one token, odd lengths, a long one, many.
pub(in crate::ops) fn segmentations() -> Vec<Segments> {
    let many: Vec<usize> = (0..200).map(|i| 1 + i * 7 % 23).collect();
    [vec![1], vec![2], vec![3, 1, 17], vec![31, 33, 5], vec![127, 1, 129], vec![512], many]
        .iter()
        .map(|lengths| of_lengths(lengths))
        .collect()
}

pub(in crate::ops) fn of_lengths(lengths: &[usize]) -> Segments {
    let offsets = std::iter::once(0).chain(lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    }));
    Segments::new(&offsets.collect::<Vec<_>>())
}

/// Fused, partly fused and single plans for blocks of `width` columns.
pub(in crate::ops) fn plans(width: usize) -> Vec<(usize, LoraPlan)> {
    let plan =
        |adapted: &[usize], rank| LoraPlan { adapted: adapted.to_vec(), width, rank, scale: 0.5 };
    vec![
        (1, plan(&[0], 1)),
        (2, plan(&[1], 3)),
        (3, plan(&[0, 2], 4)),
        (3, plan(&[1], 8)),
        (3, plan(&[0, 1, 2], 2)),
    ]
}

/// Lists of these lengths over `texts` texts, with different errors and first-pass scores.
pub(in crate::ops) fn lists(objective: Objective, lengths: &[usize], texts: usize) -> Lists {
    let hypotheses: usize = lengths.iter().sum();
    let ends = lengths.iter().scan(0, |end, length| {
        *end += *length as u32;
        Some(*end)
    });
    let terms = (0..hypotheses).map(|i| [-((i * 7 % 11) as f32), (i * 5 % 7) as f32 - 3.0]);
    Lists {
        objective,
        beta: 0.7,
        offsets: std::iter::once(0).chain(ends).collect(),
        rows: (0..hypotheses).map(|i| (i * 3 % texts) as u32).collect(),
        terms: terms.collect(),
        sums: lengths.iter().map(|&length| [-9.0 * length as f32, 3.0]).collect(),
        on_device: OnDevice::default(),
    }
}

/// Uniform values in [-1, 1), reproducible.
pub(in crate::ops) struct Source(ChaCha8Rng);

impl Source {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn values(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| f64::from(self.0.next_u32()) / 2f64.powi(31) - 1.0).collect()
    }

    /// Such values that f32 represents exactly.
    pub fn exact(&mut self, n: usize) -> Vec<f64> {
        self.values(n).into_iter().map(|value| f64::from(value as f32)).collect()
    }

    pub fn data<const D: usize>(&mut self, shape: [usize; D], dtype: DType) -> TensorData {
        TensorData::new(self.values(shape.iter().product()), shape).convert_dtype(dtype)
    }

    pub fn f32<const D: usize>(&mut self, shape: [usize; D]) -> Float {
        Float::from_data(self.data(shape, DType::F32))
    }

    pub fn f64<const D: usize>(&mut self, shape: [usize; D]) -> Float {
        Float::from_data(self.data(shape, DType::F64))
    }
}

/// Values rounded to f32.
pub(in crate::ops) fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value as f32)).collect()
}

/// The elements as f64, from any backend.
pub(in crate::ops) fn read<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = pollster::block_on(B::float_into_data(tensor)).expect("the tensor can be read");
    data.iter::<f64>().collect()
}

/// Fails if shapes or elements differ, or if everything is zero.
pub(in crate::ops) fn assert_close<B: Backend, C: Backend>(
    what: &str,
    expected: FloatTensor<B>,
    found: FloatTensor<C>,
    tolerance: &Tolerance,
) {
    assert_eq!(expected.shape(), found.shape(), "{what}: shapes");
    let (expected, found) = (read::<B>(expected), read::<C>(found));
    assert!(expected.iter().any(|value| *value != 0.0), "{what}: all values are zero");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        // Relative to the largest element too: sums that cancel keep the error of their terms.
        let allowed = tolerance.absolute + tolerance.relative * (expected.abs() + largest);
        assert!(
            (expected - found).abs() <= allowed,
            "{what}: element {i} is {found}, expected {expected}"
        );
    }
}
