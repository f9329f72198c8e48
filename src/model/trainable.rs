//! The flat parameters as the tensors that the encoder multiplies with.

use burn::tensor::{Device, Gradients, Tensor};

use super::layout::{Adapter, Layout, SlotKind};
use super::lora::{LoraConfig, Target};
use super::method::Method;
use crate::base::BertConfig;
use crate::ops::{self, LoraPlan};

/// Part of the flat parameters.
#[derive(Clone, Debug)]
struct Cut {
    offset: usize,
    tensor: Tensor<1>,
}

/// Which cut holds a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// The low-rank factors of one linear layer, or of several that run as one product.
#[derive(Clone, Debug)]
pub(super) struct LowRank {
    /// The stacked A `[n r, in]` and then the stacked B `[n out, r]`, end to end.
    pub factors: Place,
    pub plan: LoraPlan,
    /// DoRA's lengths of the adapted rows, `[n out]`.
    pub magnitude: Option<Place>,
    /// AdaLoRA's factors between A and B, `[n r]`.
    pub gate: Option<Place>,
}

/// A bottleneck behind a linear layer: weight and bias, down `[m, H]`, `[m]` and up `[H, m]`, `[H]`.
#[derive(Clone, Debug)]
pub(super) struct Bottleneck {
    pub down: [Place; 2],
    pub up: [Place; 2],
}

/// What is trained of a linear layer, or of several that run as one product.
#[derive(Clone, Debug, Default)]
pub(super) struct LinearTensors {
    pub low_rank: Option<LowRank>,
    /// Instead of the base's, `[out * in]`.
    pub weight: Option<Place>,
    /// Instead of the base's, `[out]`.
    pub bias: Option<Place>,
    pub bottleneck: Option<Bottleneck>,
}

/// What is trained of a layer normalisation, `[H]` each, instead of the base's.
#[derive(Clone, Debug, Default)]
pub(super) struct NormTensors {
    pub gamma: Option<Place>,
    pub beta: Option<Place>,
}

/// What is trained of one encoder layer.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTensors {
    /// Keys and values of the prefix, `[P * H]` each.
    pub prefix: Option<[Place; 2]>,
    /// Query, key and value of a layer that runs them as one product.
    pub fused: LinearTensors,
    /// The query of a layer that computes it for `[CLS]` alone.
    pub query: LinearTensors,
    /// Key and value of such a layer.
    pub key_value: LinearTensors,
    pub attention_output: LinearTensors,
    pub attention_norm: NormTensors,
    pub intermediate: LinearTensors,
    pub output: LinearTensors,
    pub output_norm: NormTensors,
}

impl LayerTensors {
    fn low_ranks(&self) -> impl Iterator<Item = &LowRank> {
        let Self { fused, query, key_value, attention_output, intermediate, output, .. } = self;
        [fused, query, key_value, attention_output, intermediate, output]
            .into_iter()
            .filter_map(|linear| linear.low_rank.as_ref())
    }
}

/// What is trained of the embeddings: the three tables, flat, and their normalisation.
#[derive(Clone, Debug, Default)]
pub(super) struct EmbeddingTensors {
    pub words: Option<Place>,
    pub positions: Option<Place>,
    pub types: Option<Place>,
    pub norm: NormTensors,
}

/// An adapter's parameters on a device, ready for the encoder.
///
/// All of them are views of one flat tensor, so that a step of the optimiser is one operation on
/// one buffer. The gradient comes back in the same flat order.
#[derive(Clone, Debug)]
pub struct TrainableTensors {
    cuts: Vec<Cut>,
    pub(super) embeddings: EmbeddingTensors,
    pub(super) layers: Vec<LayerTensors>,
    head: Place,
    /// Probability of dropping an input of A in training.
    pub(super) dropout: f32,
    /// Tokens of the prefix, P; 0 where there is none.
    pub(super) prefix_length: usize,
    /// The lowest layer with a tensor that is trained; `None` where there is none above the embeddings.
    lowest: Option<usize>,
    len: usize,
}

