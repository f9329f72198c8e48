//! Frozen weights in host memory, in f32, f16 or int8.

use half::f16;

/// The format of the elements of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// f32.
    F32,
    /// f16.
    F16,
    /// int8, with one f32 scale per output: `round(w / scale)`, `scale = max |w| / 127`.
    Int8,
}

/// A weight `[outputs, inputs]` in host memory, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    inputs: usize,
    elements: Elements,
}

/// The elements of a [`Packed`] weight.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// f32.
    F32(Vec<f32>),
    /// f16.
    F16(Vec<f16>),
    /// `values[i] * scales[i / inputs]`.
    Int8 {
        /// From -127 to 127.
        values: Vec<i8>,
        /// One per row.
        scales: Vec<f32>,
    },
}

impl Packed {
    /// Rounds `values`, in rows of `inputs`, to a format; f32 is unchanged.
    #[must_use]
    pub fn new(values: Vec<f32>, inputs: usize, format: Format) -> Self {
        let elements = match format {
            Format::F32 => Elements::F32(values),
            Format::F16 => Elements::F16(values.into_iter().map(f16::from_f32).collect()),
            Format::Int8 => {
                let mut quantised = Vec::with_capacity(values.len());
                let rows = values.chunks(inputs);
                let scales = rows.map(|row| quantise(row, &mut quantised)).collect();
                Elements::Int8 { values: quantised, scales }
            }
        };
        Self { inputs, elements }
    }

    /// A weight with `inputs` columns from already rounded elements.
    ///
    /// # Panics
    /// If they are not complete rows with one scale each.
    #[must_use]
    pub fn from_elements(elements: Elements, inputs: usize) -> Self {
        let packed = Self { inputs, elements };
        assert!(packed.count().is_multiple_of(inputs), "rows are whole");
        if let Elements::Int8 { scales, .. } = &packed.elements {
            assert_eq!(scales.len(), packed.count() / inputs, "a scale for each row");
        }
        packed
    }

    /// The format of the elements.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.elements {
            Elements::F32(_) => Format::F32,
            Elements::F16(_) => Format::F16,
            Elements::Int8 { .. } => Format::Int8,
        }
    }

    /// The elements, and the scales if there are any.
    #[must_use]
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The same, without a copy.
    #[must_use]
    pub fn into_elements(self) -> Elements {
        self.elements
    }

    /// Number of elements.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.elements {
            Elements::F32(values) => values.len(),
            Elements::F16(values) => values.len(),
            Elements::Int8 { values, .. } => values.len(),
        }
    }

    /// Converts the weight to another format; unchanged if it is the same.
    #[must_use]
    pub fn to(self, format: Format) -> Self {
        if self.format() == format {
            return self;
        }
        let inputs = self.inputs;
        Self::new(self.into_f32(), inputs, format)
    }

    /// The elements as f32, without a copy if they are already f32.
    #[must_use]
    pub fn into_f32(self) -> Vec<f32> {
        match self.elements {
            Elements::F32(values) => values,
            Elements::F16(values) => values.into_iter().map(f16::to_f32).collect(),
            Elements::Int8 { values, scales } => values
                .chunks(self.inputs)
                .zip(scales)
                .flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale))
                .collect(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.count() / self.inputs
    }

    /// Appends the elements of a row, in f32.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn copy_row(&self, row: usize, out: &mut Vec<f32>) {
        let range = row * self.inputs..(row + 1) * self.inputs;
        match &self.elements {
            Elements::F32(values) => out.extend_from_slice(&values[range]),
            Elements::F16(values) => out.extend(values[range].iter().map(|value| value.to_f32())),
            Elements::Int8 { values, scales } => {
                out.extend(values[range].iter().map(|&value| f32::from(value) * scales[row]));
            }
        }
    }

    /// Appends the rows of `other`.
    ///
    /// # Panics
    /// If format or number of columns differ.
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.inputs, other.inputs, "rows of one length");
        match (&mut self.elements, other.elements) {
            (Elements::F32(all), Elements::F32(more)) => all.extend(more),
            (Elements::F16(all), Elements::F16(more)) => all.extend(more),
            (
                Elements::Int8 { values, scales },
                Elements::Int8 { values: more, scales: more_scales },
            ) => {
                values.extend(more);
                scales.extend(more_scales);
            }
            _ => panic!("rows of one format"),
        }
    }

    /// The 32-bit words that a device stores, as floats with these bits: contiguous little-endian elements, padded to a
    /// word for int8, followed by the scales.
    #[must_use]
    pub fn into_words(self) -> Vec<f32> {
        match self.elements {
            Elements::F32(values) => values,
            Elements::F16(values) => values
                .chunks(2)
                .map(|pair| {
                    let bits = |i: usize| pair.get(i).map_or(0, |value| u32::from(value.to_bits()));
                    f32::from_bits(bits(0) | bits(1) << 16)
                })
                .collect(),
            Elements::Int8 { values, scales } => {
                let word = |bytes: &[i8]| {
                    let byte =
                        |i: usize| bytes.get(i).map_or(0, |b| u32::from(*b as u8) << (8 * i));
                    f32::from_bits(byte(0) | byte(1) | byte(2) | byte(3))
                };
                values.chunks(4).map(word).chain(scales).collect()
            }
        }
    }
}

/// Appends a row rounded to 8 bits, and returns its scale.
pub(crate) fn quantise(row: &[f32], out: &mut Vec<i8>) -> f32 {
    let scale = row.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
    // A row of zeros can have any scale.
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    out.extend(row.iter().map(|w| (w * inverse).round() as i8));
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample([outputs, inputs]: [usize; 2]) -> Vec<f32> {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / (1 + i / inputs) as f32;
        (0..outputs * inputs).map(value).collect()
    }

    #[test]
    fn rows_appended_are_rows_packed_together() {
        for format in [Format::F32, Format::F16, Format::Int8] {
            let (first, second) = (sample([3, 5]), sample([2, 5]));
            let together = Packed::new([first.clone(), second.clone()].concat(), 5, format);
            let mut joined = Packed::new(first, 5, format);
            joined.append(Packed::new(second, 5, format));
            assert_eq!(joined, together);
            assert_eq!(joined.count(), 25);
        }
    }

    #[test]
    fn a_row_alone_is_that_of_the_whole() {
        for format in [Format::F32, Format::F16, Format::Int8] {
            let packed = Packed::new(sample([6, 5]), 5, format);
            let mut rows = vec![9.0];
            for row in 0..packed.rows() {
                packed.copy_row(row, &mut rows);
            }
            assert_eq!(rows[1..], packed.into_f32());
        }
    }

    #[test]
    fn another_format_rounds_what_is_there() {
        let values = sample([4, 7]);
        let half = Packed::new(values.clone(), 7, Format::F16);
        assert_eq!(half.clone().to(Format::F16), half);
        let full = half.clone().to(Format::F32);
        assert_eq!(full.clone().into_f32(), half.into_f32());
        assert_eq!(full.to(Format::Int8), Packed::new(values, 7, Format::F16).to(Format::Int8));
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let packed = Packed::new(vec![0.0, 0.0, 0.0, 1.0, -1.0, 0.5], 3, Format::Int8);
        assert_eq!(packed.into_f32()[..3], [0.0; 3]);
    }
}
