//! Pseudo-log-likelihood from the base's own masked-language-model head: an untrained baseline for rescoring.
//!
//! ```text
//! PLL(W) = sum over t of log P(w_t | W with [MASK] in place of w_t)
//! ```
//!
//! Salazar et al., "Masked Language Model Scoring", arXiv 1910.14659. `t` runs over the word pieces, not over
//! `[CLS]` and `[SEP]`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::batch::{PackedBatch, Sequence};
use super::encoder::{Encoder, Forward};
use super::error::ModelError;
use super::scorer::each_batch;
use super::trainable::TrainableTensors;
use crate::base::{BaseWeights, BertConfig, BertTokenizer};
use crate::ops::{self, Activation, Precision, Weights};
use crate::packed::Format;

/// Maximum number of logits computed at a time, so that their buffer is within every GPU's limit.
const LOGITS: usize = 1 << 24;

/// The masked-language-model head of a base: `log softmax(LayerNorm(gelu(x D^T + d)) E^T + e)` with the word
/// embeddings E.
#[derive(Clone, Debug)]
pub struct MaskedHead {
    dense: Weights,
    bias: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
    words: Weights,
    word_bias: Tensor<1>,
}

impl MaskedHead {
    /// Creates the head of a base on the device of its encoder.
    ///
    /// # Errors
    /// [`ModelError::Base`] names the first missing tensor; see
    /// [`BaseWeights::has_masked_head`]. [`ModelError::Device`] if the embeddings of the vocabulary, which are a factor of
    /// this head's product, are larger than the device's largest buffer.
    pub fn new(
        config: &BertConfig,
        weights: &mut BaseWeights,
        encoder: &Encoder,
    ) -> Result<Self, ModelError> {
        let device = encoder.device();
        let mut vector = |name: &str| -> Result<Tensor<1>, ModelError> {
            let tensor = weights.take(name)?;
            let length = tensor.data.len();
            Ok(Tensor::from_data(TensorData::new(tensor.data, [length]), &device))
        };
        let names = &config.architecture.masked_head;
        let gamma = vector(&format!("{}.weight", names.norm))?;
        let word_bias = vector(names.bias)?;
        let (bias, beta) = match config.architecture.has_biases() {
            true => (
                vector(&format!("{}.bias", names.dense))?,
                vector(&format!("{}.bias", names.norm))?,
            ),
            false => (gamma.zeros_like(), gamma.zeros_like()),
        };
        let dense = weights.take_packed(&format!("{}.weight", names.dense))?.to(Format::F32);
        let shape = [config.embedding_width(), config.hidden_size];
        Ok(Self {
            dense: Weights::from_host(dense, Precision::F32, shape, &device),
            bias,
            gamma,
            beta,
            epsilon: config.layer_norm_eps as f32,
            words: encoder.words().whole(&device)?,
            word_bias,
        })
    }

    /// Log probabilities of tokens, given as row and id: `hidden [S, H]` to `[targets]`. The rows of the targets must
    /// not decrease.
    fn log_probabilities(&self, hidden: Tensor<2>, targets: &[(usize, u32)]) -> Tensor<1> {
        let device = hidden.device();
        let x = ops::linear(hidden, &self.dense, &self.bias, Activation::Gelu).into_values();
        let x = ops::layer_norm(x, &self.gamma, &self.beta, self.epsilon).into_values();
        let [rows, _] = x.dims();
        let vocabulary = self.words.storage.outputs;
        let stride = (LOGITS / vocabulary).max(1);
        let mut found = Vec::new();
        for first in (0..rows).step_by(stride) {
            let part = first..rows.min(first + stride);
            let wanted: Vec<i32> = targets
                .iter()
                .filter(|(row, _)| part.contains(row))
                .map(|(row, id)| ((row - first) * vocabulary + *id as usize) as i32)
                .collect();
            let x = x.clone().slice_dim(0, part);
            let logits = ops::linear(x, &self.words, &self.word_bias, Activation::Identity);
            let logits = logits.into_values();
            let indices = Tensor::<1, Int>::from_ints(wanted.as_slice(), &device);
            found.push(log_softmax(logits, 1).flatten::<1>(0, 1).select(0, indices));
        }
        Tensor::cat(found, 0)
    }
}

