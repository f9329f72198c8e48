//! The operations on LoRB's own WGSL kernels, in `shaders/`.
//!
//! burn's GPU backend serves several runtimes, only one of which takes WGSL. Where another one is
//! at work, and for heads wider than the shaders hold, an operation is composed of burn's own. Not in a
//! wasm module: there is nothing but WebGPU there, and burn's products would be a fifth of its bytes.

mod attention;
pub mod kernel;
mod launch;
mod linear;
mod rows;
mod training;
mod tuning;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::reference::{self, join_factors, split_factors};
use super::{Activation, AdamWStep, Kept, Lists, LoraPlan, LorbOps, Precision, Segments, Storage};
pub use attention::WIDEST_HEAD;
use launch::contiguous;
#[cfg(test)]
pub(super) use launch::launch;
pub use launch::{dispatches, launched};
use linear::Keep;
#[cfg(test)]
pub(super) use linear::in_quads;
pub use tuning::{Extensions, Processor, Tuning, offer, tuned_for, with_tuning};

/// Whether the operations of the model run on our kernels where they can.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Chooses between our kernels, which is how the program begins, and burn's own operations, for the
/// whole process: benchmarks compare the two. Losses and the optimiser have no such choice.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// What [`set_enabled`] chose last; in a wasm module there is no choice.
#[must_use]
pub fn enabled() -> bool {
    WEB || ENABLED.load(Ordering::Relaxed)
}

/// Whether this is a wasm module.
const WEB: bool = cfg!(target_family = "wasm");

/// Whether our kernels run on a device: one of burn's GPU backend, on a runtime that takes WGSL.
#[must_use]
pub fn runs_on(device: &Device) -> bool {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    tensor.try_into_primitive::<CubeBackend>().is_ok_and(|tensor| takes_wgsl(&tensor))
}

fn takes_wgsl(tensor: &CubeTensor) -> bool {
    tensor.client.name() == "wgpu<wgsl>"
}

/// Whether our kernels take these tensors: f32, on a runtime that takes WGSL.
fn ours<const N: usize>(tensors: [&CubeTensor; N]) -> bool {
    if WEB {
        return true;
    }
    enabled() && tensors.iter().all(|tensor| takes_wgsl(tensor) && tensor.dtype == DType::F32)
}

/// Whether a head of this width fits the attention kernels.
fn fits(width: usize, heads: usize) -> bool {
    WEB || width / heads <= WIDEST_HEAD
}

impl LorbOps for CubeBackend {
    fn embed_layer_norm(
        words: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        types: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        ids: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let known = WEB || ids.dtype == DType::I32;
        if !known || !ours([&words, &positions, &types, &gamma, &beta]) {
            return reference::embed_layer_norm::<Self>(
                words, positions, types, gamma, beta, ids, epsilon,
            );
        }
        let [words, positions, types, gamma, beta, ids] =
            [words, positions, types, gamma, beta, ids].map(contiguous);
        rows::embed_layer_norm([&words, &positions, &types], &gamma, &beta, &ids, epsilon)
    }

    fn base_linear(
        x: FloatTensor<Self>,
        _: Kept<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        let (y, _) = if ours([&x, &w, &bias]) {
            let [x, w, bias] = [x, w, bias].map(contiguous);
            linear::linear_forward(&x, &w, &bias, storage, activation, Keep::Nothing)
        } else {
            Self::base_linear_forward(x, w, bias, storage, activation)
        };
        Kept::as_it_is(y)
    }

