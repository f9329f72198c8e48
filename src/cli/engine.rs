//! A base and an adapter on a device, ready to score lists.

use std::ops::ControlFlow;
use std::path::Path;

use lorb::adapter::{AdapterMeta, ReadOptions};
use lorb::base::{Base, BertConfig, BertTokenizer};
use lorb::model::{
    Adapter, Encoder, MaskedHead, MaskedScorer, MaskedScores, SCORING_BATCH_TOKENS, Scored, Scorer,
    TrainableTensors, embed_sequences,
};
use lorb::nbest::Utterance;
use lorb::score::{Evaluation, RESAMPLES, Report, Weights, best, combine};

use super::args::{BaseArgs, RunArgs, ScoringArgs, WeightArgs};
use super::error::CliError;
use super::input::Utterances;
use super::{adapter_dir, interrupt, source};

/// Hypotheses that are read and scored together: enough to fill batches of like lengths, few
/// enough to bound the memory and to hear Ctrl-C soon.
const CHUNK_HYPOTHESES: usize = 1024;

/// A rescoring model.
pub struct Engine {
    /// The adapter as read.
    pub adapter: Adapter,
    /// What travels with it.
    pub meta: AdapterMeta,
    encoder: Encoder,
    trainable: TrainableTensors,
    tokenizer: BertTokenizer,
    batch_tokens: usize,
    /// Hypotheses cut at the base's position limit so far.
    pub truncated: u64,
}

impl Engine {
    /// Loads base and adapter onto the device that was asked for.
    pub fn open(
        base: &BaseArgs,
        adapter: &Path,
        run: &RunArgs,
        scoring: &ScoringArgs,
    ) -> Result<Self, CliError> {
        // The small things that can be wrong come before the large file.
        adapter_dir::read_files(adapter, "--adapter")?;
        let named = source::load(&base.model, base.revision.as_deref(), run.quiet)?;
        let Base { config, tokenizer, mut weights, hash } = named.base;
        let (adapter, meta) =
            adapter_dir::read(adapter, "--adapter", &config, &hash, ReadOptions::default())?;
        let device = run.open_device()?.device;
        let precision = base.precision.precision;
        let encoder = Encoder::with_precision(&config, &mut weights, precision, &device)
            .map_err(|error| CliError::at(format_args!("--model {}", base.model), &error))?;
        let engine = Self::new(&config, adapter, meta, encoder, tokenizer);
        Ok(Self { batch_tokens: scoring.batch_tokens, ..engine })
    }

    /// Joins what is loaded; the encoder's device is the one to compute on.
    pub fn new(
        config: &BertConfig,
        adapter: Adapter,
        meta: AdapterMeta,
        encoder: Encoder,
        tokenizer: BertTokenizer,
    ) -> Self {
        let trainable = TrainableTensors::new(config, &adapter, &encoder.device());
        // Where the base is in full: scoring then takes no longer than with the base alone.
        let (encoder, trainable) = encoder.merged(trainable);
        let batch_tokens = SCORING_BATCH_TOKENS;
        Self { adapter, meta, encoder, trainable, tokenizer, batch_tokens, truncated: 0 }
    }

    /// The weights to combine with: those of the flags, else those stored with the adapter.
    pub fn weights(&self, flags: &WeightArgs, adapter: &Path) -> Result<Weights, CliError> {
        let stored = self.meta.weights;
        let Some(beta) = flags.beta.or(stored.map(|weights| weights.beta)) else {
            return Err(CliError::Failed(format!(
                "--adapter {}: holds no tuned weights; run `lorb tune` with it, or give --beta",
                adapter.display()
            )));
        };
        let gamma = flags.gamma.or(stored.map(|weights| weights.gamma)).unwrap_or(0.0);
        Ok(Weights { beta, gamma })
    }

    /// Scores of every hypothesis of these lists.
    pub fn score(&mut self, lists: &[Utterance]) -> Result<Vec<Vec<f64>>, CliError> {
        let scorer = Scorer {
            encoder: &self.encoder,
            trainable: &self.trainable,
            tokenizer: &self.tokenizer,
            batch_tokens: self.batch_tokens,
        };
        let Scored { lm, truncated } = pollster::block_on(scorer.score(&texts(lists), |_| ()))
            .map_err(|error| CliError::at("scoring", &error))?;
        self.truncated += truncated as u64;
        Ok(lm)
    }

