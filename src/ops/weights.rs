//! Frozen weights, in full or in fewer bits.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

/// How many bits a frozen weight is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32: as the CPU path computes.
    #[default]
    F32,
    /// 16, half precision.
    F16,
    /// 8, with one f32 scale for each output: `round(w / scale)`, `scale = max |w| / 127`.
    Int8,
}

impl Precision {
    const NAMES: [(&'static str, Self); 3] =
        [("f32", Self::F32), ("f16", Self::F16), ("int8", Self::Int8)];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, precision)| precision == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, precision)| *precision)
            .ok_or_else(|| format!("{name:?} is no precision; use f32, f16 or int8"))
    }
}

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

    /// The words of `values`, row-major.
    fn pack(&self, values: &[f32]) -> Vec<u32> {
        match self.precision {
            Precision::F32 => values.iter().map(|value| value.to_bits()).collect(),
            Precision::F16 => values
                .chunks(2)
                .map(|pair| {
                    let bits = |i: usize| pair.get(i).map_or(0, |v| f16::from_f32(*v).to_bits());
                    u32::from(bits(0)) | u32::from(bits(1)) << 16
                })
                .collect(),
            Precision::Int8 => {
                let rows = || values.chunks(self.inputs);
                let scales: Vec<f32> = rows()
                    .map(|row| row.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0)
                    .collect();
                // A row of zeros has no scale; anything times 0 is right.
                let bytes: Vec<u8> = rows()
                    .zip(&scales)
                    .flat_map(|(row, &scale)| {
                        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                        row.iter().map(move |w| (w * inverse).round() as i8 as u8)
                    })
                    .collect();
                let word = |bytes: &[u8]| {
                    let byte = |i: usize| u32::from(*bytes.get(i).unwrap_or(&0)) << (8 * i);
                    byte(0) | byte(1) | byte(2) | byte(3)
                };
                let words = bytes.chunks(4).map(word);
                words.chain(scales.iter().map(|scale| scale.to_bits())).collect()
            }
        }
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
        assert_eq!(values.len(), outputs * inputs, "a weight of another shape");
        let mut storage = Storage { outputs, inputs, precision };
        let mut words = storage.pack(values);
        if precision != Precision::F32 && !super::wgsl::runs_on(device) {
            let rounded = storage.unpack(&words);
            storage.precision = Precision::F32;
            words = storage.pack(&rounded);
        }
        // As floats of these bits: burn keeps them as they are, and only our operations read them.
        let floats: Vec<f32> = words.iter().map(|word| f32::from_bits(*word)).collect();
        let words = Tensor::from_data(TensorData::new(floats, [words.len()]), device);
        Self { words, storage }
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
                let back = storage.unpack(&storage.pack(&values));
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

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let storage = Storage { outputs: 2, inputs: 3, precision: Precision::Int8 };
        let values = [0.0, 0.0, 0.0, 1.0, -1.0, 0.5];
        assert_eq!(storage.unpack(&storage.pack(&values))[..3], [0.0; 3]);
    }
}