    fn base_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&x, &w, &bias]) {
            return activate(reference::linear::<Self>(x, dense(w, storage), bias), activation);
        }
        let [x, w, bias] = [x, w, bias].map(contiguous);
        linear::linear_forward(&x, &w, &bias, storage, activation, Keep::Before)
    }

    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
    ) -> FloatTensor<Self> {
        if !ours([&g, &w]) {
            return reference::linear_backward::<Self>(g, dense(w, storage));
        }
        let [g, w] = [g, w].map(contiguous);
        linear::linear_backward(&g, &w, storage)
    }

    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !ours([&g, &x]) {
            return reference::weight_grad::<Self>(g, x);
        }
        let [g, x] = [g, x].map(contiguous);
        linear::weight_grad(&g, &x)
    }

    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::column_sums::<Self>(x)
    }

    fn lora_linear(
        x: FloatTensor<Self>,
        _: Kept<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        let tensors = [x, w, bias, factors];
        Kept::as_it_is(adapted(tensors, None, &plan, storage, activation, Keep::Nothing).0)
    }

    fn lora_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adapted([x, w, bias, factors], None, &plan, storage, activation, Keep::Before)
    }

    fn lora_linear_apart_forward(
        x: FloatTensor<Self>,
        low: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adapted([x, w, bias, factors], Some(low), &plan, storage, activation, Keep::Before)
    }

    fn lora_grads(
        g: FloatTensor<Self>,
        x: Kept<Self>,
        u: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&g, x.held(), &u, &factors]) {
            let (_, b) = split_factors::<Self>(factors, &plan);
            let (v, da, db) = reference::lora_grads::<Self>(g, x.rows(), u, b, &plan);
            return (v, join_factors::<Self>(da, db));
        }
        let [g, u, factors] = [g, u, factors].map(contiguous);
        linear::lora_grads(&g, &x.map(contiguous), &u, &factors, &plan)
    }

    fn lora_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
    ) -> FloatTensor<Self> {
        if !ours([&g, &w, &v, &factors]) {
            let (a, _) = split_factors::<Self>(factors, &plan);
            return reference::lora_linear_backward::<Self>(g, dense(w, storage), v, a);
        }
        let [g, w, v, factors] = [g, w, v, factors].map(contiguous);
        linear::lora_linear_backward(&g, &w, &v, &factors, &plan, storage)
    }

    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        if !ours([&v, &factors]) {
            let (a, _) = split_factors::<Self>(factors, &plan);
            return reference::linear_backward::<Self>(v, a);
        }
        let inputs = plan.inputs(factors.shape().num_elements());
        let storage = Storage { outputs: plan.stacked_rank(), inputs, precision: Precision::F32 };
        let [v, factors] = [v, factors].map(contiguous);
        // A lies at the beginning of the factors.
        linear::linear_backward(&v, &factors, storage)
    }

    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&qkv]) || !fits(qkv.shape()[1] / 3, heads) {
            return reference::attention::<Self>(qkv, &segments, heads);
        }
        attention::attention(&contiguous(qkv), &segments, heads)
    }

    fn packed_attention_backward(
        g: FloatTensor<Self>,
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        if !ours([&g, &qkv, &out, &log_sums]) || !fits(g.shape()[1], heads) {
            return reference::attention_backward::<Self>(g, qkv, out, log_sums, &segments, heads);
        }
        let [g, qkv, out, log_sums] = [g, qkv, out, log_sums].map(contiguous);
        attention::attention_backward(&g, &qkv, &out, &log_sums, &segments, heads)
    }

    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&q, &kv]) || !fits(q.shape()[1], heads) {
            return reference::attention_cls::<Self>(q, kv, &segments, heads);
        }
        let [q, kv] = [q, kv].map(contiguous);
        attention::attention_cls(&q, &kv, &segments, heads)
    }

    fn attention_cls_backward(
        g: FloatTensor<Self>,
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&g, &q, &kv, &log_sums]) || !fits(q.shape()[1], heads) {
            return reference::attention_cls_backward::<Self>(
                g, q, kv, out, log_sums, &segments, heads,
            );
        }
        let [g, q, kv, log_sums] = [g, q, kv, log_sums].map(contiguous);
        attention::attention_cls_backward(&g, &q, &kv, &log_sums, &segments, heads)
    }

    fn add_layer_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        let y = if ours([&x, &residual, &gamma, &beta]) {
            let [x, residual, gamma, beta] = [x, residual, gamma, beta].map(contiguous);
            rows::add_layer_norm(&x, &residual, &gamma, &beta, epsilon)
        } else {
            reference::add_layer_norm::<Self>(x, residual, gamma, beta, epsilon).0
        };
        Kept::as_it_is(y)
    }

    fn add_layer_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&x, &residual, &gamma, &beta]) {
            return reference::add_layer_norm::<Self>(x, residual, gamma, beta, epsilon);
        }
        let [x, residual, gamma, beta] = [x, residual, gamma, beta].map(contiguous);
        rows::add_layer_norm_forward(&x, &residual, &gamma, &beta, epsilon)
    }

    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        normalised: FloatTensor<Self>,
        inverse_deviation: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !ours([&g, &normalised, &inverse_deviation, &gamma]) {
            return reference::add_layer_norm_backward::<Self>(
                g,
                normalised,
                inverse_deviation,
                gamma,
            );
        }
        let [g, normalised, inverse_deviation, gamma] =
            [g, normalised, inverse_deviation, gamma].map(contiguous);
        rows::add_layer_norm_backward(&g, &normalised, &inverse_deviation, &gamma)
    }

    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !ours([&x]) {
            return reference::gelu::<Self>(x);
        }
        rows::gelu(&contiguous(x))
    }

    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !ours([&g, &x]) {
            return reference::gelu_backward::<Self>(g, x);
        }
        let [g, x] = [g, x].map(contiguous);
        rows::gelu_backward(&g, &x)
    }

    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        if !ours([&x]) {
            return reference::gather_cls::<Self>(x, &segments);
        }
        rows::gather_cls(&contiguous(x), &segments)
    }

    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        if !ours([&g]) {
            return reference::scatter_cls::<Self>(g, &segments);
        }
        rows::scatter_cls(&contiguous(g), &segments)
    }

    fn score_head(cls: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self> {
        if !ours([&cls, &head]) {
            return reference::score_head::<Self>(cls, head);
        }
        let [cls, head] = [cls, head].map(contiguous);
        rows::score_head(&cls, &head)
    }

    fn score_head_backward(
        g: FloatTensor<Self>,
        cls: FloatTensor<Self>,
        head: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !ours([&g, &cls, &head]) {
            return reference::score_head_backward::<Self>(g, cls, head);
        }
        let [g, cls, head] = [g, cls, head].map(contiguous);
        rows::score_head_backward(&g, &cls, &head)
    }

    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        let (bytes, size) = (flat.dtype.size(), flat.shape().num_elements());
        let start = (offset * bytes) as u64;
        let alignment = flat.client.properties().memory.alignment;
        // A window on the same memory, where the device lets one begin here.
        if !flat.is_contiguous() || !start.is_multiple_of(alignment) {
            return match ours([&flat]) {
                true => training::cut(&contiguous(flat), offset, len),
                false => reference::cut::<Self>(flat, offset, len),
            };
        }
        let end = ((size - offset - len) * bytes) as u64;
        let handle = flat.handle.clone().offset_start(start).offset_end(end);
        CubeTensor::new_contiguous(
            flat.client.clone(),
            flat.device.clone(),
            Shape::new([len]),
            handle,
            flat.dtype,
        )
    }

    fn pack(
        flat: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        offsets: [usize; 6],
    ) -> FloatTensor<Self> {
        training::pack(flat, &[a, b, c, d, e, f].map(contiguous), offsets)
    }

    fn list_loss_forward(
        scores: FloatTensor<Self>,
        lists: Lists,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (losses, slopes) = training::list_losses(&contiguous(scores), &lists);
        // Along a dimension: burn's sum of everything takes float atomics, which not all devices have.
        let losses = Self::float_reshape(losses, Shape::new([1, lists.len()]));
        let sum = Self::float_reshape(Self::float_sum_dim(losses, 1), Shape::new([1]));
        (sum, slopes)
    }

    fn list_loss_backward(
        g: FloatTensor<Self>,
        slopes: FloatTensor<Self>,
        lists: Lists,
        texts: usize,
    ) -> FloatTensor<Self> {
        training::list_loss_backward(&contiguous(g), &slopes, &lists, texts)
    }

    fn correlation_forward(
        cls: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        training::correlation(&contiguous(cls))
    }

    fn correlation_backward(
        g: FloatTensor<Self>,
        value: FloatTensor<Self>,
        z: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        off: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        training::correlation_backward(&contiguous(g), &value, &z, &scales, &off)
    }

    fn adamw(
        parameters: FloatTensor<Self>,
        g: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [parameters, g, first, second] = [parameters, g, first, second].map(contiguous);
        let [parameters, first, second, norm] =
            training::adamw([parameters, first, second], &g, &step);
        (parameters, first, second, norm)
    }
}

