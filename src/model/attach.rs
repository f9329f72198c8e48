//! Applies a tuning method to a base: determines its parameters, their order, and the modules that read them.

use std::ops::Range;
use std::sync::Arc;

use super::hook::{AttentionHook, LinearHook};
use super::layout::{Initial, Layout, SCORE_HEAD, SlotKind, Slots, TensorId};
use super::method::{BaseTensor, LinearSite, Part, TuningMethod};
use super::target::Target;
use crate::base::BertConfig;

/// Standard deviation of the score head's initial weights, BERT's `initializer_range`.
pub const HEAD_DEVIATION: f64 = 0.02;

/// The trainable tensors of a linear layer, or of several that run as one product.
#[derive(Clone, Debug, Default)]
pub(super) struct LinearTensors {
    /// Replaces the base's weight, `[out * in]`.
    pub weight: Option<TensorId>,
    /// Replaces the base's bias, `[out]`.
    pub bias: Option<TensorId>,
    /// What the method does there.
    pub hook: Option<Arc<dyn LinearHook>>,
}

/// Trainable tensors that replace those of a layer norm.
#[derive(Clone, Debug, Default)]
pub(super) struct NormTensors {
    pub gamma: Option<TensorId>,
    pub beta: Option<TensorId>,
}

/// The trainable tensors of an encoder layer.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTensors {
    /// What the method does in the attention.
    pub attention: Option<Arc<dyn AttentionHook>>,
    /// Query, key and value of a layer that runs them as one product.
    pub fused: LinearTensors,
    /// The query of a layer that computes it for `[CLS]` only.
    pub query: LinearTensors,
    /// Key and value of such a layer.
    pub key_value: LinearTensors,
    pub attention_output: LinearTensors,
    pub attention_norm: NormTensors,
    pub intermediate: LinearTensors,
    pub output: LinearTensors,
    pub output_norm: NormTensors,
    /// Of the layer norm after the last layer.
    pub last_norm: NormTensors,
}

impl LayerTensors {
    /// What the method does in the linear layers, in order of computation.
    pub fn hooks(&self) -> impl Iterator<Item = &dyn LinearHook> {
        let Self { fused, query, key_value, attention_output, intermediate, output, .. } = self;
        [fused, query, key_value, attention_output, intermediate, output]
            .into_iter()
            .filter_map(|linear| linear.hook.as_deref())
    }
}

/// The trainable tensors of the embeddings: the three tables, flat, their layer norm, and the projection.
#[derive(Clone, Debug, Default)]
pub(super) struct EmbeddingTensors {
    pub words: Option<TensorId>,
    pub positions: Option<TensorId>,
    pub types: Option<TensorId>,
    pub norm: NormTensors,
    pub projection: LinearTensors,
}

/// A method on a base.
#[derive(Debug)]
pub(super) struct Attached {
    pub layout: Layout,
    /// Elements of each trainable tensor in the flat parameters, by [`TensorId`].
    pub tensors: Vec<Range<usize>>,
    pub embeddings: EmbeddingTensors,
    pub layers: Vec<LayerTensors>,
    /// Weight and bias of the score head, `[H + 1]`.
    pub head: TensorId,
    /// The lowest layer in which something is trained.
    pub lowest: Option<usize>,
}

/// Lays out a method that was validated for the base.
pub(super) fn attach(base: &BertConfig, method: &dyn TuningMethod) -> Attached {
    let mut walk = Walk { base, method, slots: Slots::new(base) };
    let embeddings = walk.embeddings();
    let mut lowest = None;
    let layers = (0..base.num_hidden_layers)
        .map(|layer| {
            let before = walk.slots.tensors.len();
            let tensors = walk.layer(layer);
            if walk.slots.tensors.len() > before {
                lowest = lowest.or(Some(layer));
            }
            tensors
        })
        .collect();
    let mut slots = walk.slots;
    let hidden = base.hidden_size;
    let normal = Initial::Normal(HEAD_DEVIATION);
    let weight = slots.push(SCORE_HEAD.to_owned(), SlotKind::HEAD_WEIGHT, &[1, hidden], normal);
    let bias = slots.push(SCORE_HEAD.to_owned(), SlotKind::HEAD_BIAS, &[1], Initial::Zeros);
    let head = slots.tensor(weight.start..bias.end);
    Attached { layout: slots.layout, tensors: slots.tensors, embeddings, layers, head, lowest }
}

struct Walk<'a> {
    base: &'a BertConfig,
    method: &'a dyn TuningMethod,
    slots: Slots<'a>,
}

