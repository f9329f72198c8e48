//! The sequences of a batch on a device.

use burn_cubecl::tensor::CubeTensor;

use super::launch::upload_together;
use crate::ops::Segments;

/// Segments in the format of the shaders.
#[derive(Clone)]
pub(in crate::ops) struct SegmentBuffers {
    /// First row of each segment, and the end of the last.
    pub offsets: CubeTensor,
    /// For each row the first row and the end of its segment.
    pub bounds: CubeTensor,
}

impl SegmentBuffers {
    /// The segments on the device of `like`, uploaded once per batch.
    pub fn of(segments: &Segments, like: &CubeTensor) -> Self {
        segments.on_device().of(&like.device, || Self::upload(segments, like))
    }

    fn upload(segments: &Segments, like: &CubeTensor) -> Self {
        let bounds: Vec<u32> = segments
            .ranges()
            .flat_map(|range| {
                let pair = [range.start as u32, range.end as u32];
                std::iter::repeat_n(pair, range.len()).flatten()
            })
            .collect();
        let [offsets, bounds] = upload_together([segments.offsets(), &bounds], like);
        Self { offsets, bounds }
    }
}
