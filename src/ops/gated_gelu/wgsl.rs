//! Launches `gated_gelu*.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{GatedGelu, GatedGeluKernels, composed, composed_backward};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::{gated_gelu, gated_gelu_backward};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, count, dims, empty, launch, same_shape};

impl GatedGelu for CubeBackend {
    fn gated_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        kernel_or_composed(x, |x| forward(&x), composed::<Self>)
    }
}

impl GatedGeluKernels for CubeBackend {
    fn gated_gelu_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        kernel_or_composed(
            (g, x),
            |(g, x)| backward(&g, &x),
            |(g, x)| composed_backward::<Self>(g, x),
        )
    }
}

fn forward(x: &CubeTensor) -> CubeTensor {
    let (rows, width) = dims(x);
    let y = empty([rows as usize, width as usize / 2], x);
    let call = gated_gelu::Arguments { x, y: &y, count: count(&y), inner: width / 2 };
    let kernel = gated_gelu::variant();
    launch(kernel, &call, by_block(kernel, count(&y)));
    y
}

fn backward(g: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    let ((_, inner), dx) = (dims(g), same_shape(x));
    let call = gated_gelu_backward::Arguments { g, x, dx: &dx, count: count(g), inner };
    let kernel = gated_gelu_backward::variant();
    launch(kernel, &call, by_block(kernel, count(g)));
    dx
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    vec![Case::new(
        "gated gelu, 17 rows of 62".to_owned(),
        &["gated_gelu"],
        &[("x", [17, 62], &["gated_gelu_backward"])],
        |_, i| super::gated_gelu(i[0].clone()),
    )]
}
