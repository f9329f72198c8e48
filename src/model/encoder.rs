//! BERT's encoder with its trainable tensors on packed sequences, up to `[CLS]` and its score.
//!
//! Exact GELU, no dropout in the base: Devlin et al., arXiv 1810.04805, with the numerics of Transformers' `BertModel`;
//! `pre_norm` has ModernBERT's layers. Only `[CLS]` of the last layer is needed, so that layer computes queries, output
//! projection and feed-forward only for those rows.

mod dropout;
mod load;
mod merge;
#[cfg(not(target_family = "wasm"))]
mod merge_base;
mod pre_norm;
mod virtual_tokens;
mod words;

use std::cell::OnceCell;

use burn::tensor::{Device, Tensor};

use super::attach::{LayerTensors, LinearTensors, NormTensors};
use super::batch::PackedBatch;
use super::error::ModelError;
use super::trainable::TrainableTensors;
use crate::base::{BaseWeights, BertConfig};
use crate::ops::upload::{HostData, upload};
use crate::ops::{
    self, Activation, Activations, Places, Precision, Segments, Storage, TokenRows, Weights,
};

use dropout::Dropout;
use load::Loader;
#[cfg(not(target_family = "wasm"))]
pub use merge_base::merge_into_base;
use pre_norm::{Angles, PreNorm};
pub use virtual_tokens::WithVirtualTokens;
use words::Words;

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Weights,
    /// `[out]`.
    pub bias: Tensor<1>,
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
#[allow(clippy::large_enum_variant, reason = "one per layer, all in one vector")]
enum Projections {
    /// All three as one product, `[3H, H]`.
    Fused(Linear),
    /// For BERT's last layer: the query only for `[CLS]`; key and value as one product, `[2H, H]`.
    Split { query: Linear, key_value: Linear },
}

#[derive(Clone, Debug)]
struct Layer {
    projections: Projections,
    attention_output: Linear,
    intermediate: Linear,
    output: Linear,
    norms: Norms,
}

/// The layer norms of a layer, which differ in their place.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one per layer, all in one vector")]
enum Norms {
    /// BERT's: after the attention and after the feed-forward layers.
    After { attention: LayerNorm, output: LayerNorm },
    /// ModernBERT's.
    Before(PreNorm),
}

#[derive(Clone, Debug)]
struct Embeddings {
    words: Words,
    positions: Tensor<2>,
    /// Only row 0 is used.
    types: Tensor<2>,
    norm: LayerNorm,
    /// To the width of the hidden state, if the tables have another.
    projection: Option<Linear>,
    /// Row of `positions` for the first token.
    first_position: usize,
}

/// The model's output for a batch.
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
    /// Longest text, in tokens.
    longest: usize,
}

impl Encoder {
    /// Copies a base to `device`, tensor by tensor. The embeddings of the vocabulary stay in host memory; a GPU gets the
    /// rows of each batch.
    ///
    /// # Errors
    /// [`ModelError::Base`] names a tensor that is missing, not finite, or has a wrong shape or type.
    pub fn new(
        config: &BertConfig,
        weights: &mut BaseWeights,
        device: &Device,
    ) -> Result<Self, ModelError> {
        Self::with_precision(config, weights, Precision::F32, device)
    }

