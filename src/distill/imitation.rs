//! The loss of a student: how much its states and relations differ from the teacher's.
//!
//! States are compared by the mean squared difference (Jiao et al., "TinyBERT", arXiv 1909.10351, without their
//! projection: both models are equally wide), relations and attention by their divergence (`losses.rs`). Rows are words: the mean of a
//! word's tokens, which two vocabularies split differently. The terms are added.

use burn::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::corpus::{Corpus, Pair};
use super::losses::{Grid, Losses, Pooling, pooled, squared_difference};
use crate::base::BertConfig;
use crate::model::{Encoder, ModelError, PackedBatch, TrainableTensors, read};
use crate::ops::Activations;
use crate::score::Weights;
use crate::train::{
    Batch, Extent, Judgement, Message, Parts, Size, Task, Texts, TrainConfig, TrainedModel,
};

/// Tokens of a batch of texts that judge.
const JUDGED_TOKENS: usize = 4096;

/// The task of a student.
#[derive(Debug)]
pub struct Imitation {
    teacher: Encoder,
    of_teacher: TrainableTensors,
    /// The layer of the teacher that each layer of the student learns from, from 0; the last one from the last.
    layers: Vec<usize>,
    losses: Losses,
    /// Heads by which relations are compared; they divide the width of both models.
    relation_heads: usize,
    corpus: Corpus,
    lengths: Vec<usize>,
    /// SHA-256 of the teacher's weights.
    teacher_hash: String,
}

impl Imitation {
    /// The teacher, of which `config` has the sizes, is frozen, and on the student's device. `layers` are those of the
    /// teacher from which the student's layers learn, from 0. `width` is the student's.
    #[must_use]
    pub fn new(
        (teacher, config, teacher_hash): (Encoder, &BertConfig, String),
        mut layers: Vec<usize>,
        width: usize,
        losses: Losses,
        corpus: Corpus,
    ) -> Self {
        let of_teacher = TrainableTensors::bare(config, &teacher.device());
        let lengths = corpus.train.iter().map(|pair| pair.student().len()).collect();
        if let Some(last) = layers.last_mut() {
            *last = config.num_hidden_layers - 1;
        }
        let divides = |heads: &usize| {
            config.hidden_size.is_multiple_of(*heads) && width.is_multiple_of(*heads)
        };
        let relation_heads = (1..=config.num_attention_heads).rev().find(divides).unwrap_or(1);
        Self { teacher, of_teacher, layers, losses, relation_heads, corpus, lengths, teacher_hash }
    }

    /// The loss of some texts, `[1]`.
    fn loss(
        &self,
        student: &Encoder,
        trainable: &TrainableTensors,
        pairs: &[&Pair],
    ) -> Result<Tensor<1>, ModelError> {
        let device = self.teacher.device();
        let words = self.corpus.words(pairs);
        let pools = words.as_ref().map(|both| both.each_ref().map(|of| Pooling::new(of, &device)));
        let [of_teacher, of_student] = match &pools {
            Some([teacher, student]) => [Some(teacher), Some(student)],
            None => [None, None],
        };
        let batch: PackedBatch = pairs.iter().map(|pair| &pair.teacher[..]).collect();
        let teacher = Model {
            encoder: &self.teacher,
            trainable: &self.of_teacher,
            layers: &self.layers,
            pooling: of_teacher,
        };
        let teacher = teacher.views(&batch, self.losses)?;
        let batch: PackedBatch = pairs.iter().map(|pair| pair.student()).collect();
        let own: Vec<usize> = (0..self.layers.len()).collect();
        let student = Model { encoder: student, trainable, layers: &own, pooling: of_student };
        let student = student.views(&batch, self.losses)?;
        let states = student.states.into_iter().zip(teacher.states);
        let mut terms: Vec<Tensor<1>> =
            states.map(|(student, teacher)| squared_difference(student, teacher)).collect();
        let products = self.losses.products();
        if !products.is_empty() {
            let lengths: Vec<usize> = pairs.iter().map(|pair| self.corpus.rows(pair)).collect();
            let grid = Grid::new(&lengths, &device);
            for (student, teacher) in student.projections.iter().zip(&teacher.projections) {
                let heads = self.relation_heads;
                let term = |&product| grid.divergence(student, teacher, product, heads);
                terms.extend(products.iter().map(term));
            }
        }
        let sum = terms.into_iter().reduce(|sum, term| sum + term);
        Ok(sum.unwrap_or_else(|| Tensor::zeros([1], &device)))
    }
}

