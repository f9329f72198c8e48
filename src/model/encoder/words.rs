//! The embeddings of the vocabulary: most of a base's memory, of which a batch reads few rows.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::error::ModelError;
use crate::model::fault::{DeviceFault, FaultKind};
use crate::ops::{Precision, TokenRows, Weights, wgsl};
use crate::packed::{Elements, Format, Packed};

/// Embeddings of the vocabulary, `[V, H]`, in host memory.
///
/// A GPU gets the rows of a batch's distinct ids with the ids, so that it stores no table, and a table may be larger
/// than a buffer of the device.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one per encoder")]
pub(in crate::model) enum Words {
    /// A tensor of the CPU path, which reads its rows in place.
    InPlace(Tensor<2>),
    /// In the precision of the file.
    Stored {
        table: Arc<Packed>,
        /// H.
        width: usize,
    },
}

impl Words {
    /// The table `[V, H]` for a device without autodiff. An f32 table is not copied.
    pub fn new(table: Packed, width: usize, device: &Device) -> Self {
        if *device == Device::flex() && matches!(table.elements(), Elements::F32(_)) {
            let shape = [table.rows(), width];
            let values = TensorData::new(table.into_f32(), shape);
            return Self::InPlace(Tensor::from_data(values, device));
        }
        Self::Stored { table: Arc::new(table), width }
    }

    /// V.
    pub fn count(&self) -> usize {
        match self {
            Self::InPlace(table) => table.dims()[0],
            Self::Stored { table, .. } => table.rows(),
        }
    }

    /// The table, if it is in the memory of the device.
    pub fn in_place(&self) -> Option<&Tensor<2>> {
        match self {
            Self::InPlace(table) => Some(table),
            Self::Stored { .. } => None,
        }
    }

    /// The rows of the distinct `tokens`, unless the table is in the memory of the device, and the tokens as indices of
    /// rows, followed by `places`.
    pub fn of_batch(&self, tokens: &[i32], places: impl Iterator<Item = i32>) -> TokenRows {
        match self {
            Self::InPlace(_) => TokenRows::of_table(tokens.iter().copied().chain(places).collect()),
            Self::Stored { table, width } => {
                let (mut distinct, mut known) = (Vec::new(), HashMap::new());
                let mut row = |id: &i32| {
                    *known.entry(*id).or_insert_with(|| {
                        distinct.push(*id as usize);
                        distinct.len() as i32 - 1
                    })
                };
                let mut ids: Vec<i32> = tokens.iter().map(&mut row).collect();
                let mut rows = Vec::with_capacity(distinct.len() * width);
                distinct.iter().for_each(|id| table.copy_row(*id, &mut rows));
                ids.extend(places);
                TokenRows::new(rows, *width, ids)
            }
        }
    }

    /// The whole table on a device, in f32.
    ///
    /// # Errors
    /// [`ModelError::Device`] if it is larger than the device's largest buffer.
    pub fn whole(&self, device: &Device) -> Result<Weights, ModelError> {
        match self {
            Self::InPlace(table) => Ok(Weights::from(table.clone())),
            Self::Stored { table, width } => {
                let bytes = table.count() * size_of::<f32>();
                if let Some(most) = wgsl::largest_buffer(device).filter(|most| bytes as u64 > *most)
                {
                    let message = format!(
                        "the embeddings of {} tokens need {bytes} bytes, at most {most}",
                        table.rows()
                    );
                    let kind = FaultKind::TableTooLarge;
                    return Err(ModelError::Device(DeviceFault { kind, message }));
                }
                let shape = [table.rows(), *width];
                let full = Packed::clone(table).to(Format::F32);
                Ok(Weights::from_host(full, Precision::F32, shape, device))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_gpu;

    const IDS: [i32; 7] = [4, 0, 4, 6, 1, 6, 6];
    const PLACES: [i32; 7] = [0, 1, 2, 3, 0, 1, 2];

    fn table() -> Packed {
        let values = (0..21).map(|i| (i * 5 % 17) as f32 / 8.0 - 1.0).collect();
        Packed::new(values, 3, Format::F32)
    }

    /// The row of each token, the number of rows that a device gets, and what follows the indices.
    fn of_batch(words: &Words, device: &Device) -> (Vec<Vec<f32>>, usize, Vec<i32>) {
        let like = Tensor::zeros([1, 1], device);
        let (rows, ids) = words.of_batch(&IDS, PLACES.into_iter()).on(&like);
        let rows = rows.or(words.in_place().cloned()).unwrap();
        let [count, width] = rows.dims();
        let rows: Vec<f32> = rows.into_data().try_into_vec().unwrap();
        let ids: Vec<i32> = ids.into_data().try_into_vec().unwrap();
        let (own, places) = ids.split_at(IDS.len());
        let row = |at: &i32| rows[*at as usize * width..][..width].to_vec();
        (own.iter().map(row).collect(), count, places.to_vec())
    }

    #[test]
    fn a_batch_gets_the_rows_of_its_distinct_tokens() {
        let all = table().into_f32();
        let expected: Vec<Vec<f32>> =
            IDS.iter().map(|id| all[3 * *id as usize..][..3].to_vec()).collect();
        let cpu = Device::flex();
        for device in [Some(cpu.clone()), test_gpu::software()].into_iter().flatten() {
            for format in [Format::F32, Format::F16] {
                // Eighths are exact in f16.
                let words = Words::new(table().to(format), 3, &device);
                assert_eq!(words.count(), 7);
                let in_place = device == cpu && format == Format::F32;
                assert_eq!(matches!(words, Words::InPlace(_)), in_place);
                let (rows, count, places) = of_batch(&words, &device);
                assert_eq!(rows, expected);
                assert_eq!(count, if in_place { 7 } else { 4 });
                assert_eq!(places, PLACES);
                let whole = words.whole(&device).unwrap();
                let values: Vec<f32> = whole.words.into_data().try_into_vec().unwrap();
                assert_eq!(values, all);
            }
        }
    }

    #[test]
    fn a_table_larger_than_a_buffer_is_an_error_that_names_its_size() {
        let Some(device) = test_gpu::least() else { return };
        let rows = (128 << 20) / 4 + 1;
        let words = Words::new(Packed::new(vec![0.0; rows], 1, Format::F16), 1, &device);
        let ModelError::Device(fault) = words.whole(&device).unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(fault.kind, FaultKind::TableTooLarge);
        assert_eq!(
            fault.to_string(),
            "a buffer of the device is too small (the embeddings of 33554433 tokens need 134217732 bytes, at most \
             134217728)"
        );
    }
}
