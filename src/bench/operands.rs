//! An operation with its tensors.

use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::op::{self, Op, Product};
use super::shape::uniform;
use super::{Bench, SEED};
use crate::ops::{
    self, Activation, AddLayerNormInputs, AttentionKernels, AttentionSaved, ClsAttentionSaved,
    ClsRowsKernels, FrozenLinear, GeluKernels, LayerNormKernels, LayerNormSaved, LinearInputs,
    LinearKernels, LoraBackward, LoraGradInputs, LoraInputs, LoraLinearKernels, LoraPlan,
    Precision, SavedInput, ScoreHeadInputs, ScoreHeadKernels, Segments, Weights,
};
use crate::train::{self, AdamW, ListBatch, ListView, Moments};

/// Bound of the values in the tensors: small, so that sums do not overflow.
const LIMIT: f64 = 0.05;

/// Runs an operation once and waits for its result.
pub(super) type Launch<'a> = Box<dyn Fn() -> Tensor<2> + 'a>;

/// Creates tensors of seeded random values.
struct Source {
    rng: ChaCha8Rng,
    device: Device,
}

impl Source {
    fn draw<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = uniform(&mut self.rng, LIMIT).take(shape.iter().product()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn weights(&mut self, shape: [usize; 2], precision: Precision) -> Weights {
        let values: Vec<f32> = uniform(&mut self.rng, LIMIT).take(shape[0] * shape[1]).collect();
        Weights::new(&values, shape, precision, &self.device)
    }
}

/// The tensors of a linear layer.
struct Linear {
    x: Tensor<2>,
    w: Weights,
    bias: Tensor<1>,
    g: Tensor<2>,
    activation: Activation,
    /// Factors, their plan, and `x A^T`.
    low_rank: Option<(Tensor<1>, LoraPlan, Tensor<2>)>,
}

impl Linear {
    fn new(source: &mut Source, product: &Product, scale: f32) -> Self {
        let &Product { rows, inputs, outputs, gelu, .. } = product;
        let low_rank = product.low_rank.as_ref().map(|low_rank| {
            let (adapted, width, rank) = (low_rank.adapted.clone(), low_rank.width, low_rank.rank);
            let stacked = adapted.len() * rank;
            let factors = source.draw([stacked * (inputs + width)]);
            let u = source.draw([rows, stacked]);
            (factors, LoraPlan { adapted, width, rank, scale }, u)
        });
        Self {
            x: source.draw([rows, inputs]),
            w: source.weights([outputs, inputs], product.precision),
            bias: source.draw([outputs]),
            g: source.draw([rows, outputs]),
            activation: if gelu { Activation::Gelu } else { Activation::Identity },
            low_rank,
        }
    }

    fn forward(&self, kept: bool) -> Tensor<2> {
        let Self { x, w, bias, activation, .. } = self;
        match (&self.low_rank, kept) {
            (None, false) => ops::linear(x.clone(), w, bias, *activation).into_values(),
            (Some((factors, plan, _)), false) => {
                let layer = FrozenLinear { weight: w, bias, activation: *activation };
                ops::lora_linear(x.clone(), layer, factors, plan).into_values()
            }
            (None, true) => {
                let inputs = LinearInputs {
                    x: x.clone().into_dispatch(),
                    w: w.words.clone().into_dispatch(),
                    bias: bias.clone().into_dispatch(),
                    storage: w.storage,
                    activation: *activation,
                };
                first(Dispatch::base_linear_forward(inputs).y)
            }
            (Some((factors, plan, _)), true) => {
                let inputs = LoraInputs {
                    x: x.clone().into_dispatch(),
                    w: w.words.clone().into_dispatch(),
                    bias: bias.clone().into_dispatch(),
                    factors: factors.clone().into_dispatch(),
                    plan: plan.clone(),
                    storage: w.storage,
                    activation: *activation,
                };
                first(Dispatch::lora_linear_forward(inputs).y)
            }
        }
    }

    fn backward(&self) -> Tensor<2> {
        let (g, w) = (self.g.clone().into_dispatch(), self.w.words.clone().into_dispatch());
        let storage = self.w.storage;
        match &self.low_rank {
            None => first(Dispatch::base_linear_backward(g, w, storage)),
            // Of the size of x A^T, and so is its gradient.
            Some((factors, plan, v)) => {
                let (v, factors) = (v.clone().into_dispatch(), factors.clone().into_dispatch());
                let inputs = LoraBackward { w, v, factors, plan: plan.clone(), storage };
                first(Dispatch::lora_linear_backward(g, inputs))
            }
        }
    }