    /// [`new`](Self::new), with linear layers in another precision. A GPU stores the weights in its format. The CPU path
    /// rounds them the same way, for equal scores, but stores them as f32.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`ModelError::Precision`] if the device cannot compute in the precision.
    pub fn with_precision(
        config: &BertConfig,
        weights: &mut BaseWeights,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, ModelError> {
        precision.check(device)?;
        let epsilon = config.layer_norm_eps as f32;
        let device = device.clone().inner();
        let mut loader = Loader { config, weights, device, precision, epsilon };
        let names = &config.architecture.embeddings;
        let embeddings = Embeddings {
            words: loader.words(names.words, config.embedding_width())?,
            positions: loader.table(names.positions)?,
            types: loader.table(names.types)?,
            norm: loader.norm(names.norm)?,
            projection: match config.projection() {
                Some(module) => Some(loader.linear([module.to_owned()])?),
                None => None,
            },
            first_position: config.architecture.first_position,
        };
        let angles =
            config.rotary.as_ref().map(|rotary| Angles::new(config, rotary, &loader.device));
        let layers: Result<_, ModelError> =
            (0..config.num_hidden_layers).map(|at| loader.layer(at, angles.as_ref())).collect();
        let (heads, longest) = (config.num_attention_heads, config.max_tokens());
        Ok(Self { embeddings, layers: layers?, heads, longest })
    }

    /// Only the first and the last layer of the base and of an adapter, sharing their tensors. The scores are
    /// meaningless, but these layers use every kernel of the whole model if the adapter treats all layers equally.
    #[must_use]
    pub fn first_and_last_layer(&self, trainable: &TrainableTensors) -> (Self, TrainableTensors) {
        let (mut encoder, mut trainable) = (self.clone(), trainable.clone());
        let between = 1..encoder.layers.len().saturating_sub(1).max(1);
        encoder.layers.drain(between.clone());
        trainable.layers.drain(between);
        (encoder, trainable)
    }

    /// Number of layers, 1 or more.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The device that the weights are on, without autodiff.
    #[must_use]
    pub fn device(&self) -> Device {
        self.embeddings.positions.device()
    }

    /// Runs the encoder over a batch of at least one sequence.
    ///
    /// `dropout` is the seed of this step's dropout on the low-rank paths; `None` outside
    /// training. Query, key and value of a layer share one dropout mask; PEFT draws three.
    ///
    /// # Errors
    /// [`ModelError::Batch`] if an id or a position has no row in its embedding, or the batch is inconsistent.
    pub fn forward(
        &self,
        batch: &PackedBatch,
        trainable: &TrainableTensors,
        dropout: Option<u64>,
    ) -> Result<Forward, ModelError> {
        let stages = self.stages(batch, dropout)?;
        Ok(stages.score(stages.cls(trainable), trainable))
    }

    /// The same as [`Encoder::forward`], layer by layer.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`].
    pub fn stages<'a>(
        &'a self,
        batch: &'a PackedBatch,
        dropout: Option<u64>,
    ) -> Result<Stages<'a>, ModelError> {
        // A kernel must never see an id outside its table: a GPU would read other memory without an error.
        batch.check(self.embeddings.words.count(), self.longest)?;
        let (tokens, with_virtual) = (OnceCell::new(), OnceCell::new());
        let segments = batch.segments();
        let places = self.is_rotary().then(|| batch.places());
        Ok(Stages { encoder: self, batch, tokens, segments, places, with_virtual, dropout })
    }

    /// Whether layers turn queries and keys by positions.
    fn is_rotary(&self) -> bool {
        matches!(self.layers[0].norms, Norms::Before(_))
    }

    /// Embeddings of the vocabulary, `[V, E]`.
    pub(super) fn words(&self) -> &Words {
        &self.embeddings.words
    }

    fn tokens(&self, batch: &PackedBatch, trainable: &TrainableTensors) -> TokenRows {
        // Virtual tokens take the first positions, as in Transformers. If a text then exceeds the positions
        // of the base, its last tokens share the last one, as all do where positions are rotary and the table is one row.
        let Embeddings { words, positions, first_position, .. } = &self.embeddings;
        let last = positions.dims()[0] as i32 - 1;
        let first = (first_position + trainable.virtual_tokens) as i32;
        let places = batch.positions.iter().map(|position| (position + first).min(last));
        if trainable.embeddings.words.is_none() {
            return words.of_batch(&batch.tokens, places);
        }
        // A trained table is on the device, for its gradient.
        TokenRows::of_table(batch.tokens.iter().copied().chain(places).collect())
    }

    fn embed(&self, tokens: &TokenRows, trainable: &TrainableTensors) -> Tensor<2> {
        let Embeddings { words, positions, types, norm, projection, .. } = &self.embeddings;
        let trained = &trainable.embeddings;
        let [width] = norm.gamma.dims();
        let (rows, ids) = tokens.on(positions);
        let words = match trained.words {
            Some(place) => trainable.at(place).clone().reshape([words.count(), width]),
            None => rows.or_else(|| words.in_place().cloned()).expect("a table"),
        };
        let [positions, types] =
            [(positions, trained.positions), (types, trained.types)].map(|(table, place)| {
                match place {
                    Some(place) => trainable.at(place).clone().reshape(table.dims()),
                    None => table.clone(),
                }
            });
        let embedded = ops::embed_layer_norm(
            ops::Tables { words: &words, positions: &positions, types: &types },
            trained.norm.gamma.map_or(&norm.gamma, |place| trainable.at(place)),
            trained.norm.beta.map_or(&norm.beta, |place| trainable.at(place)),
            ids,
            norm.epsilon,
        );
        match projection {
            None => embedded,
            Some(linear) => {
                let changed = linear.trained(&trained.projection, trainable);
                let linear = changed.as_ref().unwrap_or(linear);
                linear.frozen(embedded.into(), Activation::Identity).into_values()
            }
        }
    }
}