impl TrainableTensors {
    /// An adapter's parameters on `device`, without gradients: for scoring.
    #[must_use]
    pub fn new(base: &BertConfig, adapter: &Adapter, device: &Device) -> Self {
        let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), &device.clone().inner());
        Self::untracked(base, &adapter.method, &adapter.layout, &flat)
    }

    /// No adapter at all, and a score head of zeros: for the bare encoder's `[CLS]`.
    #[must_use]
    pub fn bare(base: &BertConfig, device: &Device) -> Self {
        let len = base.hidden_size + 1;
        let head = Tensor::zeros([len], &device.clone().inner());
        Self {
            cuts: vec![Cut { offset: 0, tensor: head }],
            embeddings: EmbeddingTensors::default(),
            layers: vec![LayerTensors::default(); base.num_hidden_layers],
            head: Place(0),
            dropout: 0.0,
            prefix_length: 0,
            lowest: None,
            len,
        }
    }

    /// The flat parameters `flat [P]`, tracked by autodiff: for training.
    #[must_use]
    pub fn tracked(base: &BertConfig, method: &Method, layout: &Layout, flat: &Tensor<1>) -> Self {
        Self::untracked(base, method, layout, flat).track()
    }

    /// Untracked leaves, tracked by autodiff from now on. The numbers are shared, not copied.
    #[must_use]
    pub fn track(&self) -> Self {
        let mut trainable = self.clone();
        for cut in &mut trainable.cuts {
            cut.tensor = cut.tensor.clone().autodiff().require_grad();
        }
        trainable
    }

    /// The flat parameters `flat [P]` on their own device, without gradients.
    #[must_use]
    pub fn untracked(
        base: &BertConfig,
        method: &Method,
        layout: &Layout,
        flat: &Tensor<1>,
    ) -> Self {
        let mut cutter = Cutter { base, lora: method.lora(), layout, flat, cuts: Vec::new() };
        let mut lowest = None;
        let embeddings = cutter.embeddings();
        let layers = (0..base.num_hidden_layers)
            .map(|layer| {
                let before = cutter.cuts.len();
                let trainable = cutter.layer(layer);
                if cutter.cuts.len() > before {
                    lowest = lowest.or(Some(layer));
                }
                trainable
            })
            .collect();
        // The head lies behind everything else.
        let head = base.hidden_size + 1;
        let head = cutter.cut(layout.len() - head, head);
        let prefix_length = if let Method::Prefix { length } = method { *length } else { 0 };
        Self {
            cuts: cutter.cuts,
            embeddings,
            layers,
            head,
            dropout: method.dropout(),
            prefix_length,
            lowest,
            len: layout.len(),
        }
    }

    /// The tensor at a place, flat.
    pub(super) fn at(&self, place: Place) -> &Tensor<1> {
        &self.cuts[place.0].tensor
    }

    /// The stacked A and then the stacked B, end to end, as they are multiplied with: rows of A times
    /// AdaLoRA's factors, where there are any.
    pub(super) fn factors(&self, low_rank: &LowRank) -> Tensor<1> {
        let Some(gate) = low_rank.gate else { return self.at(low_rank.factors).clone() };
        let [a, b] = self.split(low_rank);
        let gate = self.at(gate).clone().reshape([low_rank.plan.stacked_rank(), 1]);
        Tensor::cat(vec![(a * gate).flatten(0, 1), b.flatten(0, 1)], 0)
    }

    /// The stacked A `[n r, in]` and the stacked B `[n out, r]`.
    fn split(&self, low_rank: &LowRank) -> [Tensor<2>; 2] {
        let (flat, plan) = (self.at(low_rank.factors), &low_rank.plan);
        let [len] = flat.dims();
        let (stacked, inputs) = (plan.stacked_rank(), plan.inputs(len));
        let part = |range| flat.clone().slice_dim(0, range);
        [
            part(0..stacked * inputs).reshape([stacked, inputs]),
            part(stacked * inputs..len).reshape([plan.adapted.len() * plan.width, plan.rank]),
        ]
    }

    /// How far AdaLoRA's A and B are from orthogonal, `[1]`: the mean over all of them of `|A A^T - I|`
    /// and `|B^T B - I|` (Frobenius norms). `None` without such factors.
    #[must_use]
    pub fn orthogonality(&self) -> Option<Tensor<1>> {
        let mut terms = Vec::new();
        for low_rank in self.layers.iter().flat_map(LayerTensors::low_ranks) {
            if low_rank.gate.is_none() {
                continue;
            }
            let [a, b] = self.split(low_rank);
            let (rank, width) = (low_rank.plan.rank, low_rank.plan.width);
            let unit = Tensor::<2>::eye(rank, &a.device().inner());
            for j in 0..low_rank.plan.adapted.len() {
                let a = a.clone().slice_dim(0, j * rank..(j + 1) * rank);
                let b = b.clone().slice_dim(0, j * width..(j + 1) * width);
                for rows in [a, b.transpose()] {
                    let gram = ops::product(rows.clone(), rows);
                    let off = (gram - unit.clone()).square();
                    terms.push(off.sum_dim(0).sum_dim(1).sqrt().reshape([1]));
                }
            }
        }
        let count = terms.len() as f64;
        terms.into_iter().reduce(|sum, term| sum + term).map(|sum| sum.div_scalar(count))
    }

    /// Weight and bias of the score head, `[H + 1]`.
    pub(super) fn head(&self) -> &Tensor<1> {
        self.at(self.head)
    }

    /// The lowest layer of which something is trained, and so the lowest that gradients have to reach.
    #[must_use]
    pub fn lowest_trained(&self) -> Option<usize> {
        self.lowest
    }

    /// Whether a table of the embeddings, or their normalisation, is trained.
    #[must_use]
    pub fn embeddings_trained(&self) -> bool {
        let EmbeddingTensors { words, positions, types, norm } = &self.embeddings;
        [words, positions, types, &norm.gamma, &norm.beta].into_iter().any(Option::is_some)
    }

    /// The gradient by all parameters, flat `[P]`, on the device without autodiff.
    ///
    /// A tensor that the loss does not depend on has a gradient of zeros.
    #[must_use]
    pub fn gradient(&self, gradients: &Gradients) -> Tensor<1> {
        self.gather(std::slice::from_ref(gradients))
    }

    /// The same from a backward pass in several parts, each of which reached some of the leaves; what two
    /// have reached is added up.
    #[must_use]
    pub fn gather(&self, parts: &[Gradients]) -> Tensor<1> {
        let pieces: Vec<(usize, Tensor<1>)> = self
            .cuts
            .iter()
            .map(|cut| {
                let grads = parts.iter().filter_map(|part| cut.tensor.grad(part));
                let grad = grads.reduce(|sum, grad| sum + grad);
                (cut.offset, grad.unwrap_or_else(|| cut.tensor.clone().inner().zeros_like()))
            })
            .collect();
        ops::join(&pieces, self.len)
    }
}

