//! BERT's encoder with what is trained of it or beside it, on packed sequences, up to `[CLS]` and its score.
//!
//! Post-LN, exact GELU, no dropout in the base: Devlin et al., arXiv 1810.04805, with the numerics
//! of Transformers' `BertModel`. Only `[CLS]` of the last layer is wanted, so that layer computes
//! queries, output projection and feed-forward for those rows alone.

mod dora;
mod merge;
mod prefix;

use std::cell::OnceCell;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::batch::PackedBatch;
use super::error::ModelError;
use super::trainable::{
    Bottleneck, LayerTensors, LinearTensors, NormTensors, Place, TrainableTensors,
};
use crate::base::{Architecture, BaseWeights, BertConfig};
use crate::ops::{
    self, Activation, Activations, FrozenLinear, Precision, Segments, Storage, Weights,
};
use crate::packed::Packed;

use prefix::Prefixed;

/// A frozen linear layer: weight `[out, in]`, bias `[out]`.
#[derive(Clone, Debug)]
struct Linear {
    weight: Weights,
    bias: Tensor<1>,
}

/// A frozen layer normalisation: `[H]` each.
#[derive(Clone, Debug)]
struct LayerNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
}

/// Query, key and value projections.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one of them a layer, all in one vector")]
enum Projections {
    /// All three as one product, `[3H, H]`.
    Fused(Linear),
    /// For the last layer: the query for `[CLS]` alone; key and value as one product, `[2H, H]`.
    Split { query: Linear, key_value: Linear },
}

#[derive(Clone, Debug)]
struct Layer {
    projections: Projections,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

#[derive(Clone, Debug)]
struct Embeddings {
    words: Tensor<2>,
    positions: Tensor<2>,
    /// Of which row 0 is used.
    types: Tensor<2>,
    norm: LayerNorm,
    /// Row of `positions` that the first token takes.
    first_position: usize,
}

/// What the model says of a batch.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Last hidden state of each sequence's `[CLS]`, `[S, H]`.
    pub cls: Tensor<2>,
    /// Score of each sequence, `[S]`: `w . cls + b`.
    pub scores: Tensor<1>,
}

/// A frozen base on a device.
#[derive(Clone, Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    heads: usize,
}

/// Takes tensors of the base and puts them on the device.
struct Loader<'a> {
    weights: &'a mut BaseWeights,
    device: Device,
    precision: Precision,
    epsilon: f32,
}

impl Loader<'_> {
    /// An embedding, `[rows, H]`.
    fn table(&mut self, module: &str) -> Result<Tensor<2>, ModelError> {
        let tensor = self.weights.take(&format!("{module}.weight"))?;
        Ok(Tensor::from_data(TensorData::new(tensor.data, tensor.shape), &self.device))
    }

    fn vector(&mut self, name: &str) -> Result<Tensor<1>, ModelError> {
        let tensor = self.weights.take(name)?;
        Ok(Tensor::from_data(TensorData::new(tensor.data, tensor.shape), &self.device))
    }

    /// Several linear layers of equal input as one, their outputs side by side.
    fn linear<const N: usize>(&mut self, modules: [String; N]) -> Result<Linear, ModelError> {
        let (mut weight, mut bias) = (None::<Packed>, Vec::new());
        for module in &modules {
            let name = format!("{module}.weight");
            let part = self.weights.take_packed(&name)?.to(self.precision);
            match &mut weight {
                Some(above) => above.append(part),
                None => weight = Some(part),
            }
            bias.extend(self.weights.take(&format!("{module}.bias"))?.data);
        }
        let Some(weight) = weight else { unreachable!("one linear layer at least") };
        let outputs = bias.len();
        let shape = [outputs, weight.count() / outputs];
        Ok(Linear {
            weight: Weights::from_host(weight, shape, &self.device),
            bias: Tensor::from_data(TensorData::new(bias, [outputs]), &self.device),
        })
    }

    fn norm(&mut self, module: &str) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm {
            gamma: self.vector(&format!("{module}.weight"))?,
            beta: self.vector(&format!("{module}.bias"))?,
            epsilon: self.epsilon,
        })
    }

    fn layer(
        &mut self,
        architecture: &Architecture,
        index: usize,
        last: bool,
    ) -> Result<Layer, ModelError> {
        let names = &architecture.layer;
        let name = |path: &str| architecture.module(index, path);
        let [query, key, value] =
            [names.query, names.key, names.value].map(|linear| name(linear.path));
        let projections = if last {
            let query = self.linear([query])?;
            Projections::Split { query, key_value: self.linear([key, value])? }
        } else {
            Projections::Fused(self.linear([query, key, value])?)
        };
        Ok(Layer {
            projections,
            attention_output: self.linear([name(names.attention_output.path)])?,
            attention_norm: self.norm(&name(names.attention_norm))?,
            intermediate: self.linear([name(names.intermediate.path)])?,
            output: self.linear([name(names.output.path)])?,
            output_norm: self.norm(&name(names.output_norm))?,
        })
    }
}