/// One of the two models.
struct Model<'a> {
    encoder: &'a Encoder,
    trainable: &'a TrainableTensors,
    /// The compared layers, from 0, ascending; the last one is the model's last.
    layers: &'a [usize],
    pooling: Option<&'a Pooling>,
}

/// What is compared, in the same order for both models.
#[derive(Default)]
struct Views {
    /// `[W, H]`, and `[S, H]` of the last layer.
    states: Vec<Tensor<2>>,
    /// Queries, keys and values, `[W, 3H]`.
    projections: Vec<Tensor<2>>,
}

impl Model<'_> {
    fn views(&self, batch: &PackedBatch, losses: Losses) -> Result<Views, ModelError> {
        let Self { encoder, trainable, layers, pooling } = *self;
        let stages = encoder.stages(batch, None)?;
        let mut views = Views::default();
        let mut x = Activations::from(stages.embed(trainable));
        if losses.embeddings {
            views.states.push(pooled(x.values(), pooling));
        }
        let last = stages.layers() - 1;
        for layer in 0..=last {
            let compared = layers.contains(&layer);
            if !losses.products().is_empty() && compared {
                let projections = stages.queries_keys_values(layer, x.clone(), trainable);
                views.projections.push(pooled(&projections, pooling));
            }
            if layer < last || losses.cls {
                x = stages.layer(layer, x, trainable);
            }
            if losses.hidden && compared && layer < last {
                views.states.push(pooled(x.values(), pooling));
            }
        }
        if losses.cls {
            views.states.push(x.into_values());
        }
        Ok(views)
    }
}

impl Task for Imitation {
    const IS_RATE: bool = false;

    fn batches(&self, config: &TrainConfig, epoch: usize) -> Vec<Vec<usize>> {
        let each: Vec<usize> = (0..self.lengths.len()).collect();
        let lists: Vec<&[usize]> = each.iter().map(std::slice::from_ref).collect();
        let texts = Texts { lists: &lists, lengths: &self.lengths };
        texts.batches(config.seed, epoch, config.batch_tokens)
    }

    fn size(&self, texts: &[usize]) -> Size {
        let tokens = texts.iter().map(|&at| self.lengths[at]).sum();
        Size { texts: texts.len(), tokens }
    }

    fn pass(
        &self,
        model: TrainedModel<'_>,
        parameters: &Tensor<1>,
        batch: Batch<'_>,
    ) -> Result<Parts, ModelError> {
        let tracked = TrainableTensors::tracked(model.base, model.method, parameters);
        let pairs: Vec<&Pair> = batch.examples.iter().map(|&at| &self.corpus.train[at]).collect();
        let share = pairs.len() as f64 / batch.of as f64;
        let loss = self.loss(model.encoder, &tracked, &pairs)?.mul_scalar(share);
        let gradient = tracked.gradient(&loss.backward());
        let ranking = loss.inner();
        let correlation = ranking.zeros_like();
        Ok(Parts { gradient, ranking, correlation })
    }

    fn can_judge(&self) -> bool {
        !self.corpus.apart.is_empty()
    }

    async fn judge(
        &mut self,
        encoder: &Encoder,
        trainable: &TrainableTensors,
    ) -> Result<Judgement, ModelError> {
        let (mut sum, mut texts) = (0.0, 0);
        let mut rest = self.corpus.apart.as_slice();
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = rest.iter().take_while(|pair| {
                tokens += pair.student().len();
                tokens <= JUDGED_TOKENS
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            rest = later;
            let pairs: Vec<&Pair> = now.iter().collect();
            let loss = self.loss(encoder, trainable, &pairs)?;
            sum += now.len() as f64 * f64::from(read(loss).await?[0]);
            texts += now.len();
        }
        Ok(Judgement { measure: sum / texts as f64, weights: Weights::default() })
    }

    fn judged(&self, judgement: &Judgement, step: usize, best: bool) -> Message {
        Message::Compared { step, loss: judgement.measure, best }
    }

    fn opening(&self, _: &TrainConfig, extent: Extent) -> Vec<Message> {
        let [texts, apart] = self.corpus.counts();
        let Extent { steps, done, trainable, .. } = extent;
        let truncated = self.corpus.truncated;
        vec![Message::Learning { texts, apart, truncated, steps, done, trainable }]
    }

    fn identity(&self) -> Map<String, Value> {
        Map::from_iter([
            ("teacher".to_owned(), json!(self.teacher_hash)),
            ("teacher's layers".to_owned(), json!(self.layers)),
            ("losses".to_owned(), json!(self.losses.to_string())),
            ("texts (SHA-256)".to_owned(), json!(self.corpus.fingerprint())),
        ])
    }
}
