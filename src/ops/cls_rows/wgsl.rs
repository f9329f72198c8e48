//! Launches `gather_cls.wgsl` and `scatter_cls.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{ClsRows, ClsRowsKernels, composed_gather_cls, composed_scatter_cls};
use crate::ops::Segments;
use crate::ops::probe::{Case, segments};
use crate::ops::wgsl::kernel::{gather_cls, scatter_cls};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, by_rows, dims, empty, launch};
use crate::ops::wgsl::segments::SegmentBuffers;

impl ClsRows for CubeBackend {
    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        kernel_or_composed(
            x,
            |x| gather(&x, &segments),
            |x| composed_gather_cls::<Self>(x, &segments),
        )
    }
}

impl ClsRowsKernels for CubeBackend {
    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        kernel_or_composed(
            g,
            |g| scatter(&g, &segments),
            |g| composed_scatter_cls::<Self>(g, &segments),
        )
    }
}

fn gather(x: &CubeTensor, segments: &Segments) -> CubeTensor {
    let (sequences, width) = (segments.len() as u32, dims(x).1);
    let y = empty([sequences as usize, width as usize], x);
    let offsets = SegmentBuffers::of(segments, x).offsets;
    let call = gather_cls::Arguments { x, offsets: &offsets, y: &y, segments: sequences, width };
    let kernel = gather_cls::variant();
    launch(kernel, &call, by_block(kernel, sequences * width));
    y
}

fn scatter(g: &CubeTensor, segments: &Segments) -> CubeTensor {
    let ((sequences, width), rows) = (dims(g), segments.rows() as u32);
    let dx = empty([rows as usize, width as usize], g);
    let offsets = SegmentBuffers::of(segments, g).offsets;
    let call =
        scatter_cls::Arguments { g, offsets: &offsets, dx: &dx, rows, segments: sequences, width };
    let kernel = scatter_cls::variant();
    launch(kernel, &call, by_rows(kernel, rows));
    dx
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let packed = segments(&[33, 1, 17]);
    let tokens = packed.rows();
    vec![Case::new(
        format!("gather_cls, 3 of {tokens} rows of 17"),
        &["gather_cls"],
        &[("x", [tokens, 17], &["scatter_cls"])],
        move |_, i| super::gather_cls(i[0].clone(), &packed),
    )]
}
