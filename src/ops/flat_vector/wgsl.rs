//! Launches `cut.wgsl` and `pack.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{FlatVector, FlatVectorKernels, Pieces, composed_cut};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::{cut, pack};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, contiguous, count, empty, launch, window};

/// Vectors per dispatch of `pack.wgsl`.
const AT_ONCE: usize = 6;

impl FlatVector for CubeBackend {
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        let start = (offset * flat.dtype.size()) as u64;
        let alignment = flat.client.properties().memory.alignment;
        // A window on the same memory, if the device's alignment allows it.
        if !flat.is_contiguous() || !start.is_multiple_of(alignment) {
            return kernel_or_composed(
                flat,
                |flat| copy(&flat, offset, len),
                |flat| composed_cut::<Self>(flat, offset, len),
            );
        }
        window(&flat, offset, len)
    }
}

impl FlatVectorKernels for CubeBackend {
    fn pack(flat: FloatTensor<Self>, pieces: Pieces<Self>) -> FloatTensor<Self> {
        let flat = owned(flat);
        let pieces: Vec<_> =
            pieces.0.into_iter().map(|(at, piece)| (at as u32, contiguous(piece))).collect();
        pieces.chunks(AT_ONCE).for_each(|some| write(&flat, some));
        flat
    }
}

/// A copy of the `len` elements from `offset` on.
fn copy(flat: &CubeTensor, offset: usize, len: usize) -> CubeTensor {
    let y = empty([len], flat);
    let call = cut::Arguments { flat, y: &y, offset: offset as u32, length: len as u32 };
    let kernel = cut::variant();
    launch(kernel, &call, by_block(kernel, len as u32));
    y
}

/// The tensor itself if its memory is not shared, else a copy: for kernels that work in place.
pub(in crate::ops) fn owned(tensor: CubeTensor) -> CubeTensor {
    if tensor.handle.can_mut() {
        return tensor;
    }
    let copy = empty([count(&tensor) as usize], &tensor);
    write(&copy, &[(0, tensor)]);
    copy
}

/// Writes up to six vectors to their places in `flat`.
fn write(flat: &CubeTensor, pieces: &[(u32, CubeTensor)]) {
    // Unused bindings repeat the first vector, with length 0.
    let source = |k: usize| &pieces.get(k).unwrap_or(&pieces[0]).1;
    let length = |k: usize| pieces.get(k).map_or(0, |(_, piece)| count(piece));
    let offset = |k: usize| pieces.get(k).map_or(0, |(at, _)| *at);
    let call = pack::Arguments {
        s0: source(0),
        s1: source(1),
        s2: source(2),
        s3: source(3),
        s4: source(4),
        s5: source(5),
        flat,
        length0: length(0),
        length1: length(1),
        length2: length(2),
        length3: length(3),
        length4: length(4),
        length5: length(5),
        offset0: offset(0),
        offset1: offset(1),
        offset2: offset(2),
        offset3: offset(3),
        offset4: offset(4),
        offset5: offset(5),
    };
    let total: u32 = (0..AT_ONCE).map(length).sum();
    let kernel = pack::variant();
    launch(kernel, &call, by_block(kernel, total));
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let cut = Case::new("cut, 65 of 99 from 3".to_owned(), &["cut"], &[], |source, _| {
        super::cut(&source.tensor([99]), 3, 65).reshape([1, 65])
    });
    // One vector more than a dispatch writes.
    let lengths = [3, 65, 1, 7, 99, 2, 64];
    let len = lengths.iter().sum();
    let name = format!("join, {} vectors to {len}", lengths.len());
    let join = Case::new(name, &["pack"], &[], move |source, _| {
        let pieces = lengths.map(|len| source.tensor([len]));
        super::end_to_end(pieces.to_vec()).reshape([1, len])
    });
    vec![cut, join]
}