/// An adapted layer of x, w, bias and factors: the activated output, the output before, which is
/// meaningless where it is not kept, and `low A^T`. Without `low` the low-rank path takes x.
fn adapted(
    tensors: [CubeTensor; 4],
    low: Option<CubeTensor>,
    plan: &LoraPlan,
    storage: Storage,
    activation: Activation,
    keep: Keep,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    if !ours(tensors.each_ref()) || !low.iter().all(|low| ours([low])) {
        let [x, w, bias, factors] = tensors;
        let low = low.unwrap_or_else(|| x.clone());
        let base = reference::linear::<CubeBackend>(x, dense(w, storage), bias);
        let (a, b) = split_factors::<CubeBackend>(factors, plan);
        let (before, u) = reference::lora_add::<CubeBackend>(base, low, a, b, plan);
        let (y, before) = activate(before, activation);
        return (y, before, u);
    }
    let [x, w, bias, factors] = tensors.map(contiguous);
    let inputs = linear::Inputs { x: &x, low: low.map(contiguous), factors: &factors, plan };
    linear::lora_linear_forward(&inputs, &w, &bias, storage, activation, keep)
}

/// A weight as a matrix, for burn's own operations.
fn dense(words: CubeTensor, storage: Storage) -> CubeTensor {
    let Storage { outputs, inputs, precision } = storage;
    assert_eq!(precision, Precision::F32, "only our kernels read weights of fewer bits");
    CubeBackend::float_reshape(words, Shape::new([outputs, inputs]))
}

/// The activated tensor, and the tensor before it.
fn activate(x: CubeTensor, activation: Activation) -> (CubeTensor, CubeTensor) {
    match activation {
        Activation::Identity => (x.clone(), x),
        Activation::Gelu => (reference::gelu::<CubeBackend>(x.clone()), x),
    }
}