    /// Takes gamma and beta of the normalisation too that x may come from.
    fn grads(&self, from: op::Source, [gamma, beta]: &[Tensor<1>; 2]) -> Tensor<2> {
        let Some((factors, plan, u)) = &self.low_rank else { return self.g.clone() };
        let [g, x, u] = [&self.g, &self.x, u].map(|tensor| tensor.clone().into_dispatch());
        let [factors, gamma, beta] =
            [factors, gamma, beta].map(|tensor| tensor.clone().into_dispatch());
        let saved = match from {
            op::Source::Rows => SavedInput::Whole(x),
            op::Source::Gelu => SavedInput::BeforeGelu(x),
            op::Source::Normalised => SavedInput::Normalised { rows: x, gamma, beta },
        };
        let inputs = LoraGradInputs { saved, u, factors, plan: plan.clone() };
        row(Tensor::from_dispatch(Dispatch::lora_grads(g, inputs).factors))
    }
}

/// A matrix that an operation returned.
fn first(tensor: burn::backend::tensor::FloatTensor<Dispatch>) -> Tensor<2> {
    Tensor::from_dispatch(tensor)
}

fn row(vector: Tensor<1>) -> Tensor<2> {
    let [len] = vector.dims();
    vector.reshape([1, len])
}

impl Bench<'_> {
    /// The operation on tensors of the batch's sizes.
    pub(super) fn launch(&self, op: &Op) -> Launch<'_> {
        let device = self.encoder.device();
        let mut source = Source { rng: ChaCha8Rng::seed_from_u64(SEED), device: device.clone() };
        let (hidden, inner) = (self.base.hidden_size, self.base.intermediate_size);
        let (heads, epsilon) = (self.base.num_attention_heads, self.base.layer_norm_eps as f32);
        let (tokens, sequences) = (self.batch.len(), self.batch.sequences());
        let segments = Segments::new(&self.batch.offsets);
        let scale = self.lora.scale();
        match op {
            Op::Embed => {
                let words = source.draw([self.base.vocab_size, hidden]);
                let places = source.draw([self.base.max_position_embeddings, hidden]);
                let types = source.draw([self.base.type_vocab_size.max(1), hidden]);
                let (gamma, beta) = (source.draw([hidden]), source.draw([hidden]));
                let ids = [self.batch.tokens.as_slice(), &self.batch.positions].concat();
                let ids = Tensor::<1, Int>::from_ints(ids.as_slice(), &device);
                Box::new(move || {
                    let tables = ops::Tables { words: &words, positions: &places, types: &types };
                    ops::embed_layer_norm(tables, &gamma, &beta, ids.clone(), epsilon)
                })
            }
            Op::Linear(product, kept) => {
                let (linear, kept) = (Linear::new(&mut source, product, scale), *kept);
                Box::new(move || linear.forward(kept))
            }
            Op::LinearBackward(product) => {
                let linear = Linear::new(&mut source, product, scale);
                Box::new(move || linear.backward())
            }
            Op::LoraGrads(product, from) => {
                let linear = Linear::new(&mut source, product, scale);
                let (scales, from) = ([0, 1].map(|_| source.draw([product.inputs])), *from);
                Box::new(move || linear.grads(from, &scales))
            }
            Op::Attention { kept: false } => {
                let qkv = source.draw([tokens, 3 * hidden]);
                Box::new(move || ops::attention(qkv.clone(), &segments, heads))
            }
            Op::Attention { kept: true } => {
                let qkv = source.draw([tokens, 3 * hidden]);
                Box::new(move || {
                    let qkv = qkv.clone().into_dispatch();
                    first(Dispatch::packed_attention_forward(qkv, segments.clone(), heads).out)
                })
            }
            Op::AttentionBackward => {
                let (g, qkv) = (source.draw([tokens, hidden]), source.draw([tokens, 3 * hidden]));
                let input = qkv.clone().into_dispatch();
                let forward = Dispatch::packed_attention_forward(input, segments.clone(), heads);
                let (out, sums) = (first(forward.out), first(forward.log_sums));
                Box::new(move || {
                    let [g, qkv, out, log_sums] =
                        [&g, &qkv, &out, &sums].map(|tensor| tensor.clone().into_dispatch());
                    let segments = segments.clone();
                    let saved = AttentionSaved { qkv, out, log_sums, segments, heads };
                    first(Dispatch::packed_attention_backward(g, saved))
                })
            }
            Op::AttentionCls { kept } => {
                let q = source.draw([sequences, hidden]);
                let (kv, kept) = (source.draw([tokens, 2 * hidden]), *kept);
                Box::new(move || {
                    if !kept {
                        return ops::attention_cls(q.clone(), kv.clone(), &segments, heads);
                    }
                    let [q, kv] = [&q, &kv].map(|tensor| tensor.clone().into_dispatch());
                    first(Dispatch::attention_cls_forward(q, kv, segments.clone(), heads).out)
                })
            }
            Op::AttentionClsBackward => {
                let [g, q] = [0, 1].map(|_| source.draw([sequences, hidden]));
                let kv = source.draw([tokens, 2 * hidden]);
                let [query, input] = [&q, &kv].map(|tensor| tensor.clone().into_dispatch());
                let forward =
                    Dispatch::attention_cls_forward(query, input, segments.clone(), heads);
                let (out, sums) = (first(forward.out), first(forward.log_sums));
                Box::new(move || {
                    let [g, q, kv, out, log_sums] =
                        [&g, &q, &kv, &out, &sums].map(|tensor| tensor.clone().into_dispatch());
                    let segments = segments.clone();
                    let saved = ClsAttentionSaved { q, kv, out, log_sums, segments, heads };
                    first(Dispatch::attention_cls_backward(g, saved).q)
                })
            }
            Op::AddLayerNorm { rows, kept } => {
                let [x, residual] = [0, 1].map(|_| source.draw([*rows, hidden]));
                let [gamma, beta] = [0, 1].map(|_| source.draw([hidden]));
                let kept = *kept;
                Box::new(move || {
                    if !kept {
                        let (x, residual) = (x.clone(), residual.clone());
                        return ops::add_layer_norm(x, residual, &gamma, &beta, epsilon)
                            .into_values();
                    }
                    let [x, residual] = [&x, &residual].map(|t| t.clone().into_dispatch());
                    let [gamma, beta] = [&gamma, &beta].map(|t| t.clone().into_dispatch());
                    let inputs = AddLayerNormInputs { x, residual, gamma, beta, epsilon };
                    first(Dispatch::add_layer_norm_forward(inputs).y)
                })
            }
            Op::AddLayerNormBackward { rows } => {
                let [g, normalised] = [0, 1].map(|_| source.draw([*rows, hidden]));
                let (inverse, gamma) = (source.draw([*rows, 1]), source.draw([hidden]));
                Box::new(move || {
                    let [g, normalised, inverse_deviation] =
                        [&g, &normalised, &inverse].map(|t| t.clone().into_dispatch());
                    let gamma = gamma.clone().into_dispatch();
                    let saved = LayerNormSaved { normalised, inverse_deviation, gamma };
                    first(Dispatch::add_layer_norm_backward(g, saved))
                })
            }
            Op::GeluBackward { rows } => {
                let [g, x] = [0, 1].map(|_| source.draw([*rows, inner]));
                Box::new(move || {
                    let [g, x] = [&g, &x].map(|tensor| tensor.clone().into_dispatch());
                    first(Dispatch::gelu_exact_backward(g, x))
                })
            }
            Op::GatherCls => {
                let x = source.draw([tokens, hidden]);
                Box::new(move || ops::gather_cls(x.clone(), &segments))
            }
            Op::ScatterCls => {
                let g = source.draw([sequences, hidden]);
                Box::new(move || {
                    first(Dispatch::scatter_cls(g.clone().into_dispatch(), segments.clone()))
                })
            }
            Op::AddGradients { rows } => {
                let [a, b] = [0, 1].map(|_| source.draw([*rows, hidden]));
                Box::new(move || a.clone().add(b.clone()))
            }
            Op::ScoreHead => {
                let (cls, head) = (source.draw([sequences, hidden]), source.draw([hidden + 1]));
                Box::new(move || row(ops::score_head(cls.clone(), &head)))
            }
            Op::ScoreHeadBackward => {
                let (g, cls) = (source.draw([sequences]), source.draw([sequences, hidden]));
                let head = source.draw([hidden + 1]);
                Box::new(move || {
                    let (g, cls) = (g.clone().into_dispatch(), cls.clone().into_dispatch());
                    let inputs = ScoreHeadInputs { cls, head: head.clone().into_dispatch() };
                    first(Dispatch::score_head_backward(g, inputs).cls)
                })
            }
            Op::Loss { .. } => {
                let scores = source.draw([sequences]);
                let views: Vec<ListView<'_>> = self
                    .data
                    .lists
                    .iter()
                    .map(|list| ListView {
                        first: &list.first,
                        errors: &list.errors,
                        rows: &list.sequences,
                    })
                    .collect();
                let config = &self.config;
                let lists =
                    ListBatch::new(config.objective, config.label_smoothing, config.beta, &views);
                Box::new(move || {
                    let scores = scores.clone().autodiff().require_grad();
                    let grads = lists.loss(scores.clone()).backward();
                    // Nothing else could have been asked for: the scores are the only leaf.
                    row(scores.grad(&grads).unwrap_or_else(|| scores.inner()))
                })
            }
            Op::Optimizer { parameters } => {
                let [p, g] = [0, 1].map(|_| source.draw([*parameters]));
                let moments = Moments::zeros(*parameters, &device);
                let optimizer = AdamW::new(self.config.weight_decay, self.config.clip_norm);
                Box::new(move || {
                    let (p, g, moments) = (p.clone(), g.clone(), moments.clone());
                    row(train::step(optimizer, p, g, moments, 1e-5).parameters)
                })
            }
        }
    }
}