/// A text with one token masked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Masked {
    ids: Vec<u32>,
    at: usize,
}

impl Sequence for Masked {
    fn tokens(&self) -> usize {
        self.ids.len()
    }

    fn append_to(&self, batch: &mut PackedBatch) {
        batch.push_led_by(&self.ids, self.at);
    }
}

/// Scores texts by pseudo-log-likelihood.
#[derive(Clone, Copy, Debug)]
pub struct MaskedScorer<'a> {
    /// The frozen base.
    pub encoder: &'a Encoder,
    /// An adapter on the encoder's device; one of [`Head`](crate::methods::Head) leaves the base
    /// as it is.
    pub trainable: &'a TrainableTensors,
    /// The base's masked-language-model head.
    pub head: &'a MaskedHead,
    /// The base's tokenizer.
    pub tokenizer: &'a BertTokenizer,
    /// Maximum number of tokens per batch; a longer text is a separate batch.
    pub batch_tokens: usize,
}

/// Pseudo-log-likelihoods of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedScores {
    /// In nats, in the order of the texts; 0 for a text without word pieces.
    pub pll: Vec<f64>,
    /// Whether a text was truncated at the base's position limit.
    pub truncated: Vec<bool>,
}

impl MaskedScorer<'_> {
    /// Scores all texts. Texts that differ only in one word piece share the encoder pass that masks it.
    ///
    /// After each batch, `progress` receives the number of finished passes and their total.
    ///
    /// # Errors
    /// [`ModelError::Text`] if a text cannot be tokenised, in list 0; [`ModelError::Base`] if the vocabulary has no `[MASK]`;
    /// [`ModelError::Device`] if the device fails, [`ModelError::ScoreNotFinite`] if a probability is zero or not finite, [`ModelError::Stopped`]
    /// if `progress` stops the computation.
    pub async fn score(
        &self,
        texts: &[&str],
        mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<MaskedScores, ModelError> {
        let mask = self.tokenizer.mask()?;
        let mut places: HashMap<Masked, usize> = HashMap::new();
        // For each pass: the masked ids, and their texts.
        let mut hidden: Vec<Vec<(u32, usize)>> = Vec::new();
        let mut truncated = Vec::with_capacity(texts.len());
        for (text, content) in texts.iter().enumerate() {
            let encoded = self.tokenizer.encode(content);
            let encoded = encoded.map_err(|error| {
                let error = Box::new(error.into());
                ModelError::Text { list: 0, hypothesis: text, error }
            })?;
            truncated.push(encoded.truncated);
            for at in 1..encoded.ids.len() - 1 {
                let mut ids = encoded.ids.clone();
                let id = std::mem::replace(&mut ids[at], mask);
                let next = hidden.len();
                let place = *places.entry(Masked { ids, at }).or_insert(next);
                if place == next {
                    hidden.push(Vec::new());
                }
                hidden[place].push((id, text));
            }
        }
        let mut sequences = vec![Masked { ids: Vec::new(), at: 0 }; hidden.len()];
        places.into_iter().for_each(|(masked, place)| sequences[place] = masked);
        let pick = |members: &[usize], out: Forward| {
            let targets: Vec<(usize, u32)> = (members.iter().enumerate())
                .flat_map(|(row, &place)| hidden[place].iter().map(move |&(id, _)| (row, id)))
                .collect();
            self.head.log_probabilities(out.cls, &targets)
        };
        let (mut pll, mut done) = (vec![0.0; texts.len()], 0);
        let scores = |members: &[usize], values: &[f32]| {
            let owners = members.iter().flat_map(|&place| &hidden[place]);
            for (&(_, text), &value) in owners.zip(values) {
                if !value.is_finite() {
                    return Err(ModelError::ScoreNotFinite { value });
                }
                pll[text] += f64::from(value);
            }
            done += members.len();
            Ok(progress(done, hidden.len()))
        };
        let Self { encoder, trainable, batch_tokens, .. } = *self;
        each_batch(encoder, trainable, &sequences, batch_tokens, pick, scores).await?;
        Ok(MaskedScores { pll, truncated })
    }
}
