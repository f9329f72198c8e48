//! The operations of the model, and their implementations.
//!
//! A folder contains a family of operations:
//!
//! - `mod.rs`: arguments and results, two traits, and the functions on [`Tensor`](burn::tensor::Tensor) that the
//!   model calls. One trait extends the backends that a model runs on, `Cube` (burn's GPU backend), `Flex` (its
//!   CPU backend) and `Autodiff` over either of them; the other has forward passes for training and gradients,
//!   and extends `Cube` and `Flex` only.
//! - `cpu.rs`: fused loops and matrix products on `Flex`.
//! - `wgsl.rs`: launches kernels of `shaders/` on `Cube`; cases of the probe, unless in `probe.rs`.
//! - `step.rs`: the backward step of `Autodiff`; small families have it in `mod.rs`.
//! - `composed.rs`: the operation composed of burn's own tensor operations; small families have it in `mod.rs`. The
//!   module `composed` lists its uses.
//! - `cost.rs`: the counted work of a call, from its arguments, see [`record`]; small families have it in `mod.rs`.
//! - `tests.rs`: compares all implementations.
//!
//! Shared code is in `cpu`, `wgsl`, `composed`, `differentiate`, `operands` and `saved`, and shared test code in
//! `tests`. A new operation is a folder, its lines in this file, and its shader.
//!
//! Shapes: T rows (tokens of all sequences, packed), S sequences, H hidden width, K inputs and O outputs of a
//! linear layer.

mod adamw;
mod attention;
mod cls_rows;
mod correlation;
mod dropout;
mod embed;
mod flat_vector;
mod gated_gelu;
mod gelu;
mod layer_norm;
mod linear;
mod list_loss;
mod lora;
mod rotary;
mod score_head;
mod seed;

mod composed;
mod cpu;
mod differentiate;
mod operands;
mod places;
pub mod probe;
pub mod record;
mod saved;
mod segments;
pub mod upload;
mod weights;
pub mod wgsl;

#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWState, AdamWStep, adamw, square_sums};
pub use attention::{attention, attention_cls, windowed_attention};
pub use cls_rows::gather_cls;
pub use correlation::correlation;
pub use dropout::{DropoutMask, dropout};
pub use embed::{Tables, TokenRows, embed_layer_norm};
pub use flat_vector::{cut, end_to_end, join};
pub use gated_gelu::gated_gelu;
pub use gelu::gelu;
pub use layer_norm::{add_layer_norm, layer_norm};
pub use linear::{Activation, linear, product, product_of};
pub use list_loss::{Lists, Objective, ObjectiveInfo, list_loss};
pub use lora::{FrozenLinear, LoraPlan, lora_linear, lora_linear_with_dropout};
pub use places::{Places, Window};
pub use rotary::{angles, rotate};
pub use saved::Activations;
pub use score_head::score_head;
pub use seed::backward_from;
pub use segments::Segments;
pub use weights::{Precision, Storage, UnsupportedPrecision, Weights};

pub(crate) use adamw::AdamWKernels;
pub(crate) use attention::{Attention, AttentionKernels};
pub(crate) use cls_rows::{ClsRows, ClsRowsKernels};
pub(crate) use correlation::{Correlation, CorrelationKernels};
pub(crate) use dropout::Dropout;
pub(crate) use embed::Embed;
pub(crate) use flat_vector::{FlatVector, FlatVectorKernels};
pub(crate) use gated_gelu::{GatedGelu, GatedGeluKernels};
pub(crate) use gelu::{Gelu, GeluKernels};
pub(crate) use layer_norm::{LayerNorm, LayerNormKernels};
pub(crate) use linear::{Linear, LinearKernels};
pub(crate) use list_loss::{ListLoss, ListLossKernels};
pub(crate) use lora::{LoraLinear, LoraLinearKernels};
pub(crate) use record::Recorded;
pub(crate) use rotary::Rotary;
pub(crate) use score_head::{ScoreHead, ScoreHeadKernels};
pub(crate) use seed::Seed;

/// Declares a trait that combines the given ones.
macro_rules! all_of {
    ($(#[$doc:meta])* $name:ident: $($each:ident)+) => {
        $(#[$doc])*
        pub(crate) trait $name: $($each +)+ {}
        impl<B: $($each +)+> $name for B {}
    };
}

all_of! {
    /// The operations that the model calls: on `Cube`, `Flex`, and `Autodiff` over them.
    ModelOps: Attention ClsRows Correlation Dropout Embed FlatVector GatedGelu Gelu LayerNorm Linear ListLoss LoraLinear
        Rotary ScoreHead Seed
}

all_of! {
    /// Forward passes for training and gradients: on `Cube` and `Flex`.
    Kernels: Recorded ModelOps AdamWKernels AttentionKernels ClsRowsKernels CorrelationKernels FlatVectorKernels
        GatedGeluKernels GeluKernels LayerNormKernels LinearKernels ListLossKernels LoraLinearKernels ScoreHeadKernels
}

/// All cases of the probe.
fn cases() -> Vec<probe::Case> {
    let families = [
        embed::cases,
        linear::cases,
        lora::cases,
        attention::cases,
        layer_norm::cases,
        gelu::cases,
        gated_gelu::cases,
        rotary::cases,
        cls_rows::cases,
        dropout::cases,
        flat_vector::cases,
        score_head::cases,
        embed::subgroup_cases,
        layer_norm::subgroup_cases,
        list_loss::cases,
        correlation::cases,
        adamw::cases,
    ];
    families.into_iter().flat_map(|cases| cases()).collect()
}

/// The tests of all kernels.
#[cfg(test)]
fn kernel_tests() -> impl Iterator<Item = &'static tests::kernels::KernelTest> {
    let families = [
        adamw::tests::KERNELS,
        attention::tests::KERNELS,
        cls_rows::tests::KERNELS,
        correlation::tests::KERNELS,
        dropout::tests::KERNELS,
        embed::tests::KERNELS,
        flat_vector::tests::KERNELS,
        gated_gelu::tests::KERNELS,
        gelu::tests::KERNELS,
        layer_norm::tests::KERNELS,
        linear::tests::KERNELS,
        list_loss::tests::KERNELS,
        lora::tests::KERNELS,
        rotary::tests::KERNELS,
        score_head::tests::KERNELS,
    ];
    families.into_iter().flatten()
}
