//! The flat parameters as the tensors that the encoder multiplies with.

use burn::tensor::{Device, Gradients, Tensor};

use super::layout::{Adapter, Layout, SlotKind};
use super::lora::{LoraConfig, Target};
use crate::base::BertConfig;
use crate::ops::{self, LoraPlan};

/// Part of the flat parameters.
#[derive(Clone, Debug)]
struct Cut {
    offset: usize,
    tensor: Tensor<1>,
}

/// The low-rank factors of one linear layer, or of several that run as one product.
#[derive(Clone, Debug)]
pub(super) struct LowRank {
    factors: Cut,
    pub plan: LoraPlan,
}

impl LowRank {
    /// The stacked A `[n r, in]` and then the stacked B `[n out, r]`, end to end.
    pub fn factors(&self) -> &Tensor<1> {
        &self.factors.tensor
    }
}

/// The low-rank factors of one encoder layer; absent where a linear layer is not adapted.
#[derive(Clone, Debug)]
pub(super) struct LayerLeaves {
    /// Query, key and value of a layer that runs them as one product.
    pub fused: Option<LowRank>,
    /// The query of a layer that computes it for `[CLS]` alone.
    pub query: Option<LowRank>,
    /// Key and value of such a layer.
    pub key_value: Option<LowRank>,
    pub attention_output: Option<LowRank>,
    pub intermediate: Option<LowRank>,
    pub output: Option<LowRank>,
}

impl LayerLeaves {
    fn factors(&self) -> [Option<&LowRank>; 6] {
        let Self { fused, query, key_value, attention_output, intermediate, output } = self;
        [fused, query, key_value, attention_output, intermediate, output].map(Option::as_ref)
    }

    fn factors_mut(&mut self) -> [Option<&mut LowRank>; 6] {
        let Self { fused, query, key_value, attention_output, intermediate, output } = self;
        [fused, query, key_value, attention_output, intermediate, output].map(Option::as_mut)
    }
}

/// An adapter's parameters on a device, ready for the encoder.
///
/// All of them are views of one flat tensor, so that a step of the optimiser is one operation on
/// one buffer. The gradient comes back in the same flat order.
#[derive(Clone, Debug)]
pub struct Leaves {
    pub(super) layers: Vec<LayerLeaves>,
    head: Cut,
    /// Probability of dropping an input of A in training.
    pub(super) dropout: f32,
    len: usize,
}

