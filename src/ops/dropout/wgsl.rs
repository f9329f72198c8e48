//! Launches `dropout.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Dropout, DropoutMask, composed_dropout};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::dropout as shader;
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, count, launch, same_shape};

impl Dropout for CubeBackend {
    fn dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        kernel_or_composed(x, |x| run(&x, mask), |x| composed_dropout::<Self>(x, mask))
    }
}

fn run(x: &CubeTensor, mask: DropoutMask) -> CubeTensor {
    let y = same_shape(x);
    launch(shader::variant(), &arguments(x, &y, mask), by_block(shader::variant(), count(x)));
    y
}

pub(super) fn arguments<'a>(
    x: &'a CubeTensor,
    y: &'a CubeTensor,
    mask: DropoutMask,
) -> shader::Arguments<'a, CubeTensor> {
    let [seed_low, seed_high] = mask.key();
    shader::Arguments {
        x,
        y,
        count: count(x),
        threshold: mask.threshold(),
        seed_low,
        seed_high,
        layer: mask.layer,
        place: mask.place,
        scale: mask.scale(),
    }
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mask = DropoutMask { probability: 0.3, seed: 0x0123_4567_89ab_cdef, layer: 5, place: 2 };
    let x = ("x", [37, 31], &["dropout"][..]);
    let name = "dropout, 37 rows of 31".to_owned();
    vec![Case::new(name, &["dropout"], &[x], move |_, i| super::dropout(i[0].clone(), mask))]
}
