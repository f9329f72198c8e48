//! Frozen weights on a device, in full or in fewer bits.

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use crate::packed::Packed;
pub use crate::packed::Precision;

/// How the words of a weight `[outputs, inputs]` are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Rows.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
    /// Bits of an element: 4, 2 or 1 bytes, little-endian, row-major and packed into words of 32
    /// bits; for int8 the scales of the rows follow, a word each.
    pub precision: Precision,
}

impl Storage {
    /// Word at which the scales begin.
    pub fn scales(&self) -> usize {
        (self.outputs * self.inputs).div_ceil(4)
    }

    /// The elements, row-major, that `words` stand for.
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
    /// Words of 32 bits, of which `storage` says what they hold.
    pub(crate) words: Tensor<1>,
    pub(crate) storage: Storage,
}

impl Weights {
    /// Puts a row-major weight `[outputs, inputs]` on a device. Where our kernels do not run, the
    /// elements are rounded to the precision and kept in full.
    ///
    /// # Panics
    /// When `values` are not so many: the loader, which has checked shapes, is at fault then.
    #[must_use]
    pub fn new(
        values: &[f32],
        [outputs, inputs]: [usize; 2],
        precision: Precision,
        device: &Device,
    ) -> Self {
        Self::from_host(Packed::new(values.to_vec(), inputs, precision), [outputs, inputs], device)
    }

    /// [`new`](Self::new) from a weight that is packed already. One in full is not copied on the way to the CPU
    /// path.
    ///
    /// # Panics
    /// When there are not so many elements.
    #[must_use]
    pub fn from_host(packed: Packed, [outputs, inputs]: [usize; 2], device: &Device) -> Self {
        assert_eq!(packed.count(), outputs * inputs, "a weight of another shape");
        let ours = super::wgsl::runs_on(device);
        let packed = if ours { packed } else { packed.to(Precision::F32) };
        let storage = Storage { outputs, inputs, precision: packed.precision() };
        // As floats of these bits: burn keeps them as they are, and only our operations read them.
        let words = packed.into_words();
        let shape = [words.len()];
        Self { words: Tensor::from_data(TensorData::new(words, shape), device), storage }
    }
}

impl From<Tensor<2>> for Weights {
    /// A weight `[outputs, inputs]` in full precision.
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
                assert_eq!(back, full, "the device's reading and the host's");
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
