//! Scores texts, for rescoring, tuning and evaluation.

use std::collections::HashMap;
use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::batch::{PackedBatch, Sequence};
use super::encoder::{Encoder, Forward};
use super::error::ModelError;
use super::fault::ReadBack;
use super::trainable::TrainableTensors;
use crate::base::BertTokenizer;

/// Default number of tokens per batch of a [`Scorer`].
pub const SCORING_BATCH_TOKENS: usize = 2048;

/// Distinct token sequences.
///
/// Hypotheses of one list are near duplicates, and lists of one domain share many short texts. Equal token sequences
/// are computed once.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    places: HashMap<Vec<u32>, usize>,
    /// Number of hypotheses per sequence.
    counts: Vec<usize>,
}

impl Sequences {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Index of these ids among the distinct sequences; new ones are appended.
    pub fn intern(&mut self, ids: Vec<u32>) -> usize {
        let next = self.counts.len();
        let place = *self.places.entry(ids).or_insert(next);
        if place == next {
            self.counts.push(0);
        }
        self.counts[place] += 1;
        place
    }

    /// The distinct sequences by index, and how often each was interned.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Vec<u32>>, Vec<usize>) {
        let mut sequences = vec![Vec::new(); self.counts.len()];
        for (ids, place) in self.places {
            sequences[place] = ids;
        }
        (sequences, self.counts)
    }
}

/// Scores of all hypotheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Score of the rescoring model by list and hypothesis, in input order; higher is better.
    pub lm: Vec<Vec<f64>>,
    /// Whether a hypothesis was truncated at the base's position limit, in the same order.
    pub truncated: Vec<Vec<bool>>,
}

impl Scored {
    /// Number of truncated hypotheses.
    #[must_use]
    pub fn truncated_count(&self) -> usize {
        self.truncated.iter().flatten().filter(|&&truncated| truncated).count()
    }
}

/// Scores texts with an adapted encoder.
#[derive(Clone, Copy, Debug)]
pub struct Scorer<'a> {
    /// The frozen base.
    pub encoder: &'a Encoder,
    /// The adapter and its score head, on the encoder's device.
    pub trainable: &'a TrainableTensors,
    /// The base's tokenizer.
    pub tokenizer: &'a BertTokenizer,
    /// Maximum number of tokens per batch; a longer text is a separate batch.
    pub batch_tokens: usize,
}

impl<'a> Scorer<'a> {
    /// A scorer with batches of [`SCORING_BATCH_TOKENS`].
    #[must_use]
    pub fn new(
        encoder: &'a Encoder,
        trainable: &'a TrainableTensors,
        tokenizer: &'a BertTokenizer,
    ) -> Self {
        Self { encoder, trainable, tokenizer, batch_tokens: SCORING_BATCH_TOKENS }
    }

    /// Scores all texts of all lists. Scores do not depend on how texts are grouped into lists and batches: on the
    /// CPU path exactly, on GPUs up to rounding.
    ///
    /// After each batch, `progress` receives the number of finished hypotheses over all lists.
    ///
    /// # Errors
    /// [`ModelError::Device`] when the device fails, [`ModelError::Text`] when a text cannot be tokenised
    /// or its score is NaN or infinite.
    pub async fn score(
        &self,
        lists: &[Vec<&str>],
        mut progress: impl FnMut(usize),
    ) -> Result<Scored, ModelError> {
        self.score_until(lists, |done| {
            progress(done);
            ControlFlow::Continue(())
        })
        .await
    }

