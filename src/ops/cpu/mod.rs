//! The operations on the CPU: Flex's tensors, our own loops, the `gemm` crate's products.
//!
//! Everything is computed in f32. A result depends on its inputs alone, not on the number of
//! cores, so that a resumed run equals an uninterrupted one.

mod adamw;
mod attention;
mod buffer;
mod linear;
mod math;
mod matmul;
mod parallel;
mod rows;

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;

use super::reference::{self, join_factors, split_factors};
use super::{Activation, AdamWStep, Kept, Lists, LoraPlan, LorbOps, Precision, Segments, Storage};

impl LorbOps for Flex {
    fn embed_layer_norm(
        words: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        types: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        ids: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let ids = buffer::indices(ids);
        let (tokens, places) = ids.split_at(ids.len() / 2);
        rows::embed_layer_norm([words, positions, types], gamma, beta, tokens, places, epsilon)
    }

    fn base_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        storage: Storage,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        activate(linear::linear(x, dense(w, storage), bias), activation)
    }

    fn base_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        storage: Storage,
    ) -> FloatTensor<Self> {
        linear::linear_backward(g, dense(w, storage), None)
    }

    fn weight_grad(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::weight_grad(g, x)
    }

    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        rows::column_sums(x)
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
        let (a, b) = split_factors::<Self>(factors, &plan);
        let low = x.clone();
        let (before, u) = linear::lora_linear(x, low, dense(w, storage), bias, a, b, &plan);
        let (y, before) = activate(before, activation);
        (y, before, u)
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
        let (a, b) = split_factors::<Self>(factors, &plan);
        let (before, u) = linear::lora_linear(x, low, dense(w, storage), bias, a, b, &plan);
        let (y, before) = activate(before, activation);
        (y, before, u)
    }

    fn lora_grads(
        g: FloatTensor<Self>,
        x: Kept<Self>,
        u: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (_, b) = split_factors::<Self>(factors, &plan);
        let (v, da, db) = linear::lora_grads(g, x.rows(), u, b, &plan);
        (v, join_factors::<Self>(da, db))
    }

    fn lora_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
        storage: Storage,
    ) -> FloatTensor<Self> {
        let (a, _) = split_factors::<Self>(factors, &plan);
        linear::linear_backward(g, dense(w, storage), Some((v, a)))
    }

    fn lora_down_backward(
        v: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> FloatTensor<Self> {
        let (a, _) = split_factors::<Self>(factors, &plan);
        linear::linear_backward(v, a, None)
    }

    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::attention(qkv, &segments, heads)
    }

    fn packed_attention_backward(
        g: FloatTensor<Self>,
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        attention::attention_backward(g, qkv, out, log_sums, &segments, heads)
    }

    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::attention_cls(q, kv, &segments, heads)
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
        attention::attention_cls_backward(g, q, kv, out, log_sums, &segments, heads)
    }

    fn add_layer_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, Kept<Self>) {
        Kept::as_it_is(rows::add_layer_norm(x, residual, gamma, beta, epsilon))
    }

    fn scale_rows(
        n: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        rows::scale_rows(n, gamma, beta)
    }

    fn add_layer_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        rows::add_layer_norm_forward(x, residual, gamma, beta, epsilon)
    }

    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        normalised: FloatTensor<Self>,
        inverse_deviation: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        rows::add_layer_norm_backward(g, normalised, inverse_deviation, gamma)
    }

    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        rows::gelu(x)
    }

    fn gelu_exact_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        rows::gelu_backward(g, x)
    }

    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        rows::gather_cls(x, &segments)
    }

    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        rows::scatter_cls(g, &segments)
    }

    fn score_head(cls: FloatTensor<Self>, head: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::score_head::<Self>(cls, head)
    }

    fn score_head_backward(
        g: FloatTensor<Self>,
        cls: FloatTensor<Self>,
        head: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::score_head_backward::<Self>(g, cls, head)
    }

    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        reference::cut::<Self>(flat, offset, len)
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
        let mut flat = buffer::into_values(flat);
        for (part, offset) in [a, b, c, d, e, f].iter().zip(offsets) {
            if offset != usize::MAX {
                let part = buffer::values(part);
                flat[offset..offset + part.len()].copy_from_slice(&part);
            }
        }
        buffer::vector(flat)
    }

    fn list_loss_forward(
        scores: FloatTensor<Self>,
        lists: Lists,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (loss, slopes) = lists.evaluate(&buffer::values(&scores));
        let slopes = slopes.into_iter().map(|slope| slope as f32).collect();
        (buffer::vector(vec![loss as f32]), buffer::vector(slopes))
    }

    fn list_loss_backward(
        g: FloatTensor<Self>,
        slopes: FloatTensor<Self>,
        lists: Lists,
        texts: usize,
    ) -> FloatTensor<Self> {
        let upstream = f64::from(buffer::values(&g)[0]);
        let slopes: Vec<f64> =
            buffer::values(&slopes).iter().map(|&slope| upstream * f64::from(slope)).collect();
        let by_text = lists.by_text(&slopes, texts);
        buffer::vector(by_text.into_iter().map(|slope| slope as f32).collect())
    }

    fn correlation_forward(
        cls: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        reference::correlation::<Self>(cls)
    }

    fn correlation_backward(
        g: FloatTensor<Self>,
        value: FloatTensor<Self>,
        z: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        off: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::correlation_backward::<Self>(g, value, z, scales, off)
    }

    fn adamw(
        parameters: FloatTensor<Self>,
        g: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adamw::adamw(parameters, g, first, second, &step)
    }
}

/// A weight as a matrix in full precision. Fewer bits are unpacked at every call: the encoder keeps
/// them in full on the CPU, so only tests come here with others.
fn dense(words: FloatTensor<Flex>, storage: Storage) -> FloatTensor<Flex> {
    let Storage { outputs, inputs, precision } = storage;
    if precision == Precision::F32 {
        return Flex::float_reshape(words, Shape::new([outputs, inputs]));
    }
    let words: Vec<u32> = buffer::values(&words).iter().map(|word| word.to_bits()).collect();
    buffer::matrix(storage.unpack(&words), outputs, inputs)
}

/// The activated tensor, and the tensor before it.
fn activate(
    x: FloatTensor<Flex>,
    activation: Activation,
) -> (FloatTensor<Flex>, FloatTensor<Flex>) {
    match activation {
        Activation::Identity => (x.clone(), x),
        Activation::Gelu => (rows::gelu(x.clone()), x),
    }
}