impl Encoder {
    /// Puts a base on `device`, tensor by tensor.
    ///
    /// # Errors
    /// [`ModelError::Base`] names the tensor that is missing, of a wrong shape or type, or not
    /// finite.
    pub fn new(
        config: &BertConfig,
        weights: &mut BaseWeights,
        device: &Device,
    ) -> Result<Self, ModelError> {
        Self::with_precision(config, weights, Precision::F32, device)
    }

    /// [`new`](Self::new), with the linear layers' weights in fewer bits. A GPU keeps them so; the
    /// CPU path rounds them alike, for equal scores, and keeps them in full.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_precision(
        config: &BertConfig,
        weights: &mut BaseWeights,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let epsilon = config.layer_norm_eps as f32;
        let mut loader = Loader { weights, device: device.clone().inner(), precision, epsilon };
        let names = &config.architecture.embeddings;
        let embeddings = Embeddings {
            words: loader.table(names.words)?,
            positions: loader.table(names.positions)?,
            // A row of zeros adds nothing, and the kernel stays the same.
            types: match names.types {
                Some(module) => loader.table(module)?,
                None => Tensor::zeros([1, config.hidden_size], &loader.device),
            },
            norm: loader.norm(names.norm)?,
            first_position: config.architecture.first_position,
        };
        let count = config.num_hidden_layers;
        let layers: Result<_, ModelError> = (0..count)
            .map(|index| loader.layer(config.architecture, index, index + 1 == count))
            .collect();
        Ok(Self { embeddings, layers: layers?, heads: config.num_attention_heads })
    }

    /// The first and the last layer alone, of the base and of an adapter, on the same tensors. For scores that
    /// mean nothing they take every kernel of the whole, where the adapter treats all layers alike.
    #[must_use]
    pub fn ends(&self, trainable: &TrainableTensors) -> (Self, TrainableTensors) {
        let (mut encoder, mut trainable) = (self.clone(), trainable.clone());
        let between = 1..encoder.layers.len().saturating_sub(1).max(1);
        encoder.layers.drain(between.clone());
        trainable.layers.drain(between);
        (encoder, trainable)
    }

    /// The device that the weights are on, without autodiff.
    #[must_use]
    pub fn device(&self) -> Device {
        self.embeddings.words.device()
    }

    /// Runs the encoder over a batch of at least one sequence.
    ///
    /// `dropout` is the seed of this step's dropout on the low-rank paths; `None` outside
    /// training. Query, key and value of a layer share one dropout mask, where PEFT draws three.
    #[must_use]
    pub fn forward(
        &self,
        batch: &PackedBatch,
        trainable: &TrainableTensors,
        dropout: Option<u64>,
    ) -> Forward {
        let stages = self.stages(batch, dropout);
        let embedded = Activations::from(stages.embed(trainable));
        let x = (0..stages.layers()).fold(embedded, |x, layer| stages.layer(layer, x, trainable));
        stages.score(x.into_values(), trainable)
    }

    /// The same as [`Encoder::forward`], layer by layer.
    #[must_use]
    pub fn stages<'a>(&'a self, batch: &'a PackedBatch, dropout: Option<u64>) -> Stages<'a> {
        let (segments, prefixed) = (batch.segments(), OnceCell::new());
        Stages { encoder: self, batch, segments, prefixed, dropout }
    }

    /// Embeddings of the vocabulary, `[V, H]`.
    pub(super) fn words(&self) -> &Tensor<2> {
        &self.embeddings.words
    }

    fn embed(&self, batch: &PackedBatch, trainable: &TrainableTensors) -> Tensor<2> {
        let device = self.device();
        // A prefix counts as tokens that came before, as in Transformers. Of a text that fills all
        // positions by itself, the last tokens share the last one.
        let last = self.embeddings.positions.dims()[0] as i32 - 1;
        let first = (self.embeddings.first_position + trainable.prefix_length) as i32;
        let place = |position: &i32| (position + first).min(last);
        let positions = batch.positions.iter().map(place);
        let ids: Vec<i32> = batch.tokens.iter().copied().chain(positions).collect();
        let Embeddings { words, positions, types, norm, .. } = &self.embeddings;
        let trained = &trainable.embeddings;
        let [words, positions, types] =
            [(words, trained.words), (positions, trained.positions), (types, trained.types)].map(
                |(table, place)| match place {
                    Some(place) => trainable.at(place).clone().reshape(table.dims()),
                    None => table.clone(),
                },
            );
        ops::embed_layer_norm(
            ops::Tables { words: &words, positions: &positions, types: &types },
            trained.norm.gamma.map_or(&norm.gamma, |place| trainable.at(place)),
            trained.norm.beta.map_or(&norm.beta, |place| trainable.at(place)),
            Tensor::<1, Int>::from_ints(ids.as_slice(), &device),
            norm.epsilon,
        )
    }
}

