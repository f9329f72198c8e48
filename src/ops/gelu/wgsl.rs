//! Launches `gelu_*.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Gelu, GeluKernels, composed_gelu, composed_gelu_backward};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::{gelu_backward, gelu_forward};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, count, launch, same_shape};

impl Gelu for CubeBackend {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        kernel_or_composed(x, |x| forward(&x), composed_gelu::<Self>)
    }
}

impl GeluKernels for CubeBackend {
    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        kernel_or_composed(
            (g, x),
            |(g, x)| backward(&g, &x),
            |(g, x)| composed_gelu_backward::<Self>(g, x),
        )
    }
}

fn forward(x: &CubeTensor) -> CubeTensor {
    let y = same_shape(x);
    let call = gelu_forward::Arguments { x, y: &y, count: count(x) };
    let kernel = gelu_forward::variant();
    launch(kernel, &call, by_block(kernel, count(x)));
    y
}

fn backward(g: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    let dx = same_shape(x);
    let call = gelu_backward::Arguments { g, x, dx: &dx, count: count(x) };
    let kernel = gelu_backward::variant();
    launch(kernel, &call, by_block(kernel, count(x)));
    dx
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    vec![Case::new(
        "gelu, 17 rows of 31".to_owned(),
        &["gelu_forward"],
        &[("x", [17, 31], &["gelu_backward"])],
        |_, i| super::gelu(i[0].clone()),
    )]
}