impl Leaves {
    /// An adapter's parameters on `device`, without gradients: for scoring.
    #[must_use]
    pub fn new(base: &BertConfig, adapter: &Adapter, device: &Device) -> Self {
        let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), &device.clone().inner());
        Self::untracked(base, &adapter.config, &adapter.layout, &flat)
    }

    /// No adapter at all, and a score head of zeros: for the bare encoder's `[CLS]`.
    #[must_use]
    pub fn bare(base: &BertConfig, device: &Device) -> Self {
        let bare = LayerLeaves {
            fused: None,
            query: None,
            key_value: None,
            attention_output: None,
            intermediate: None,
            output: None,
        };
        let head = Tensor::zeros([base.hidden_size + 1], &device.clone().inner());
        Self {
            layers: vec![bare; base.num_hidden_layers],
            head: Cut { offset: 0, tensor: head },
            dropout: 0.0,
            len: base.hidden_size + 1,
        }
    }

    /// The flat parameters `flat [P]`, tracked by autodiff: for training.
    #[must_use]
    pub fn tracked(
        base: &BertConfig,
        lora: &LoraConfig,
        layout: &Layout,
        flat: &Tensor<1>,
    ) -> Self {
        Self::untracked(base, lora, layout, flat).track()
    }

    /// Untracked leaves, tracked by autodiff from now on. The numbers are shared, not copied.
    #[must_use]
    pub fn track(&self) -> Self {
        let mut leaves = self.clone();
        for cut in leaves.cuts_mut() {
            cut.tensor = cut.tensor.clone().autodiff().require_grad();
        }
        leaves
    }

    /// The flat parameters `flat [P]` on their own device, without gradients.
    #[must_use]
    pub fn untracked(
        base: &BertConfig,
        lora: &LoraConfig,
        layout: &Layout,
        flat: &Tensor<1>,
    ) -> Self {
        let cut = |offset: usize, len: usize| Cut { offset, tensor: ops::cut(flat, offset, len) };
        // The factors of a group lie end to end, so a group is one cut.
        let group = |layer: usize, targets: &[Target]| {
            let offset = |target: Target, kind| {
                layout.find(&target.module(layer), kind).map(|slot| slot.offset)
            };
            let adapted: Vec<usize> = (0..targets.len())
                .filter(|&i| offset(targets[i], SlotKind::LoraA).is_some())
                .collect();
            let first = targets[*adapted.first()?];
            let (width, inputs) = first.features(base);
            let n = adapted.len();
            Some(LowRank {
                factors: cut(offset(first, SlotKind::LoraA)?, n * lora.rank * (inputs + width)),
                plan: LoraPlan { adapted, width, rank: lora.rank, scale: lora.scale() },
            })
        };
        let last = base.num_hidden_layers - 1;
        let layers = (0..base.num_hidden_layers)
            .map(|layer| {
                use Target::{AttentionOutput, Intermediate, Key, Output, Query, Value};
                let in_layer = |condition: bool, targets: &[Target]| {
                    condition.then(|| group(layer, targets)).flatten()
                };
                LayerLeaves {
                    fused: in_layer(layer != last, &[Query, Key, Value]),
                    query: in_layer(layer == last, &[Query]),
                    key_value: in_layer(layer == last, &[Key, Value]),
                    attention_output: group(layer, &[AttentionOutput]),
                    intermediate: group(layer, &[Intermediate]),
                    output: group(layer, &[Output]),
                }
            })
            .collect();
        // The head lies behind everything else.
        let head = base.hidden_size + 1;
        Self {
            layers,
            head: cut(layout.len() - head, head),
            dropout: lora.dropout,
            len: layout.len(),
        }
    }

    /// Weight and bias of the score head, `[H + 1]`.
    pub(super) fn head(&self) -> &Tensor<1> {
        &self.head.tensor
    }

    /// The lowest layer with a low-rank factor, and so the lowest that gradients have to reach.
    #[must_use]
    pub fn lowest_adapted(&self) -> Option<usize> {
        self.layers.iter().position(|layer| layer.factors().into_iter().flatten().next().is_some())
    }

    fn cuts(&self) -> Vec<&Cut> {
        let factors = self.layers.iter().flat_map(LayerLeaves::factors).flatten();
        let cuts = factors.map(|low_rank| &low_rank.factors).chain([&self.head]);
        let mut cuts: Vec<&Cut> = cuts.collect();
        cuts.sort_by_key(|cut| cut.offset);
        cuts
    }

    fn cuts_mut(&mut self) -> impl Iterator<Item = &mut Cut> {
        let factors = self.layers.iter_mut().flat_map(LayerLeaves::factors_mut).flatten();
        factors.map(|low_rank| &mut low_rank.factors).chain([&mut self.head])
    }

    /// The gradient by all parameters, flat `[P]`, on the device without autodiff.
    ///
    /// A tensor that the loss does not depend on has a gradient of zeros.
    #[must_use]
    pub fn gradient(&self, gradients: &Gradients) -> Tensor<1> {
        self.gather(std::slice::from_ref(gradients))
    }

    /// The same from a backward pass in several parts, each of which reached some of the leaves.
    #[must_use]
    pub fn gather(&self, parts: &[Gradients]) -> Tensor<1> {
        let pieces: Vec<(usize, Tensor<1>)> = self
            .cuts()
            .into_iter()
            .map(|cut| {
                let grad = parts.iter().find_map(|part| cut.tensor.grad(part));
                (cut.offset, grad.unwrap_or_else(|| cut.tensor.clone().inner().zeros_like()))
            })
            .collect();
        ops::join(&pieces, self.len)
    }
}