impl Walk<'_> {
    /// Whether the base has a tensor of this kind in this part, and the method trains it.
    fn trains(&self, part: Part, kind: SlotKind) -> bool {
        let is_bias = kind == SlotKind::BIAS;
        (!is_bias || self.base.architecture.has_biases())
            && self.method.trains(BaseTensor { part, is_bias })
    }

    /// A tensor of the base, if the method trains it.
    fn base_tensor(
        &mut self,
        module: &str,
        part: Part,
        kind: SlotKind,
        shape: &[usize],
    ) -> Option<TensorId> {
        self.trains(part, kind)
            .then(|| self.slots.push_tensor(module.to_owned(), kind, shape, Initial::BaseTensor))
    }

    fn embeddings(&mut self) -> EmbeddingTensors {
        let base = self.base;
        let (names, width) = (&base.architecture.embeddings, base.embedding_width());
        let mut table = |module: &str, rows| {
            self.base_tensor(module, Part::Embedding, SlotKind::WEIGHT, &[rows, width])
        };
        EmbeddingTensors {
            words: table(names.words, base.vocab_size),
            positions: names
                .positions
                .and_then(|module| table(module, base.max_position_embeddings)),
            types: names.types.and_then(|module| table(module, base.type_vocab_size)),
            norm: self.norm(names.norm, width),
            projection: base.projection().map_or_else(LinearTensors::default, |module| {
                let hidden = base.hidden_size;
                let (weight, bias) = (SlotKind::WEIGHT, SlotKind::BIAS);
                LinearTensors {
                    weight: self.base_tensor(module, Part::Embedding, weight, &[hidden, width]),
                    bias: self.base_tensor(module, Part::Embedding, bias, &[hidden]),
                    hook: None,
                }
            }),
        }
    }

    fn layer(&mut self, layer: usize) -> LayerTensors {
        use Target::{AttentionOutput, Intermediate, Key, Output, Query, Value};
        let names = &self.base.architecture.layer;
        let module = |path: &str| self.base.architecture.module(layer, path);
        let [attention, attention_norm, output_norm] =
            [names.attention, names.attention_norm, names.output_norm].map(module);
        let attention = self.method.attention(&attention, &mut self.slots);
        let mut tensors = LayerTensors { attention, ..LayerTensors::default() };
        let (architecture, last) =
            (self.base.architecture, layer + 1 == self.base.num_hidden_layers);
        if architecture.joins_projections() {
            tensors.fused = self.linear(layer, &[Query]);
        } else if last {
            tensors.query = self.linear(layer, &[Query]);
            tensors.key_value = self.linear(layer, &[Key, Value]);
        } else {
            tensors.fused = self.linear(layer, &[Query, Key, Value]);
        }
        tensors.attention_output = self.linear(layer, &[AttentionOutput]);
        if architecture.has_attention_norm(layer) {
            tensors.attention_norm = self.norm(&attention_norm, self.base.hidden_size);
        }
        tensors.intermediate = self.linear(layer, &[Intermediate]);
        tensors.output = self.linear(layer, &[Output]);
        tensors.output_norm = self.norm(&output_norm, self.base.hidden_size);
        if let Some(module) = architecture.last_norm().filter(|_| last) {
            tensors.last_norm = self.norm(module, self.base.hidden_size);
        }
        tensors
    }

    fn norm(&mut self, module: &str, width: usize) -> NormTensors {
        let shape = [width];
        NormTensors {
            gamma: self.base_tensor(module, Part::Norm, SlotKind::WEIGHT, &shape),
            beta: self.base_tensor(module, Part::Norm, SlotKind::BIAS, &shape),
        }
    }

    fn linear(&mut self, layer: usize, targets: &[Target]) -> LinearTensors {
        LinearTensors {
            weight: self.group(layer, targets, SlotKind::WEIGHT),
            bias: self.group(layer, targets, SlotKind::BIAS),
            hook: self
                .method
                .linear(&LinearSite { base: self.base, layer, targets }, &mut self.slots),
        }
    }

    /// The weights or the biases of linear layers that run as one product, as one tensor. A method trains
    /// those of all layers of a product, or of none.
    fn group(&mut self, layer: usize, targets: &[Target], kind: SlotKind) -> Option<TensorId> {
        if !targets.iter().all(|target| self.trains(Part::Linear(*target), kind)) {
            return None;
        }
        let is_bias = kind == SlotKind::BIAS;
        let start = self.slots.layout.len();
        for target in targets {
            let (outputs, inputs) = target.features(self.base);
            let shape: &[usize] = if is_bias { &[outputs] } else { &[outputs, inputs] };
            self.slots.push(
                target.module(self.base.architecture, layer),
                kind,
                shape,
                Initial::BaseTensor,
            );
        }
        let end = self.slots.layout.len();
        Some(self.slots.tensor(start..end))
    }
}
