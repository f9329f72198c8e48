//! Scores and embeddings of texts outside lists, and warm-up.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::methods::LoraConfig;
use crate::model::{
    MaskedScorer, MaskedScores, ModelError, SCORING_BATCH_TOKENS, Sequences, TrainableTensors,
    embed_sequences, score_sequences,
};

use super::{Options, Rescorer, RescorerError};

/// Hypotheses of the warm-up list, and their tokens.
const WARM_UP: (usize, usize) = (10, 12);

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

    /// Pseudo-log-likelihoods of single texts from the base's masked-language-model head. `progress` receives the
    /// number of finished encoder passes and their total.
    ///
    /// # Errors
    /// [`RescorerError::Model`] as in [`MaskedScorer::score`], and for a rescorer without that head.
    pub async fn pseudo_log_likelihood_async(
        &self,
        texts: &[&str],
        options: Options<'_>,
        progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<MaskedScores, RescorerError> {
        let (_, loaded) = self.scoring_adapter(options)?;
        let scorer = MaskedScorer {
            encoder: &self.encoder,
            trainable: &loaded.trainable,
            head: self.masked_head()?,
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
                self.can_serve()?;
                bare = TrainableTensors::bare(self.base(), &self.device());
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

    /// Scores a synthetic list on the base's first and last layer, with the named adapter or a new one with default
    /// settings merged, so that a GPU compiles all kernels for merging and scoring before the first list.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], and [`RescorerError::Model`] if the device fails. The scores are meaningless,
    /// so a non-finite one is not an error.
    pub async fn warm_up_async(&self, adapter: Option<&str>) -> Result<(), RescorerError> {
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
        let sequences: Vec<Vec<u32>> =
            (0..count).map(|i| (0..length).map(|j| id(i * length + j)).collect()).collect();
        let scored =
            score_sequences(&encoder, &trainable, &sequences, SCORING_BATCH_TOKENS, |_| {}).await;
        match scored {
            Err(error @ ModelError::Device(_)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
