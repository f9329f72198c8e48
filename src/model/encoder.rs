//! BERT's encoder with low-rank terms, on packed sequences, up to `[CLS]` and its score.
//!
//! Post-LN, exact GELU, no dropout in the base: Devlin et al., arXiv 1810.04805, with the numerics
//! of Transformers' `BertModel`. Only `[CLS]` of the last layer is wanted, so that layer computes
//! queries, output projection and feed-forward for those rows alone.

mod merge;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::batch::PackedBatch;
use super::error::ModelError;
use super::leaves::{LayerLeaves, Leaves, LowRank};
use crate::base::{BaseWeights, BertConfig};
use crate::ops::{self, Activation, Precision, Segments, Weights};
use crate::packed::Packed;

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
    types: Tensor<2>,
    norm: LayerNorm,
}

/// What the model says of a batch.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Last hidden state of each sequence's `[CLS]`, `[S, H]`.
    pub cls: Tensor<2>,
    /// Score of each sequence, `[S]`: `w . cls + b`.
    pub scores: Tensor<1>,
}

/// A frozen BERT on a device.
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
    fn matrix(&mut self, name: &str) -> Result<Tensor<2>, ModelError> {
        let tensor = self.weights.take(name)?;
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

    fn layer(&mut self, index: usize, last: bool) -> Result<Layer, ModelError> {
        let name = |path: &str| format!("encoder.layer.{index}.{path}");
        let [query, key, value] =
            ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let projections = if last {
            let query = self.linear([query])?;
            Projections::Split { query, key_value: self.linear([key, value])? }
        } else {
            Projections::Fused(self.linear([query, key, value])?)
        };
        Ok(Layer {
            projections,
            attention_output: self.linear([name("attention.output.dense")])?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            intermediate: self.linear([name("intermediate.dense")])?,
            output: self.linear([name("output.dense")])?,
            output_norm: self.norm(&name("output.LayerNorm"))?,
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
        let embeddings = Embeddings {
            words: loader.matrix("embeddings.word_embeddings.weight")?,
            positions: loader.matrix("embeddings.position_embeddings.weight")?,
            types: loader.matrix("embeddings.token_type_embeddings.weight")?,
            norm: loader.norm("embeddings.LayerNorm")?,
        };
        let count = config.num_hidden_layers;
        let layers: Result<_, ModelError> =
            (0..count).map(|index| loader.layer(index, index + 1 == count)).collect();
        Ok(Self { embeddings, layers: layers?, heads: config.num_attention_heads })
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
    pub fn forward(&self, batch: &PackedBatch, leaves: &Leaves, dropout: Option<u64>) -> Forward {
        let stages = self.stages(batch, dropout);
        let embedded = stages.embed();
        let x = (0..stages.layers()).fold(embedded, |x, layer| stages.layer(layer, x, leaves));
        stages.score(x, leaves)
    }

    /// The same as [`Encoder::forward`], layer by layer.
    #[must_use]
    pub fn stages<'a>(&'a self, batch: &'a PackedBatch, dropout: Option<u64>) -> Stages<'a> {
        Stages { encoder: self, batch, segments: batch.segments(), dropout }
    }

    fn embed(&self, batch: &PackedBatch) -> Tensor<2> {
        let device = self.device();
        let ids = [batch.tokens.as_slice(), &batch.positions].concat();
        let Embeddings { words, positions, types, norm } = &self.embeddings;
        ops::embed_layer_norm(
            [words, positions, types],
            &norm.gamma,
            &norm.beta,
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
    pub fn embed(&self) -> Tensor<2> {
        self.encoder.embed(self.batch)
    }

    /// Runs one layer, counted from 0: `[T, H]` to `[T, H]`, of the last layer to `[S, H]`.
    ///
    /// # Panics
    /// When there is no such layer.
    #[must_use]
    pub fn layer(&self, index: usize, x: Tensor<2>, leaves: &Leaves) -> Tensor<2> {
        let mut dropout = Dropout::new(leaves.dropout, self.dropout, index);
        let (layer, heads) = (&self.encoder.layers[index], self.encoder.heads);
        layer.forward(x, &self.segments, heads, &leaves.layers[index], &mut dropout)
    }

    /// Scores what the last layer gives, `[S, H]`.
    #[must_use]
    pub fn score(&self, cls: Tensor<2>, leaves: &Leaves) -> Forward {
        let scores = ops::score_head(cls.clone(), leaves.head());
        Forward { cls, scores }
    }
}

impl Layer {
    /// `[T, H]` to `[T, H]`; to `[S, H]`, the rows of `[CLS]`, where the projections are split.
    fn forward(
        &self,
        x: Tensor<2>,
        segments: &Segments,
        heads: usize,
        leaves: &LayerLeaves,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let (residual, context) = match &self.projections {
            Projections::Fused(projections) => {
                let qkv = projections.forward(x.clone(), leaves.fused.as_ref(), dropout);
                (x, ops::attention(qkv, segments, heads))
            }
            Projections::Split { query, key_value } => {
                let cls = ops::gather_cls(x.clone(), segments);
                let kv = key_value.forward(x, leaves.key_value.as_ref(), dropout);
                let q = query.forward(cls.clone(), leaves.query.as_ref(), dropout);
                (cls, ops::attention_cls(q, kv, segments, heads))
            }
        };
        let attended =
            self.attention_output.forward(context, leaves.attention_output.as_ref(), dropout);
        let x = self.attention_norm.forward(attended, residual);
        let intermediate = leaves.intermediate.as_ref();
        let inner = self.intermediate.activated(x.clone(), Activation::Gelu, intermediate, dropout);
        let fed = self.output.forward(inner, leaves.output.as_ref(), dropout);
        self.output_norm.forward(fed, x)
    }
}

impl Linear {
    fn forward(
        &self,
        x: Tensor<2>,
        low_rank: Option<&LowRank>,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        self.activated(x, Activation::Identity, low_rank, dropout)
    }

    fn activated(
        &self,
        x: Tensor<2>,
        activation: Activation,
        low_rank: Option<&LowRank>,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let Self { weight, bias } = self;
        let Some(low_rank) = low_rank else {
            return ops::linear(x, weight, bias, activation);
        };
        let (factors, plan) = (low_rank.factors(), &low_rank.plan);
        match dropout.mask(&x) {
            None => ops::lora_linear(x, weight, bias, factors, plan, activation),
            Some(mask) => {
                let base = ops::linear(x.clone(), weight, bias, Activation::Identity);
                let y = ops::lora_add(base, x * mask, factors, plan);
                match activation {
                    Activation::Identity => y,
                    Activation::Gelu => ops::gelu(y),
                }
            }
        }
    }
}

impl LayerNorm {
    fn forward(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        ops::add_layer_norm(x, residual, &self.gamma, &self.beta, self.epsilon)
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