/// Cuts the flat parameters. What runs as one product lies end to end, so it is one cut.
struct Cutter<'a> {
    base: &'a BertConfig,
    lora: Option<&'a LoraConfig>,
    layout: &'a Layout,
    flat: &'a Tensor<1>,
    cuts: Vec<Cut>,
}

impl Cutter<'_> {
    fn cut(&mut self, offset: usize, len: usize) -> Place {
        self.cuts.push(Cut { offset, tensor: ops::cut(self.flat, offset, len) });
        Place(self.cuts.len() - 1)
    }

    /// A module's tensor, if it is trained.
    fn slot(&mut self, module: &str, kind: SlotKind) -> Option<Place> {
        let slot = self.layout.find(module, kind)?;
        Some(self.cut(slot.offset, slot.size()))
    }

    fn embeddings(&mut self) -> EmbeddingTensors {
        let names = &self.base.architecture.embeddings;
        EmbeddingTensors {
            words: self.slot(names.words, SlotKind::Weight),
            positions: self.slot(names.positions, SlotKind::Weight),
            types: names.types.and_then(|module| self.slot(module, SlotKind::Weight)),
            norm: self.norm(names.norm),
        }
    }

    fn layer(&mut self, layer: usize) -> LayerTensors {
        use Target::{AttentionOutput, Intermediate, Key, Output, Query, Value};
        let architecture = self.base.architecture;
        let names = &architecture.layer;
        let mut trainable = LayerTensors {
            prefix: self.prefix(layer),
            attention_output: self.linear(layer, &[AttentionOutput]),
            attention_norm: self.norm(&architecture.module(layer, names.attention_norm)),
            intermediate: self.linear(layer, &[Intermediate]),
            output: self.linear(layer, &[Output]),
            output_norm: self.norm(&architecture.module(layer, names.output_norm)),
            ..LayerTensors::default()
        };
        if layer + 1 == self.base.num_hidden_layers {
            trainable.query = self.linear(layer, &[Query]);
            trainable.key_value = self.linear(layer, &[Key, Value]);
        } else {
            trainable.fused = self.linear(layer, &[Query, Key, Value]);
        }
        trainable
    }

    fn prefix(&mut self, layer: usize) -> Option<[Place; 2]> {
        let architecture = self.base.architecture;
        let module = architecture.module(layer, architecture.layer.attention);
        let keys = self.slot(&module, SlotKind::PrefixKey)?;
        self.slot(&module, SlotKind::PrefixValue).map(|values| [keys, values])
    }

    fn norm(&mut self, module: &str) -> NormTensors {
        NormTensors {
            gamma: self.slot(module, SlotKind::Weight),
            beta: self.slot(module, SlotKind::Bias),
        }
    }

    fn linear(&mut self, layer: usize, targets: &[Target]) -> LinearTensors {
        let architecture = self.base.architecture;
        let bottleneck = match targets {
            [Target::AttentionOutput] => Some(architecture.layer.attention_bottleneck),
            [Target::Output] => Some(architecture.layer.output_bottleneck),
            _ => None,
        };
        let bottleneck =
            bottleneck.and_then(|path| self.bottleneck(&architecture.module(layer, path)));
        LinearTensors {
            low_rank: self.low_rank(layer, targets),
            weight: self.group(layer, targets, SlotKind::Weight),
            bias: self.group(layer, targets, SlotKind::Bias),
            bottleneck,
        }
    }

    /// The tensors of one kind of all targets, which are trained together or not at all.
    fn group(&mut self, layer: usize, targets: &[Target], kind: SlotKind) -> Option<Place> {
        let architecture = self.base.architecture;
        let find = |target: &Target| self.layout.find(&target.module(architecture, layer), kind);
        let offset = find(targets.first()?)?.offset;
        let len = targets.iter().filter_map(find).map(|slot| slot.size()).sum();
        Some(self.cut(offset, len))
    }

    fn low_rank(&mut self, layer: usize, targets: &[Target]) -> Option<LowRank> {
        let lora = self.lora?;
        let offset = |target: Target, kind| {
            let module = target.module(self.base.architecture, layer);
            self.layout.find(&module, kind).map(|slot| slot.offset)
        };
        let adapted: Vec<usize> =
            (0..targets.len()).filter(|&i| offset(targets[i], SlotKind::LoraA).is_some()).collect();
        let first = targets[*adapted.first()?];
        let (width, inputs) = first.features(self.base);
        let begin = offset(first, SlotKind::LoraA)?;
        let factors = self.cut(begin, adapted.len() * lora.rank * (inputs + width));
        let plan = LoraPlan { adapted, width, rank: lora.rank, scale: lora.scale() };
        let magnitude = offset(first, SlotKind::Magnitude);
        let magnitude = magnitude.map(|begin| self.cut(begin, plan.adapted.len() * width));
        let gate = offset(first, SlotKind::LoraE);
        let gate = gate.map(|begin| self.cut(begin, plan.stacked_rank()));
        Some(LowRank { factors, plan, magnitude, gate })
    }

    fn bottleneck(&mut self, module: &str) -> Option<Bottleneck> {
        let mut pair = |part: &str| {
            let module = format!("{module}.{part}");
            let weight = self.slot(&module, SlotKind::Weight)?;
            self.slot(&module, SlotKind::Bias).map(|bias| [weight, bias])
        };
        let down = pair("down")?;
        pair("up").map(|up| Bottleneck { down, up })
    }
}