/// An encoder at work on one batch. A layer gives the same result however often it is run: its
/// dropout is drawn from the batch's seed and the layer's number alone.
#[derive(Clone, Debug)]
pub struct Stages<'a> {
    encoder: &'a Encoder,
    batch: &'a PackedBatch,
    segments: Segments,
    /// The sequences with a prefix before each, once for all layers.
    prefixed: OnceCell<Prefixed>,
    dropout: Option<u64>,
}

impl Stages<'_> {
    /// Number of layers, 1 or more.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.encoder.layers.len()
    }

    /// Input of the first layer, `[T, H]`.
    #[must_use]
    pub fn embed(&self, trainable: &TrainableTensors) -> Tensor<2> {
        self.encoder.embed(self.batch, trainable)
    }

    /// Runs one layer, counted from 0: `[T, H]` to `[T, H]`, of the last layer to `[S, H]`.
    ///
    /// # Panics
    /// When there is no such layer.
    #[must_use]
    pub fn layer(&self, index: usize, x: Activations, trainable: &TrainableTensors) -> Activations {
        let device = self.encoder.device();
        let prefixed = (trainable.prefix_length > 0).then(|| {
            self.prefixed
                .get_or_init(|| Prefixed::new(&self.segments, trainable.prefix_length, &device))
        });
        let mut run = Run {
            trainable,
            segments: &self.segments,
            prefixed,
            heads: self.encoder.heads,
            dropout: Dropout::new(trainable.dropout, self.dropout, index),
        };
        self.encoder.layers[index].forward(x, &trainable.layers[index], &mut run)
    }

    /// Scores what the last layer gives, `[S, H]`.
    #[must_use]
    pub fn score(&self, cls: Tensor<2>, trainable: &TrainableTensors) -> Forward {
        let scores = ops::score_head(cls.clone(), trainable.head());
        Forward { cls, scores }
    }
}

/// What a layer needs beside its input and what is trained of it.
struct Run<'a> {
    trainable: &'a TrainableTensors,
    segments: &'a Segments,
    prefixed: Option<&'a Prefixed>,
    heads: usize,
    dropout: Dropout,
}

impl Run<'_> {
    /// Attention of all rows, with the layer's prefix if there is one.
    fn attention(&self, qkv: Tensor<2>, own: &LayerTensors) -> Tensor<2> {
        match self.prefix(own) {
            None => ops::attention(qkv, self.segments, self.heads),
            Some((prefixed, [keys, values])) => {
                let rows = Tensor::cat(vec![keys.zeros_like(), keys, values], 1);
                let qkv = prefixed.insert(rows, qkv);
                prefixed.own(ops::attention(qkv, &prefixed.segments, self.heads))
            }
        }
    }

    /// Attention of `[CLS]` alone.
    fn attention_cls(&self, q: Tensor<2>, kv: Tensor<2>, own: &LayerTensors) -> Tensor<2> {
        match self.prefix(own) {
            None => ops::attention_cls(q, kv, self.segments, self.heads),
            Some((prefixed, prefix)) => {
                let kv = prefixed.insert(Tensor::cat(prefix.into(), 1), kv);
                ops::attention_cls(q, kv, &prefixed.segments, self.heads)
            }
        }
    }

    /// Keys and values of the layer's prefix, `[P, H]` each.
    fn prefix(&self, own: &LayerTensors) -> Option<(&Prefixed, [Tensor<2>; 2])> {
        let (prefixed, places) = (self.prefixed?, own.prefix?);
        let rows = self.trainable.prefix_length;
        let matrix = |place| {
            let flat = self.trainable.at(place).clone();
            let width = flat.dims()[0] / rows;
            flat.reshape([rows, width])
        };
        Some((prefixed, places.map(matrix)))
    }
}

impl Layer {
    /// `[T, H]` to `[T, H]`; to `[S, H]`, the rows of `[CLS]`, where the projections are split.
    fn forward(&self, x: Activations, own: &LayerTensors, run: &mut Run<'_>) -> Activations {
        let (residual, context) = match &self.projections {
            Projections::Fused(projections) => {
                let residual = x.values().clone();
                let qkv = projections.forward(x, &own.fused, run);
                (residual, run.attention(qkv, own))
            }
            Projections::Split { query, key_value } => {
                let cls = ops::gather_cls(x.values().clone(), run.segments);
                let kv = key_value.forward(x, &own.key_value, run);
                let q = query.forward(cls.clone().into(), &own.query, run);
                (cls, run.attention_cls(q, kv, own))
            }
        };
        let attended = self.attention_output.forward(context.into(), &own.attention_output, run);
        let x = self.attention_norm.forward(attended, residual, &own.attention_norm, run.trainable);
        let inner =
            self.intermediate.activated(x.clone(), Activation::Gelu, &own.intermediate, run);
        let fed = self.output.forward(inner, &own.output, run);
        self.output_norm.forward(fed, x.into_values(), &own.output_norm, run.trainable)
    }
}

