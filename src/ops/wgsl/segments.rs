//! The sequences of a batch on a device.

use burn_cubecl::tensor::CubeTensor;

use super::kernel::attention;
use super::launch::count;
use super::packing::Packing;
use crate::ops::Segments;
use crate::ops::upload::{HostData, OnDevice, parts};

/// Segments in the format of the shaders.
#[derive(Clone)]
pub(in crate::ops) struct SegmentBuffers {
    /// First row of each segment, and the end of the last.
    pub offsets: CubeTensor,
    /// See [`blocks`].
    pub blocks: CubeTensor,
    /// Number of blocks.
    pub block_count: u32,
}

impl SegmentBuffers {
    /// The segments on the device of `like`, uploaded once per batch.
    pub fn of(segments: &Segments, like: &CubeTensor) -> Self {
        let [offsets, blocks] = parts(segments, like);
        let block_count = count(&blocks) / 4;
        Self { offsets, blocks, block_count }
    }
}

impl HostData for Segments {
    fn pack(&self, packing: &mut Packing) {
        packing.integers(self.offsets().iter().copied());
        packing.integers(blocks(self).into_iter().flatten());
    }

    fn on_device(&self) -> &OnDevice {
        &self.on_device
    }
}

/// The blocks of rows that the attention kernels work on: first row, rows of a block, and first row and end of the
/// segment. The blocks of a segment are as few and as equal as possible; only the last one may be shorter.
pub(in crate::ops) fn blocks(segments: &Segments) -> Vec<[u32; 4]> {
    let most = attention::variant(false, false).constant("TILE");
    let of_segment = |range: std::ops::Range<usize>| {
        let (first, end) = (range.start as u32, range.end as u32);
        let count = (end - first).div_ceil(most);
        let size = (end - first).div_ceil(count);
        (first..end).step_by(size as usize).map(move |row| [row, size, first, end])
    };
    segments.ranges().flat_map(of_segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_row_once_and_are_equal() {
        let segments = Segments::new(&[0, 1, 33, 66, 266]);
        let mut row = 0;
        for [first, size, start, end] in blocks(&segments) {
            assert_eq!(first, row);
            let range = segments.ranges().find(|range| range.contains(&(first as usize))).unwrap();
            assert_eq!([range.start, range.end], [start as usize, end as usize]);
            assert!((first - start).is_multiple_of(size) && (1..=32).contains(&size));
            row = (first + size).min(end);
        }
        assert_eq!(row, 266);
        let sizes = |segment: usize| {
            let start = segments.range(segment).start as u32;
            let own = blocks(&segments).into_iter().filter(move |block| block[2] == start);
            own.map(|block| block[1]).collect::<Vec<_>>()
        };
        assert_eq!([sizes(0), sizes(1), sizes(2)], [vec![1], vec![32], vec![17, 17]]);
        assert_eq!(sizes(3), [29; 7]);
    }
}