/// The forward pass of one batch. Running a layer again gives the same result, because its dropout depends only on the
/// batch's seed and the layer's index.
#[derive(Clone, Debug)]
pub struct Stages<'a> {
    encoder: &'a Encoder,
    batch: &'a PackedBatch,
    /// What the embedding reads.
    tokens: OnceCell<TokenRows>,
    segments: Segments,
    /// Positions of the tokens, if they are rotary.
    places: Option<Places>,
    /// The batch with virtual tokens, once for all layers.
    with_virtual: OnceCell<WithVirtualTokens>,
    dropout: Option<u64>,
}

impl Stages<'_> {
    /// Number of layers, 1 or more.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.encoder.layers.len()
    }

    /// Copies the batch to the device, with `more` that the caller needs there, at once. Without this call, the batch is
    /// copied when it is embedded.
    pub fn upload(&self, trainable: &TrainableTensors, more: &[&dyn HostData]) {
        let own: [&dyn HostData; 2] = [self.tokens(trainable), &self.segments];
        let places: Vec<&dyn HostData> =
            self.places.iter().map(|places| places as &dyn HostData).collect();
        upload(&[&own, &places[..], more].concat(), &self.encoder.embeddings.positions);
    }

    fn tokens(&self, trainable: &TrainableTensors) -> &TokenRows {
        self.tokens.get_or_init(|| self.encoder.tokens(self.batch, trainable))
    }

    /// Input of the first layer, `[T, H]`.
    #[must_use]
    pub fn embed(&self, trainable: &TrainableTensors) -> Tensor<2> {
        self.upload(trainable, &[]);
        self.encoder.embed(self.tokens(trainable), trainable)
    }

    /// Runs one layer (from 0): `[T, H]` to `[T, H]`; the last layer to `[S, H]`.
    ///
    /// # Panics
    /// If there is no such layer.
    #[must_use]
    pub fn layer(&self, index: usize, x: Activations, trainable: &TrainableTensors) -> Activations {
        let mut context = self.context(index, trainable);
        self.encoder.layers[index].forward(x, &trainable.layers[index], &mut context)
    }

    fn context<'b>(&'b self, index: usize, trainable: &'b TrainableTensors) -> Context<'b> {
        let device = self.encoder.device();
        let virtual_tokens = trainable.virtual_tokens;
        let with_virtual = (virtual_tokens > 0).then(|| {
            let new = || WithVirtualTokens::new(&self.segments, virtual_tokens, &device);
            self.with_virtual.get_or_init(new)
        });
        Context {
            tensors: trainable,
            segments: &self.segments,
            places: self.places.as_ref(),
            heads: self.encoder.heads,
            with_virtual,
            dropout: Dropout::new(trainable.dropout, self.dropout, index),
        }
    }

    /// Queries, keys and values of a layer (from 0) with the input `x [T, H]`, `[T, 3H]`.
    ///
    /// # Panics
    /// If there is no such layer.
    #[must_use]
    pub fn queries_keys_values(
        &self,
        index: usize,
        x: Activations,
        trainable: &TrainableTensors,
    ) -> Tensor<2> {
        let own = &trainable.layers[index];
        let mut context = self.context(index, trainable);
        let identity = Activation::Identity;
        match &self.encoder.layers[index].projections {
            Projections::Fused(projections) => {
                projections.forward(x, identity, &own.fused, &mut context).into_values()
            }
            Projections::Split { query, key_value } => {
                let queries = query.forward(x.clone(), identity, &own.query, &mut context);
                let others = key_value.forward(x, identity, &own.key_value, &mut context);
                Tensor::cat(vec![queries.into_values(), others.into_values()], 1)
            }
        }
    }

    /// Output of the last layer, `[S, H]`.
    #[must_use]
    pub fn cls(&self, trainable: &TrainableTensors) -> Tensor<2> {
        let embedded = Activations::from(self.embed(trainable));
        let run = |x, layer| self.layer(layer, x, trainable);
        (0..self.layers()).fold(embedded, run).into_values()
    }

    /// Scores the output of the last layer, `[S, H]`.
    #[must_use]
    pub fn score(&self, cls: Tensor<2>, trainable: &TrainableTensors) -> Forward {
        let scores = ops::score_head(cls.clone(), trainable.head());
        Forward { cls, scores }
    }
}

/// What a layer needs in addition to its input.
#[derive(Debug)]
pub struct Context<'a> {
    /// The trainable tensors.
    pub tensors: &'a TrainableTensors,
    /// Where the texts of the batch begin.
    pub segments: &'a Segments,
    /// Attention heads.
    pub heads: usize,
    /// Positions of the tokens, if they are rotary.
    places: Option<&'a Places>,
    with_virtual: Option<&'a WithVirtualTokens>,
    dropout: Dropout,
}

