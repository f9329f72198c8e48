//! Launches `linear*.wgsl`.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Activation, Linear, LinearForward, LinearInputs, LinearKernels, composed};
use crate::ops::gelu::composed_gelu;
use crate::ops::saved::{Output, Preceding, SavedInput};
#[cfg(not(target_family = "wasm"))]
use crate::ops::wgsl::kernel::linear_cooperative;
use crate::ops::wgsl::kernel::{linear, linear_backward, linear_gelu, linear_weight_grad};
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{dims, empty};
use crate::ops::wgsl::product::{Keep, Product, in_quads};
#[cfg(not(target_family = "wasm"))]
use crate::ops::wgsl::{launch::launch, product::tiles, tuning::tuning};
use crate::ops::{Precision, Storage};

impl Linear for CubeBackend {
    fn base_linear(inputs: LinearInputs<Self>, saved: SavedInput<Self>) -> Output<Self> {
        drop(saved);
        let forward = |inputs| forward(&inputs, Keep::Nothing);
        Output::whole(kernel_or_composed(inputs, forward, composed_forward).y)
    }
}

impl LinearKernels for CubeBackend {
    fn base_linear_forward(inputs: LinearInputs<Self>) -> LinearForward<Self> {
        kernel_or_composed(inputs, |inputs| forward(&inputs, Keep::Before), composed_forward)
    }

    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
        preceding: Preceding<Self>,
    ) -> FloatTensor<Self> {
        kernel_or_composed(
            ((g, w), preceding),
            |((g, w), preceding)| input_grad(&g, &w, storage, &preceding),
            |((g, w), preceding)| {
                preceding.multiply(composed::linear_backward::<Self>(g, dense(w, storage)))
            },
        )
    }

    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        kernel_or_composed(
            (g, x),
            |(g, x)| weight_grad(&g, &x),
            |(g, x)| composed::weight_grad::<Self>(g, x),
        )
    }
}

fn composed_forward(inputs: LinearInputs<CubeBackend>) -> LinearForward<CubeBackend> {
    let LinearInputs { x, w, bias, storage, activation } = inputs;
    activate(composed::linear::<CubeBackend>(x, dense(w, storage), bias), activation)
}

/// A layer's output from the input of its activation.
pub(in crate::ops) fn activate(
    before: CubeTensor,
    activation: Activation,
) -> LinearForward<CubeBackend> {
    let y = match activation {
        Activation::Identity => before.clone(),
        Activation::Gelu => composed_gelu::<CubeBackend>(before.clone()),
    };
    LinearForward { y, before }
}

/// A weight as a matrix, for burn's own operations.
pub(in crate::ops) fn dense(words: CubeTensor, storage: Storage) -> CubeTensor {
    let Storage { outputs, inputs, precision } = storage;
    assert_eq!(precision, Precision::F32, "only LoRB's kernels read weights of fewer bits");
    CubeBackend::float_reshape(words, Shape::new([outputs, inputs]))
}

/// The layer. The input of its activation is undefined if it is not saved.
fn forward(inputs: &LinearInputs<CubeBackend>, keep: Keep) -> LinearForward<CubeBackend> {
    let &LinearInputs { ref x, ref w, ref bias, storage, activation } = inputs;
    let ((rows, inputs), outputs) = (dims(x), storage.outputs as u32);
    let quads = in_quads(&[inputs, outputs], &[x, w, bias]);
    let scales = storage.scales() as u32;
    let y = empty([rows as usize, outputs as usize], x);
    #[cfg(not(target_family = "wasm"))]
    if quads
        && keep == Keep::Nothing
        && tuning(x).extensions.cooperative_matrices
        && let Some(kernel) = linear_cooperative::variant(activation, storage.precision.in_f32())
    {
        // Its factors are f16, whatever the precision.
        let call =
            linear_cooperative::Arguments { x, w, bias, y: &y, rows, inputs, outputs, scales };
        launch(kernel, &call, tiles(kernel, rows, outputs));
        return LinearForward { y: y.clone(), before: y };
    }
    let product = Product { quads, rows, inner: inputs, columns: outputs, over_rows: false };
    match activation {
        Activation::Identity => {
            let call = linear::Arguments { x, w, bias, y: &y, rows, inputs, outputs, scales };
            product.launch(|tile| linear::variant(storage.precision, tile), &call);
            LinearForward { y: y.clone(), before: y }
        }
        Activation::Gelu => {
            let pre = keep.memory(rows, outputs, x);
            let call = linear_gelu::Arguments {
                x,
                w,
                bias,
                pre: &pre,
                y: &y,
                rows,
                inputs,
                outputs,
                scales,
                keep: keep.flag(),
            };
            product.launch(|tile| linear_gelu::variant(storage.precision, tile), &call);
            LinearForward { y, before: pre }
        }
    }
}

/// `g w`, times what precedes the layer.
pub(in crate::ops) fn input_grad(
    g: &CubeTensor,
    w: &CubeTensor,
    storage: Storage,
    preceding: &Preceding<CubeBackend>,
) -> CubeTensor {
    let ((rows, outputs), inputs) = (dims(g), storage.inputs as u32);
    // An unread binding needs some tensor.
    let pre = preceding.before().unwrap_or(g);
    let quads = in_quads(&[inputs, outputs], &[g, w, pre]);
    let dx = empty([rows as usize, inputs as usize], g);
    let (scales, gelu) = (storage.scales() as u32, u32::from(preceding.before().is_some()));
    let call =
        linear_backward::Arguments { g, w, pre, dx: &dx, rows, inputs, outputs, scales, gelu };
    let product = Product { quads, rows, inner: outputs, columns: inputs, over_rows: false };
    // Gradients can be too small for f16.
    let precision = storage.precision.in_f32();
    product.launch(|tile| linear_backward::variant(precision, tile), &call);
    dx
}

/// `g^T x`, row-major.
fn weight_grad(g: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    let ((rows, outputs), (_, inputs)) = (dims(g), dims(x));
    let quads = in_quads(&[inputs, outputs], &[g, x]);
    let dw = empty([outputs as usize * inputs as usize], g);
    let call = linear_weight_grad::Arguments { g, x, dw: &dw, rows, inputs, outputs };
    let product = Product { quads, rows: outputs, inner: rows, columns: inputs, over_rows: true };
    product.launch(linear_weight_grad::variant, &call);
    dw
}