    /// Scores of single texts.
    pub fn score_texts(&mut self, texts: &[&str]) -> Result<Vec<f64>, CliError> {
        let scorer = Scorer {
            encoder: &self.encoder,
            trainable: &self.trainable,
            tokenizer: &self.tokenizer,
            batch_tokens: self.batch_tokens,
        };
        let scored = pollster::block_on(scorer.score(&[texts.to_vec()], |_| ()));
        let Scored { lm, truncated } = scored.map_err(|error| CliError::at("scoring", &error))?;
        self.truncated += truncated as u64;
        Ok(lm.into_iter().flatten().collect())
    }

    /// Pseudo-log-likelihoods of single texts by the base's masked-language head, until `progress`, told the
    /// part that is done, breaks off.
    pub fn judge_texts(
        &mut self,
        head: &MaskedHead,
        texts: &[&str],
        mut progress: impl FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Vec<f64>, CliError> {
        let scorer = MaskedScorer {
            encoder: &self.encoder,
            trainable: &self.trainable,
            head,
            tokenizer: &self.tokenizer,
            batch_tokens: self.batch_tokens,
        };
        let part = |done: usize, all: usize| progress(done as f64 / all as f64);
        let MaskedScores { pll, truncated } = pollster::block_on(scorer.score(texts, part))
            .map_err(|error| CliError::at("scoring", &error))?;
        self.truncated += truncated as u64;
        Ok(pll)
    }

    /// Last hidden states of `[CLS]` of these texts, end to end.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, CliError> {
        let encode = |text: &&str| self.tokenizer.encode(text).map(|encoded| encoded.ids);
        let sequences: Result<Vec<Vec<u32>>, _> = texts.iter().map(encode).collect();
        let sequences = sequences.map_err(|error| CliError::at("embedding", &error))?;
        let go_on = |_| ControlFlow::Continue(());
        let embedded =
            embed_sequences(&self.encoder, &self.trainable, &sequences, self.batch_tokens, go_on);
        pollster::block_on(embedded).map_err(|error| CliError::at("embedding", &error))
    }

    /// The hypothesis that the weights choose from each list.
    pub fn choose(
        &mut self,
        lists: &[Utterance],
        weights: Weights,
    ) -> Result<Vec<usize>, CliError> {
        let scores = self.score(lists)?;
        let choice = |(u, lm): (&Utterance, &Vec<f64>)| best(&combine(u, lm, weights));
        Ok(lists.iter().zip(&scores).map(choice).collect())
    }

    /// What the weights bring on lists with references.
    pub fn evaluate(&mut self, lists: &[Utterance], weights: Weights) -> Result<Report, CliError> {
        let mut evaluation = Evaluation::new();
        for chunk in lists.chunks(CHUNK_HYPOTHESES / 8) {
            for (utterance, choice) in chunk.iter().zip(self.choose(chunk, weights)?) {
                evaluation.add(utterance, Some(choice));
            }
        }
        Ok(evaluation.report(RESAMPLES, 0))
    }

    /// A line about texts that were cut, if any were.
    pub fn truncated_note(&self) -> Option<String> {
        (self.truncated > 0)
            .then(|| format!("{} hypotheses were cut at the base's position limit", self.truncated))
    }
}

/// The texts of every list.
fn texts(lists: &[Utterance]) -> Vec<Vec<&str>> {
    lists.iter().map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect()).collect()
}

/// The next lists to score together; empty at the end. Ctrl-C ends it with an error.
pub fn next_chunk(input: &mut Utterances) -> Result<Vec<Utterance>, CliError> {
    let (mut chunk, mut hypotheses) = (Vec::new(), 0);
    while hypotheses < CHUNK_HYPOTHESES {
        if interrupt::asked() {
            return Err(CliError::Failed("interrupted".into()));
        }
        let Some(utterance) = input.next()? else { break };
        hypotheses += utterance.hypotheses.len();
        chunk.push(utterance);
    }
    Ok(chunk)
}
