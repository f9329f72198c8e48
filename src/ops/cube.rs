//! The operations on burn's GPU backend: the reference composition, until a WGSL kernel takes an
//! operation over.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;

use super::{LoraPlan, LorbOps, Segments, reference};

impl LorbOps for CubeBackend {
    fn embed_layer_norm(
        words: FloatTensor<Self>,
        positions: FloatTensor<Self>,
        types: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        tokens: IntTensor<Self>,
        places: IntTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        reference::embed_layer_norm::<Self>(
            words, positions, types, gamma, beta, tokens, places, epsilon,
        )
    }

    fn frozen_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::linear::<Self>(x, w, bias)
    }

    fn frozen_linear_backward(g: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::linear_backward::<Self>(g, w)
    }

    fn lora_linear_forward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let base = reference::linear::<Self>(x.clone(), w, bias);
        reference::lora_add::<Self>(base, x, a, b, &plan)
    }

    fn lora_add_forward(
        base: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::lora_add::<Self>(base, x, a, b, &plan)
    }

    fn lora_grads(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        u: FloatTensor<Self>,
        b: FloatTensor<Self>,
        plan: LoraPlan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        reference::lora_grads::<Self>(g, x, u, b, &plan)
    }

    fn lora_linear_backward(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        v: FloatTensor<Self>,
        a: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::lora_linear_backward::<Self>(g, w, v, a)
    }

    fn packed_attention_forward(
        qkv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::attention::<Self>(qkv, &segments, heads)
    }

    fn packed_attention_backward(
        g: FloatTensor<Self>,
        qkv: FloatTensor<Self>,
        out: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> FloatTensor<Self> {
        reference::attention_backward::<Self>(g, qkv, out, log_sums, &segments, heads)
    }

    fn attention_cls_forward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        segments: Segments,
        heads: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::attention_cls::<Self>(q, kv, &segments, heads)
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
        reference::attention_cls_backward::<Self>(g, q, kv, out, log_sums, &segments, heads)
    }

    fn add_layer_norm_forward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        reference::add_layer_norm::<Self>(x, residual, gamma, beta, epsilon)
    }

    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        normalised: FloatTensor<Self>,
        inverse_deviation: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::add_layer_norm_backward::<Self>(g, normalised, inverse_deviation, gamma)
    }

    fn gelu_erf(x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gelu::<Self>(x)
    }

    fn gelu_erf_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::gelu_backward::<Self>(g, x)
    }

    fn gather_cls(x: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        reference::gather_cls::<Self>(x, &segments)
    }

    fn scatter_cls(g: FloatTensor<Self>, segments: Segments) -> FloatTensor<Self> {
        reference::scatter_cls::<Self>(g, &segments)
    }
}
