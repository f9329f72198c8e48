//! Scores and embeddings of texts outside lists, and warm-up.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::methods::LoraConfig;
use crate::model::{
    Encoder, MaskedScorer, MaskedScores, ModelError, PackedBatch, SCORING_BATCH_TOKENS, Sequences,
    TrainableTensors, embed_sequences, guarded, read,
};

use super::{Options, Rescorer, RescorerError};

/// Hypotheses of the warm-up list, and their tokens.
const WARM_UP: (usize, usize) = (10, 12);

/// Time of a batch of [`Rescorer::suitable_batch_tokens_async`], in seconds: short enough for a page to stop and to show
/// progress, and far from the 2 s after which systems reset a GPU.
pub const BATCH_SECONDS: f64 = 0.3;

/// Fewest tokens of such a batch; a smaller one would leave a device idle.
pub const LEAST_BATCH_TOKENS: usize = 128;

/// A time in seconds, most of which is not that of a read-back.
const LONG_SECONDS: f64 = 0.05;

/// Passes in addition to the first if that took a shorter time.
const MORE_PASSES: usize = 8;

impl Rescorer {
    /// Scores of single texts, normalised, with the named adapter.
    ///
    /// # Errors
    /// Those of [`Rescorer::score_async`]; an invalid text is [`ModelError::Text`] in list 0.
    pub async fn score_texts_async(
        &self,
        texts: &[&str],
        options: Options<'_>,
    ) -> Result<Vec<f64>, RescorerError> {
        let (_, loaded) = self.scoring_adapter(options)?;
        let scorer = self.scorer(loaded, options);
        let normalize = self.conventions(options)?.normalize;
        let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| normalize.apply(text)).collect();
        let texts = texts.iter().map(AsRef::as_ref).collect();
        let scored = scorer.score_until(&[texts], |done| options.go_on(done)).await?;
        Ok(scored.lm.into_iter().flatten().collect())
    }

    /// Pseudo-log-likelihoods of single texts from the base's masked-language-model head, with the named adapter or of the
    /// bare base. `progress` receives the number of finished encoder passes and their total.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`]; [`RescorerError::Merged`] for the bare base if an adapter is merged into it;
    /// [`RescorerError::Model`] as in [`MaskedScorer::score`], and for a rescorer without that head.
    pub async fn pseudo_log_likelihood_async(
        &self,
        texts: &[&str],
        options: Options<'_>,
        progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<MaskedScores, RescorerError> {
        let head = self.masked_head()?;
        let bare;
        let scorer = MaskedScorer {
            encoder: &self.encoder,
            trainable: match options.adapter {
                Some(name) => &self.adapter(name)?.trainable,
                None => {
                    bare = self.bare()?;
                    &bare
                }
            },
            head,
            tokenizer: &self.frozen.tokenizer,
            batch_tokens: options.batch_tokens,
        };
        Ok(scorer.score(texts, progress).await?)
    }

    /// Last hidden states of `[CLS]`, `[texts, H]` row-major: with the named adapter, or of the bare base.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`]; [`RescorerError::Merged`] for the bare base if an adapter is merged into it;
    /// [`RescorerError::Model`] if a text cannot be tokenised, the device fails or the call is stopped.
    pub async fn embed_async(
        &self,
        texts: &[&str],
        options: Options<'_>,
    ) -> Result<Vec<f32>, RescorerError> {
        let bare;
        let trainable = match options.adapter {
            Some(name) => &self.adapter(name)?.trainable,
            None => {
                bare = self.bare()?;
                &bare
            }
        };
        let mut distinct = Sequences::new();
        let mut places = Vec::with_capacity(texts.len());
        for text in texts {
            let encoded = self.frozen.tokenizer.encode(text).map_err(ModelError::from)?;
            places.push(distinct.intern(encoded.ids));
        }
        let (sequences, _) = distinct.into_parts();
        let progress = |done| options.go_on(done);
        let rows =
            embed_sequences(&self.encoder, trainable, &sequences, options.batch_tokens, progress);
        let (rows, width) = (rows.await?, self.base().hidden_size);
        Ok(places.into_iter().flat_map(|at| &rows[at * width..][..width]).copied().collect())
    }

    /// What is trained on the base: nothing.
    fn bare(&self) -> Result<TrainableTensors, RescorerError> {
        self.can_serve()?;
        Ok(TrainableTensors::bare(self.base(), &self.device()))
    }

    /// Scores a synthetic list on the base's first and last layer, with the named adapter or a new one with default
    /// settings merged, so that a GPU compiles all kernels for merging and scoring before the first list.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], and [`RescorerError::Model`] if the device fails. The scores are meaningless,
    /// so a non-finite one is not an error.
    pub async fn warm_up_async(&self, adapter: Option<&str>) -> Result<(), RescorerError> {
        self.synthetic(adapter)?.score(1).await
    }

    /// Maximum number of tokens per batch with which a batch takes about [`BATCH_SECONDS`] on this device, from timing
    /// [`Rescorer::warm_up_async`] after its kernels have been compiled: at least [`LEAST_BATCH_TOKENS`], at most
    /// [`SCORING_BATCH_TOKENS`]. `clock` returns the time in seconds.
    ///
    /// # Errors
    /// Those of [`Rescorer::warm_up_async`].
    pub async fn suitable_batch_tokens_async(
        &self,
        adapter: Option<&str>,
        clock: impl Fn() -> f64,
    ) -> Result<usize, RescorerError> {
        let synthetic = self.synthetic(adapter)?;
        let start = clock();
        synthetic.score(1).await?;
        let once = clock() - start;
        let seconds = if once >= LONG_SECONDS {
            once
        } else {
            // Most of a short time may be that of a read-back, which several passes share.
            let start = clock();
            synthetic.score(1 + MORE_PASSES).await?;
            (clock() - start - once) / MORE_PASSES as f64
        };
        let layers = self.base().num_hidden_layers as f64 / synthetic.layers() as f64;
        let tokens = BATCH_SECONDS / (seconds * layers / synthetic.tokens() as f64);
        // A time of 0 or less, from a coarse clock, gives the maximum.
        let most = SCORING_BATCH_TOKENS as f64;
        let tokens = if tokens > 0.0 { tokens.min(most) } else { most };
        Ok((tokens as usize).max(LEAST_BATCH_TOKENS))
    }

    fn synthetic(&self, adapter: Option<&str>) -> Result<Synthetic, RescorerError> {
        let base = self.base();
        let new;
        let trainable = match adapter {
            Some(name) => &self.adapter(name)?.trainable,
            None => {
                let rank = LoraConfig::default().rank.min(base.hidden_size);
                let form = LoraConfig { rank, ..LoraConfig::default() };
                new = TrainableTensors::new(base, &self.new_adapter(form, 0)?, &self.device());
                &new
            }
        };
        let (encoder, trainable) = self.encoder.first_and_last_layer(trainable);
        let (encoder, trainable) = encoder.merged(trainable);
        let (count, length) = (WARM_UP.0, WARM_UP.1.min(base.max_tokens()));
        let id = |at: usize| (at * 31 % base.vocab_size) as u32;
        let sequence = |i| (0..length).map(|j| id(i * length + j)).collect::<Vec<u32>>();
        let sequences: Vec<_> = (0..count).map(sequence).collect();
        Ok(Synthetic { encoder, trainable, batch: sequences.iter().map(Vec::as_slice).collect() })
    }
}

/// A synthetic list, on the first and last layer of a base.
struct Synthetic {
    encoder: Encoder,
    trainable: TrainableTensors,
    batch: PackedBatch,
}

impl Synthetic {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn tokens(&self) -> usize {
        self.batch.len()
    }

    /// Scores the list several times, one after the other, and waits for the last.
    async fn score(&self, passes: usize) -> Result<(), RescorerError> {
        let device = self.encoder.device();
        let work = async {
            for _ in 1..passes {
                self.encoder.forward(&self.batch, &self.trainable, None)?;
            }
            read(self.encoder.forward(&self.batch, &self.trainable, None)?.scores).await
        };
        guarded(&device, work).await.map(|_| ()).map_err(RescorerError::Model)
    }
}
