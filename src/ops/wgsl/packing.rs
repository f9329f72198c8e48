//! Parts of host data, packed into one copy.

use burn::tensor::{Bytes, DType, Shape};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{count_upload, window};
use crate::ops::upload::HostData;

/// Parts in one vector of words, each at an offset where a binding may start.
#[derive(Debug)]
pub struct Packing {
    /// Words of either type by their bits, because floats are most of them.
    words: Vec<f32>,
    parts: Vec<Part>,
    /// Words between possible offsets.
    quantum: usize,
}

#[derive(Debug)]
struct Part {
    offset: usize,
    len: usize,
    dtype: DType,
}

impl Packing {
    /// Adds floats.
    pub fn floats(&mut self, values: &[f32]) {
        self.part(DType::F32, |words| words.extend_from_slice(values));
    }

    /// Adds unsigned integers.
    pub fn integers(&mut self, values: impl IntoIterator<Item = u32>) {
        self.part(DType::U32, |words| words.extend(values.into_iter().map(f32::from_bits)));
    }

    fn part(&mut self, dtype: DType, add: impl FnOnce(&mut Vec<f32>)) {
        let offset = self.words.len().next_multiple_of(self.quantum);
        self.words.resize(offset, 0.0);
        add(&mut self.words);
        let len = self.words.len() - offset;
        assert!(len > 0, "a part of host data is not empty");
        self.parts.push(Part { offset, len, dtype });
    }
}

/// Copies `data` to the device of `like` at once. Returns the parts of each, as windows on the same memory, for operands
/// that kernels only read.
pub(in crate::ops) fn send(data: &[&dyn HostData], like: &CubeTensor) -> Vec<Vec<CubeTensor>> {
    let alignment = like.client.properties().memory.alignment as usize;
    let quantum = alignment.div_ceil(size_of::<f32>());
    let mut packing = Packing { words: Vec::new(), parts: Vec::new(), quantum };
    let ends: Vec<usize> = data
        .iter()
        .map(|data| {
            data.pack(&mut packing);
            packing.parts.len()
        })
        .collect();
    let Packing { words, parts, .. } = packing;
    count_upload();
    let (client, device, shape) =
        (like.client.clone(), like.device.clone(), Shape::new([words.len()]));
    let handle = client.create(Bytes::from_elems(words));
    let all = CubeTensor::new_contiguous(client, device, shape, handle, DType::F32);
    let mut windows = parts
        .into_iter()
        .map(|Part { offset, len, dtype }| CubeTensor { dtype, ..window(&all, offset, len) });
    let mut first = 0;
    let of_each = |end: usize| {
        let count = end - std::mem::replace(&mut first, end);
        windows.by_ref().take(count).collect()
    };
    ends.into_iter().map(of_each).collect()
}
