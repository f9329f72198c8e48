//! Frozen weights on a device, in f32, f16 or int8.

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use crate::packed::Packed;
pub use crate::packed::Precision;

/// The storage format of a weight `[outputs, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Rows.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
    /// Precision of the elements: 4, 2 or 1 bytes, little-endian, row-major and packed into 32-bit words; for int8, the
    /// row scales follow, one word each.
    pub precision: Precision,
}

impl Storage {
    /// Word at which the scales start.
    pub fn scales(&self) -> usize {
        (self.outputs * self.inputs).div_ceil(4)
    }

    /// The row-major elements of `words`.
    pub fn unpack(&self, words: &[u32]) -> Vec<f32> {
        let count = self.outputs * self.inputs;
        match self.precision {
            Precision::F32 => words.iter().map(|word| f32::from_bits(*word)).collect(),
            Precision::F16 => (0..count)
                .map(|i| f16::from_bits((words[i / 2] >> (16 * (i % 2))) as u16).to_f32())
                .collect(),
            Precision::Int8 => (0..count)
                .map(|i| {
                    let quantised = (words[i / 4] >> (8 * (i % 4))) as u8 as i8;
                    f32::from(quantised) * f32::from_bits(words[self.scales() + i / self.inputs])
                })
                .collect(),
        }
    }
}

/// A frozen weight on a device.
#[derive(Clone, Debug)]
pub struct Weights {
    /// 32-bit words in the format of `storage`.
    pub(crate) words: Tensor<1>,
    pub(crate) storage: Storage,
}

impl Weights {
    /// Copies a row-major weight `[outputs, inputs]` to a device. If LoRB's kernels do not run there, the elements are
    /// rounded to the precision and stored as f32.
    ///
    /// # Panics
    /// If `values` has another length, which is a bug in the loader.
    #[must_use]
    pub fn new(
        values: &[f32],
        [outputs, inputs]: [usize; 2],
        precision: Precision,
        device: &Device,
    ) -> Self {
        Self::from_host(Packed::new(values.to_vec(), inputs, precision), [outputs, inputs], device)
    }

    /// [`new`](Self::new) from a packed weight. An f32 weight is not copied for the CPU path.
    ///
    /// # Panics
    /// If the number of elements differs.
    #[must_use]
    pub fn from_host(packed: Packed, [outputs, inputs]: [usize; 2], device: &Device) -> Self {
        assert_eq!(packed.count(), outputs * inputs, "a weight of another shape");
        let ours = super::wgsl::runs_on(device);
        let packed = if ours { packed } else { packed.to(Precision::F32) };
        let storage = Storage { outputs, inputs, precision: packed.precision() };
        // As floats with these bits: burn does not change them, and only LoRB's operations read them.
        let words = packed.into_words();
        let shape = [words.len()];
        Self { words: Tensor::from_data(TensorData::new(words, shape), device), storage }
    }
}

impl From<Tensor<2>> for Weights {
    /// A weight `[outputs, inputs]` in f32.
    fn from(weight: Tensor<2>) -> Self {
        let [outputs, inputs] = weight.dims();
        let storage = Storage { outputs, inputs, precision: Precision::F32 };
        Self { words: weight.flatten(0, 1), storage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_within_their_precision() {
        for shape in [[1, 1], [2, 3], [3, 5], [17, 33]] {
            let [outputs, inputs] = shape;
            let count = outputs * inputs;
            let values: Vec<f32> = (0..count)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / (1 + i / inputs) as f32)
                .collect();
            for (precision, error) in
                [(Precision::F32, 0.0), (Precision::F16, 5e-4), (Precision::Int8, 0.5 / 127.0)]
            {
                let storage = Storage { outputs, inputs, precision };
                let packed = Packed::new(values.clone(), inputs, precision);
                let full = packed.clone().into_f32();
                let words: Vec<u32> = packed.into_words().iter().map(|w| w.to_bits()).collect();
                let back = storage.unpack(&words);
                assert_eq!(back, full, "device and host read the same values");
                for (row, found) in values.chunks(inputs).zip(back.chunks(inputs)) {
                    let most = row.iter().fold(0.0f32, |most, w| most.max(w.abs()));
                    for (value, found) in row.iter().zip(found) {
                        let off = (value - found).abs();
                        assert!(
                            off <= 1.01 * error * most,
                            "{precision} {shape:?}: {value} {found}"
                        );
                    }
                }
            }
        }
    }
}