impl Context<'_> {
    /// The batch with the virtual tokens before every text.
    ///
    /// # Panics
    /// When the method has no virtual tokens.
    #[must_use]
    pub fn with_virtual_tokens(&self) -> &WithVirtualTokens {
        self.with_virtual.expect("a method with virtual tokens")
    }

    /// The input of an adapted layer, `x [T, K]`, with dropped elements. `None` outside of training and without dropout.
    pub fn dropout(&mut self, x: &Tensor<2>) -> Option<Tensor<2>> {
        self.dropout.drop_from(x)
    }
}

impl Layer {
    /// `[T, H]` to `[T, H]`; the last layer to `[S, H]`, the rows of `[CLS]`.
    fn forward(
        &self,
        x: Activations,
        own: &LayerTensors,
        context: &mut Context<'_>,
    ) -> Activations {
        let (attention_norm, output_norm) = match &self.norms {
            Norms::After { attention, output } => (attention, output),
            Norms::Before(norms) => return self.pre_norm(norms, x, own, context),
        };
        let (residual, attended) = match &self.projections {
            Projections::Fused(projections) => {
                let residual = x.values().clone();
                let qkv = projections.forward(x, Activation::Identity, &own.fused, context);
                let qkv = qkv.into_values();
                let attended = match &own.attention {
                    None => ops::attention(qkv, context.segments, context.heads),
                    Some(hook) => hook.attention(qkv, context),
                };
                (residual, attended)
            }
            Projections::Split { query, key_value } => {
                let cls = ops::gather_cls(x.values().clone(), context.segments);
                let kv = key_value.forward(x, Activation::Identity, &own.key_value, context);
                let q =
                    query.forward(cls.clone().into(), Activation::Identity, &own.query, context);
                let (q, kv) = (q.into_values(), kv.into_values());
                let attended = match &own.attention {
                    None => ops::attention_cls(q, kv, context.segments, context.heads),
                    Some(hook) => hook.attention_cls(q, kv, context),
                };
                (cls, attended)
            }
        };
        let Self { attention_output, intermediate, output, .. } = self;
        let identity = Activation::Identity;
        let projected =
            attention_output.forward(attended.into(), identity, &own.attention_output, context);
        let tensors = context.tensors;
        let x =
            attention_norm.forward(projected.into_values(), residual, &own.attention_norm, tensors);
        let inner = intermediate.forward(x.clone(), Activation::Gelu, &own.intermediate, context);
        let fed = output.forward(inner, identity, &own.output, context);
        output_norm.forward(fed.into_values(), x.into_values(), &own.output_norm, tensors)
    }
}

impl Linear {
    /// With the trainable tensors and the hook of the layer.
    fn forward(
        &self,
        x: Activations,
        activation: Activation,
        own: &LinearTensors,
        context: &mut Context<'_>,
    ) -> Activations {
        let trained = self.trained(own, context.tensors);
        let linear = trained.as_ref().unwrap_or(self);
        match &own.hook {
            None => linear.frozen(x, activation),
            Some(hook) => hook.forward(linear, x, activation, context),
        }
    }

    /// The layer with its trained weight or bias; `None` if neither is trained.
    fn trained(&self, own: &LinearTensors, tensors: &TrainableTensors) -> Option<Self> {
        if own.weight.is_none() && own.bias.is_none() {
            return None;
        }
        let weight = match own.weight {
            None => self.weight.clone(),
            Some(id) => Weights {
                words: tensors.at(id).clone(),
                storage: Storage { precision: Precision::F32, ..self.weight.storage },
            },
        };
        let bias = own.bias.map_or(&self.bias, |id| tensors.at(id)).clone();
        Some(Self { weight, bias })
    }

    /// The layer's output `[T, out]` for `x [T, in]`, without anything that a method adds.
    #[must_use]
    pub fn frozen(&self, x: Activations, activation: Activation) -> Activations {
        ops::linear(x, &self.weight, &self.bias, activation)
    }
}

impl LayerNorm {
    fn forward(
        &self,
        x: Tensor<2>,
        residual: Tensor<2>,
        own: &NormTensors,
        tensors: &TrainableTensors,
    ) -> Activations {
        let gamma = own.gamma.map_or(&self.gamma, |id| tensors.at(id));
        let beta = own.beta.map_or(&self.beta, |id| tensors.at(id));
        ops::add_layer_norm(x, residual, gamma, beta, self.epsilon)
    }
}
