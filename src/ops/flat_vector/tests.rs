//! Compares all implementations of flat vectors.

use burn::backend::Flex;
use burn::tensor::{Device, Tensor};

use super::{FlatVector, composed_cut, join};
use crate::ops::tests::cpu_path::same;
use crate::ops::tests::device::gpu;
use crate::ops::tests::gpu::{assert_near, frozen};
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::Source;
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(cut: COPY, pack: COPY);

fn cut(bench: &Bench) {
    let mut source = Source::new(91);
    for kernel in bench.variants("cut") {
        for [offset, length] in bench.sizes([[0, 1], [1, 1], [31, 33], [127, 1025], [3, 2049]]) {
            let flat = source.exact(offset + length + 2);
            let y = bench.gpu.output([length]);
            let call = shaders::cut::Arguments {
                flat: &bench.gpu.floats([flat.len()], &flat),
                y: &y,
                offset: offset as u32,
                length: length as u32,
            };
            launch(kernel, &call, groups(length, kernel.constant("BLOCK")));
            check(kernel, &format!("{length} from {offset}"), &flat[offset..][..length], &y);
        }
    }
}

fn pack(bench: &Bench) {
    for kernel in bench.variants("pack") {
        for lengths in
            bench.sizes([[33, 1, 0, 1025, 17, 3], [1, 0, 0, 0, 0, 0], [127, 129, 31, 2, 2049, 1]])
        {
            let mut source = Source::new(89);
            let parts = lengths.map(|length| source.exact(length.max(1)));
            let gpu = parts.each_ref().map(|part| bench.gpu.floats([part.len()], part));
            // From the last to the first, with one uncovered element between them.
            let mut offsets = [0; 6];
            for k in (0..5).rev() {
                offsets[k] = offsets[k + 1] + lengths[k + 1] + 1;
            }
            let len = offsets[0] + lengths[0] + 1;
            let before = source.exact(len);
            let flat = bench.gpu.floats([len], &before);
            let mut expected = before;
            for k in 0..6 {
                expected[offsets[k]..offsets[k] + lengths[k]]
                    .copy_from_slice(&parts[k][..lengths[k]]);
            }
            let [length0, length1, length2, length3, length4, length5] = lengths.map(|n| n as u32);
            let [offset0, offset1, offset2, offset3, offset4, offset5] = offsets.map(|n| n as u32);
            let [s0, s1, s2, s3, s4, s5] = gpu.each_ref();
            let call = shaders::pack::Arguments {
                s0,
                s1,
                s2,
                s3,
                s4,
                s5,
                flat: &flat,
                length0,
                length1,
                length2,
                length3,
                length4,
                length5,
                offset0,
                offset1,
                offset2,
                offset3,
                offset4,
                offset5,
            };
            launch(kernel, &call, groups(lengths.iter().sum(), kernel.constant("BLOCK")));
            check(kernel, &format!("{lengths:?}"), &expected, &flat);
        }
    }
}

#[test]
fn cpu_path() {
    let flat = Source::new(16).f32([18]);
    same("cut", composed_cut::<Flex>(flat.clone(), 3, 7), Flex::cut(flat, 3, 7));
}

/// More vectors than one dispatch supports.
#[test]
fn gpu_path() {
    let Some(gpu) = gpu() else { return };
    let many = |device: &Device| {
        let pieces: Vec<(usize, Tensor<1>)> =
            (0..13).rev().map(|k| (k * 5, frozen::<1>(k as u64, [5], device))).collect();
        join(&pieces, 65).reshape([1, 65])
    };
    assert_near("join", many(&Device::flex()), many(&gpu));
}
