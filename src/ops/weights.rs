//! Frozen weights on a device, in f32, f16 or int8.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use super::wgsl::tuned_for;
use crate::packed::{Format, Packed};
use crate::remedy::Remedy;

/// How a frozen linear layer is stored, and what its products compute with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Stored and computed in f32.
    #[default]
    F32,
    /// Stored in f16, computed in f32.
    F16,
    /// Stored in int8 with one f32 scale per output, computed in f32.
    Int8,
    /// Stored in f16. Forward products round their other factor to f16 too, and sum in f32; everything else computes in
    /// f32. Only on GPUs that have f16 in shaders.
    Mixed,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Mixed];

    /// How the elements are stored.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::F16 | Self::Mixed => Format::F16,
            Self::Int8 => Format::Int8,
        }
    }

    /// The same storage, computed in f32.
    #[must_use]
    pub fn in_f32(self) -> Self {
        match self {
            Self::Mixed => Self::F16,
            stored => stored,
        }
    }

    /// Checks that a device computes in it. The CPU path does not compute in f16.
    ///
    /// # Errors
    /// [`UnsupportedPrecision`] if it does not, or if its extensions are not [registered](super::wgsl::register).
    pub fn check(self, device: &Device) -> Result<(), UnsupportedPrecision> {
        match self {
            Self::F32 | Self::F16 | Self::Int8 => Ok(()),
            Self::Mixed if tuned_for(device).extensions.half => Ok(()),
            Self::Mixed => Err(UnsupportedPrecision { precision: self }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Mixed => "mixed",
        }
    }
}

/// A device cannot compute in a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the precision {precision} needs a GPU with f16 in shaders (`shader-f16`), which this device does not have"
)]
pub struct UnsupportedPrecision {
    /// The precision.
    pub precision: Precision,
}

impl UnsupportedPrecision {
    /// Remedies.
    #[must_use]
    pub fn remedies(&self) -> &'static [Remedy] {
        &[Remedy::ComputeInF32]
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| format!("unknown precision {name:?}; use f32, f16, int8 or mixed"))
    }
}

/// The storage format of a weight `[outputs, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Rows.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
    /// Its format is that of the elements: 4, 2 or 1 bytes, little-endian, row-major and packed into 32-bit words; for
    /// int8, the row scales follow, one word each.
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
        match self.precision.format() {
            Format::F32 => words.iter().map(|word| f32::from_bits(*word)).collect(),
            Format::F16 => (0..count)
                .map(|i| f16::from_bits((words[i / 2] >> (16 * (i % 2))) as u16).to_f32())
                .collect(),
            Format::Int8 => (0..count)
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
        let packed = Packed::new(values.to_vec(), inputs, precision.format());
        Self::from_host(packed, precision, [outputs, inputs], device)
    }

    /// [`new`](Self::new) from a packed weight in the format of the precision. An f32 weight is not copied for the CPU
    /// path.
    ///
    /// # Panics
    /// If the number of elements or the format differs.
    #[must_use]
    pub fn from_host(
        packed: Packed,
        precision: Precision,
        [outputs, inputs]: [usize; 2],
        device: &Device,
    ) -> Self {
        assert_eq!(packed.count(), outputs * inputs, "a weight of another shape");
        assert_eq!(packed.format(), precision.format(), "a weight of another format");
        let ours = super::wgsl::runs_on(device);
        let precision = if ours { precision } else { Precision::F32 };
        let packed = packed.to(precision.format());
        let storage = Storage { outputs, inputs, precision };
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
    fn a_precision_has_one_name() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "f8".parse::<Precision>().unwrap_err();
        assert_eq!(error, "unknown precision \"f8\"; use f32, f16, int8 or mixed");
    }

    #[test]
    fn elements_come_back_within_their_precision() {
        for shape in [[1, 1], [2, 3], [3, 5], [17, 33]] {
            let [outputs, inputs] = shape;
            let count = outputs * inputs;
            let values: Vec<f32> = (0..count)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / (1 + i / inputs) as f32)
                .collect();
            for precision in Precision::ALL {
                let error = match precision.format() {
                    Format::F32 => 0.0,
                    Format::F16 => 5e-4,
                    Format::Int8 => 0.5 / 127.0,
                };
                let storage = Storage { outputs, inputs, precision };
                let packed = Packed::new(values.clone(), inputs, precision.format());
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