impl Linear {
    fn forward(&self, x: Activations, own: &LinearTensors, run: &mut Run<'_>) -> Tensor<2> {
        let y = self.activated(x, Activation::Identity, own, run).into_values();
        match &own.bottleneck {
            Some(bottleneck) => through(bottleneck, y, run.trainable),
            None => y,
        }
    }

    fn activated(
        &self,
        x: Activations,
        activation: Activation,
        own: &LinearTensors,
        run: &mut Run<'_>,
    ) -> Activations {
        let Some(low_rank) = &own.low_rank else {
            let trained = own.weight.map(|place| Weights {
                words: run.trainable.at(place).clone(),
                storage: Storage { precision: Precision::F32, ..self.weight.storage },
            });
            let bias = own.bias.map_or(&self.bias, |place| run.trainable.at(place));
            return ops::linear(x, trained.as_ref().unwrap_or(&self.weight), bias, activation);
        };
        let Self { weight, bias } = self;
        let (factors, plan) = (&run.trainable.factors(low_rank), &low_rank.plan);
        if let Some(magnitude) = low_rank.magnitude {
            let without = bias.zeros_like();
            let layer = FrozenLinear { weight, bias: &without, activation: Activation::Identity };
            let y = ops::lora_linear(x, layer, factors, plan);
            let turned = self.turned(run.trainable.at(magnitude), factors, plan);
            let y = y.into_values() * turned + bias.clone().unsqueeze();
            return match activation {
                Activation::Identity => y,
                Activation::Gelu => ops::gelu(y),
            }
            .into();
        }
        let layer = FrozenLinear { weight, bias, activation };
        match run.dropout.mask(x.values()) {
            None => ops::lora_linear(x, layer, factors, plan),
            Some(mask) => {
                let x = x.into_values();
                let dropped = x.clone() * mask;
                ops::lora_linear_with_dropout(x, dropped, layer, factors, plan)
            }
        }
    }
}

/// `y + up(gelu(down(y)))`.
fn through(bottleneck: &Bottleneck, y: Tensor<2>, trainable: &TrainableTensors) -> Tensor<2> {
    let linear = |x: Activations, [weight, bias]: [Place; 2], activation| {
        let (weight, bias) = (trainable.at(weight).clone(), trainable.at(bias));
        let outputs = bias.dims()[0];
        let inputs = weight.dims()[0] / outputs;
        let storage = Storage { outputs, inputs, precision: Precision::F32 };
        ops::linear(x, &Weights { words: weight, storage }, bias, activation)
    };
    let inner = linear(y.clone().into(), bottleneck.down, Activation::Gelu);
    y + linear(inner, bottleneck.up, Activation::Identity).into_values()
}

impl LayerNorm {
    fn forward(
        &self,
        x: Tensor<2>,
        residual: Tensor<2>,
        own: &NormTensors,
        trainable: &TrainableTensors,
    ) -> Activations {
        let gamma = own.gamma.map_or(&self.gamma, |place| trainable.at(place));
        let beta = own.beta.map_or(&self.beta, |place| trainable.at(place));
        ops::add_layer_norm(x, residual, gamma, beta, self.epsilon)
    }
}

/// Masks for the inputs of the low-rank paths, drawn on the host so that a seed gives the same
/// masks on every device.
struct Dropout {
    probability: f32,
    rng: Option<ChaCha8Rng>,
}

impl Dropout {
    /// The masks of one layer: each layer has a stream of its own.
    fn new(probability: f32, seed: Option<u64>, layer: usize) -> Self {
        let rng = seed.filter(|_| probability > 0.0).map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(layer as u64);
            rng
        });
        Self { probability, rng }
    }

    /// A mask for `x [T, K]` of zeros and, to keep the mean, `1 / (1 - p)`.
    fn mask(&mut self, x: &Tensor<2>) -> Option<Tensor<2>> {
        let rng = self.rng.as_mut()?;
        let [rows, columns] = x.dims();
        let dropped = (f64::from(self.probability) * 2f64.powi(32)) as u32;
        let kept = 1.0 / (1.0 - self.probability);
        let mask: Vec<f32> = (0..rows * columns)
            .map(|_| if rng.next_u32() < dropped { 0.0 } else { kept })
            .collect();
        let device = x.device().inner();
        Some(Tensor::from_data(TensorData::new(mask, [rows, columns]), &device))
    }
}