    /// The same; `progress` may stop the computation.
    ///
    /// # Errors
    /// Those of [`Scorer::score`], and [`ModelError::Stopped`].
    pub async fn score_until(
        &self,
        lists: &[Vec<&str>],
        mut progress: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Scored, ModelError> {
        let mut distinct = Sequences::new();
        let mut truncated = Vec::with_capacity(lists.len());
        let mut places = Vec::with_capacity(lists.len());
        for (at, list) in lists.iter().enumerate() {
            let (mut row, mut cut) =
                (Vec::with_capacity(list.len()), Vec::with_capacity(list.len()));
            for (hypothesis, text) in list.iter().enumerate() {
                let encoded = self.tokenizer.encode(text);
                let encoded = encoded.map_err(|error| in_text(at, hypothesis, error.into()))?;
                cut.push(encoded.truncated);
                row.push(distinct.intern(encoded.ids));
            }
            places.push(row);
            truncated.push(cut);
        }
        let (sequences, counts) = distinct.into_parts();
        let mut done = 0;
        let mut scores = vec![0.0; sequences.len()];
        let Self { encoder, trainable, batch_tokens, .. } = *self;
        let scored = |members: &[usize], values: &[f32]| {
            put(&mut scores, members, values)
                .map_err(|(place, error)| first_of(&places, place, error))?;
            done += members.iter().map(|&place| counts[place]).sum::<usize>();
            Ok(progress(done))
        };
        each_batch(encoder, trainable, &sequences, batch_tokens, scores_of, scored).await?;
        let lm = places.into_iter().map(|row| row.into_iter().map(|place| scores[place]).collect());
        Ok(Scored { lm: lm.collect(), truncated })
    }
}

/// Scores of token sequences, by index.
///
/// They are computed in order of length, the longest first, so that batches contain sequences of similar length and
/// peak memory occurs first. `done` receives the indices of each finished batch.
///
/// # Errors
/// [`ModelError::Device`] if the device fails, [`ModelError::ScoreNotFinite`] if the model returns a NaN or an
/// infinity.
pub async fn score_sequences(
    encoder: &Encoder,
    trainable: &TrainableTensors,
    sequences: &[Vec<u32>],
    batch_tokens: usize,
    mut done: impl FnMut(&[usize]),
) -> Result<Vec<f64>, ModelError> {
    let mut scores = vec![0.0; sequences.len()];
    let scored = |members: &[usize], values: &[f32]| {
        put(&mut scores, members, values).map_err(|(_, error)| error)?;
        done(members);
        Ok(ControlFlow::Continue(()))
    };
    each_batch(encoder, trainable, sequences, batch_tokens, scores_of, scored).await?;
    Ok(scores)
}

/// An error of one text, by its index among the lists and within its list.
fn in_text(list: usize, hypothesis: usize, error: ModelError) -> ModelError {
    ModelError::Text { list, hypothesis, error: Box::new(error) }
}

/// Converts an error of a sequence to an error of the first text with that sequence.
fn first_of(places: &[Vec<usize>], sequence: usize, error: ModelError) -> ModelError {
    let found = places.iter().enumerate().find_map(|(list, row)| {
        let hypothesis = row.iter().position(|&place| place == sequence)?;
        Some((list, hypothesis))
    });
    match found {
        Some((list, hypothesis)) => in_text(list, hypothesis, error),
        None => error,
    }
}

fn scores_of(_: &[usize], out: Forward) -> Tensor<1> {
    out.scores
}

/// Stores the scores of a batch. An error comes with the index of its sequence.
fn put(scores: &mut [f64], members: &[usize], values: &[f32]) -> Result<(), (usize, ModelError)> {
    for (&at, &value) in members.iter().zip(values) {
        if !value.is_finite() {
            return Err((at, ModelError::ScoreNotFinite { value }));
        }
        scores[at] = f64::from(value);
    }
    Ok(())
}

/// Last hidden states of `[CLS]`, by index, concatenated: `[sequences, H]`.
///
/// # Errors
/// [`ModelError::Device`] if the device fails, [`ModelError::Stopped`] if `progress` stops the computation; it receives
/// the number of finished sequences after each batch.
pub async fn embed_sequences(
    encoder: &Encoder,
    trainable: &TrainableTensors,
    sequences: &[Vec<u32>],
    batch_tokens: usize,
    mut progress: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<f32>, ModelError> {
    let (mut all, mut done) = (Vec::new(), 0);
    let embedded = |members: &[usize], values: &[f32]| {
        let width = values.len() / members.len();
        all.resize(sequences.len() * width, 0.0);
        for (&at, row) in members.iter().zip(values.chunks(width)) {
            all[at * width..][..width].copy_from_slice(row);
        }
        done += members.len();
        Ok(progress(done))
    };
    let pick = |_: &[usize], out: Forward| out.cls.flatten(0, 1);
    each_batch(encoder, trainable, sequences, batch_tokens, pick, embedded).await?;
    Ok(all)
}

/// Runs the encoder over all sequences, the longest first, and passes the result of `pick` for each batch to the
/// caller, with the indices of its sequences.
pub(super) async fn each_batch<S: Sequence>(
    encoder: &Encoder,
    trainable: &TrainableTensors,
    sequences: &[S],
    batch_tokens: usize,
    pick: impl Fn(&[usize], Forward) -> Tensor<1>,
    mut finished: impl FnMut(&[usize], &[f32]) -> Result<ControlFlow<()>, ModelError>,
) -> Result<(), ModelError> {
    // The next batch is queued before the results of the previous one are awaited, so that a GPU never waits.
    let mut under_way: Option<(Vec<usize>, ReadBack)> = None;
    let mut batches = by_length(sequences, batch_tokens).into_iter();
    loop {
        let launch = |members: Vec<usize>| {
            let mut batch = PackedBatch::new();
            members.iter().for_each(|&at| sequences[at].append_to(&mut batch));
            let out = pick(&members, encoder.forward(&batch, trainable, None)?);
            Ok::<_, ModelError>((members, ReadBack::begin(out)))
        };
        let launched = batches.next().map(launch).transpose()?;
        let before = std::mem::replace(&mut under_way, launched);
        if let Some((members, mut results)) = before
            && finished(&members, &results.values().await?)?.is_break()
        {
            return Err(ModelError::Stopped);
        }
        if under_way.is_none() {
            return Ok(());
        }
    }
}

/// Indices of the sequences, longest first, split into batches of at most `batch_tokens` tokens.
fn by_length(sequences: &[impl Sequence], batch_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(sequences[at].tokens()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for at in order {
        let length = sequences[at].tokens();
        match batches.last_mut() {
            Some(batch) if tokens + length <= batch_tokens => {
                batch.push(at);
                tokens += length;
            }
            _ => {
                batches.push(vec![at]);
                tokens = length;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sequences_are_kept_once_and_counted() {
        let mut distinct = Sequences::new();
        let places: Vec<usize> = [vec![1, 2], vec![1], vec![1, 2], vec![2]]
            .into_iter()
            .map(|ids| distinct.intern(ids))
            .collect();
        assert_eq!(places, [0, 1, 0, 2]);
        assert_eq!(distinct.into_parts(), (vec![vec![1, 2], vec![1], vec![2]], vec![2, 1, 1]));
    }

    #[test]
    fn batches_contain_every_sequence_once_within_the_budget() {
        let lengths = [3usize, 9, 2, 30, 4, 4, 1, 8];
        let sequences: Vec<Vec<u32>> = lengths.iter().map(|&n| vec![7; n]).collect();
        let batches = by_length(&sequences, 10);
        assert_eq!(batches[0], [3], "longer than the budget: a separate batch");
        for batch in &batches[1..] {
            assert!(batch.iter().map(|&at| lengths[at]).sum::<usize>() <= 10, "{batch:?}");
        }
        let mut all: Vec<usize> = batches.concat();
        assert!(all.windows(2).all(|pair| lengths[pair[0]] >= lengths[pair[1]]));
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        assert!(by_length(&[] as &[Vec<u32>], 10).is_empty());
    }
}
