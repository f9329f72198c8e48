//! Scoring, rescoring, evaluation and tuning of lists.

use std::borrow::Cow;

use crate::model::{ModelError, Scored, Scorer};
use crate::nbest::Utterance;
use crate::score::{
    Evaluation, Finding, ModelScores, RESAMPLES, RankedList, Report, ScoreCheck, ScoreWarning,
    ScoredList, Search, TextCheck, Tuned, Weights, compared,
};
use crate::text::Conventions;

use super::adapters::LoadedAdapter;
use super::{Options, Rescorer, RescorerError};

/// The result of [`Rescorer::evaluate_async`].
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// WER of first pass, rescoring and oracle.
    pub report: Report,
    /// Index of the selected hypothesis of each list.
    pub choices: Vec<usize>,
    /// The weights used; `None` for the first pass only.
    pub weights: Option<Weights>,
    /// Hypotheses truncated at the base's position limit.
    pub truncated: usize,
    /// What is suspicious about the first-pass scores.
    pub score_warnings: Vec<ScoreWarning>,
}

/// The result of [`Rescorer::tune_async`].
#[derive(Clone, Debug, PartialEq)]
pub struct TunedWeights {
    /// The search and its best weights.
    pub tuned: Tuned,
    /// Hypotheses truncated at the base's position limit.
    pub truncated: usize,
    /// How texts were compared; stored in the adapter with the weights.
    pub conventions: Conventions,
    /// Signs that references and lists follow other conventions.
    pub warnings: Vec<Finding>,
    /// What is suspicious about the first-pass scores.
    pub score_warnings: Vec<ScoreWarning>,
}

impl Rescorer {
    /// Scores every hypothesis with the named adapter, which sees normalised texts. Equal texts are computed once.
    ///
    /// # Errors
    /// [`RescorerError::NoAdapter`], [`RescorerError::UnknownAdapter`]; [`RescorerError::Utterance`] names the
    /// invalid hypothesis; [`RescorerError::Model`] if the device fails or the call is stopped.
    pub async fn score_async(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<Scored, RescorerError> {
        let (_, loaded) = self.scoring_adapter(options)?;
        let normalize = self.conventions(options)?.normalize;
        let texts: Vec<Vec<Cow<'_, str>>> = lists
            .iter()
            .map(|u| u.hypotheses.iter().map(|h| normalize.apply(&h.text)).collect())
            .collect();
        let texts: Vec<Vec<&str>> =
            texts.iter().map(|list| list.iter().map(AsRef::as_ref).collect()).collect();
        let scorer = self.scorer(loaded, options);
        let scored = scorer.score_until(&texts, |done| options.go_on(done)).await;
        scored.map_err(|error| match error {
            ModelError::Text { list, hypothesis, error } => {
                RescorerError::Utterance { id: lists[list].id.clone(), hypothesis, error: *error }
            }
            error => error.into(),
        })
    }

    /// Orders every list, best first: by the named adapter's scores, or else by the first pass.
    ///
    /// # Errors
    /// Those of [`Rescorer::score_async`], [`RescorerError::NoWeights`] and
    /// [`RescorerError::WeightNotFinite`].
    pub async fn rescore_async(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<Vec<RankedList>, RescorerError> {
        let conventions = self.conventions(options)?;
        let Some(weights) = self.weights(options)? else {
            let rank = |u| RankedList::first_pass(u, &conventions);
            return Ok(lists.iter().map(rank).collect());
        };
        let scored = self.score_async(lists, options).await?;
        Ok(ranked(lists, &scored, &weights, &conventions))
    }

    /// Orders every list by pseudo-log-likelihoods of its normalised texts, best first; see
    /// [`Rescorer::pseudo_log_likelihood_async`]. Equal texts are computed once.
    ///
    /// # Errors
    /// Those of [`Rescorer::pseudo_log_likelihood_async`]; [`RescorerError::Utterance`] names the invalid hypothesis.
    pub async fn rescore_by_pll_async(
        &self,
        lists: &[Utterance],
        weights: &Weights,
        options: Options<'_>,
    ) -> Result<Vec<RankedList>, RescorerError> {
        let conventions = self.conventions(options)?;
        let hypotheses = || lists.iter().flat_map(|u| &u.hypotheses);
        let texts: Vec<Cow<'_, str>> =
            hypotheses().map(|h| conventions.normalize.apply(&h.text)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let go_on = |done, _| options.go_on(done);
        let judged = self.pseudo_log_likelihood_async(&texts, options, go_on).await;
        let judged = judged.map_err(|error| match error {
            RescorerError::Model(ModelError::Text { hypothesis: text, error, .. }) => {
                let mut places =
                    lists.iter().flat_map(|u| (0..u.hypotheses.len()).map(move |at| (&u.id, at)));
                let Some((id, hypothesis)) = places.nth(text) else {
                    unreachable!("every text is a hypothesis")
                };
                RescorerError::Utterance { id: id.clone(), hypothesis, error: *error }
            }
            error => error,
        })?;
        let (mut pll, mut truncated) = (judged.pll.into_iter(), judged.truncated.into_iter());
        let lengths = || lists.iter().map(|u| u.hypotheses.len());
        let scored = Scored {
            lm: lengths().map(|length| pll.by_ref().take(length).collect()).collect(),
            truncated: lengths().map(|length| truncated.by_ref().take(length).collect()).collect(),
        };
        Ok(ranked(lists, &scored, weights, &conventions))
    }

    /// WER of first pass, rescoring and oracle, with bootstrap intervals for this seed. Without an adapter, only first
    /// pass and oracle.
    ///
    /// # Errors
    /// Those of [`Rescorer::rescore_async`].
    pub async fn evaluate_async(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
        seed: u64,
    ) -> Result<Evaluated, RescorerError> {
        let weights = self.weights(options)?;
        let ranked = self.rescore_async(lists, options).await?;
        let choices: Vec<usize> = ranked.iter().map(RankedList::choice).collect();
        let mut evaluation = Evaluation::with(self.conventions(options)?);
        for (utterance, &choice) in lists.iter().zip(&choices) {
            evaluation.add(utterance, weights.as_ref().map(|_| choice));
        }
        let report = evaluation.report(RESAMPLES, seed);
        let truncated = ranked.iter().map(RankedList::truncated_count).sum();
        let check = ScoreCheck::of(lists);
        let mut score_warnings = check.warnings();
        score_warnings.extend(weights.iter().flat_map(|weights| check.about_weights(weights)));
        Ok(Evaluated { report, choices, weights, truncated, score_warnings })
    }

    /// Scores the lists that have a reference, for [`Search::run`].
    ///
    /// # Errors
    /// Those of [`Rescorer::score_async`].
    pub async fn scored_lists_async(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
    ) -> Result<(Vec<ScoredList>, usize), RescorerError> {
        let scored = self.score_async(lists, options).await?;
        let pairs = lists.iter().zip(&scored.lm);
        let conventions = self.conventions(options)?;
        let list = |(u, lm): (_, &Vec<f64>)| {
            ScoredList::new(&compared(u, &conventions), lm, conventions.unit)
        };
        let all = pairs.filter_map(list).collect();
        Ok((all, scored.truncated_count()))
    }

    /// Tunes the weights on lists with references, and stores them in the named adapter, with the conventions of the
    /// call. `search` says what is tuned beside beta.
    ///
    /// # Errors
    /// Those of [`Rescorer::score_async`], and [`RescorerError::NoReference`].
    pub async fn tune_async(
        &mut self,
        lists: &[Utterance],
        options: Options<'_>,
        search: Search,
    ) -> Result<TunedWeights, RescorerError> {
        let (name, _) = self.scoring_adapter(options)?;
        let name = name.to_owned();
        let lists: Vec<Utterance> =
            lists.iter().filter(|u| u.reference.is_some()).cloned().collect();
        let conventions = self.conventions(options)?;
        let (scored, truncated) = self.scored_lists_async(&lists, options).await?;
        let mut check = TextCheck::new(conventions);
        lists.iter().zip(&scored).for_each(|(u, list)| check.add_scored(u, list));
        let score_warnings = ScoreCheck::of(&lists).warnings();
        let weights = self.adapter(&name)?.meta.weights.as_ref();
        let stored = weights.map(|weights| weights.parts.clone()).unwrap_or_default();
        let tuned = search.run(&scored, &stored);
        if tuned.reference_words == 0 {
            return Err(RescorerError::NoReference);
        }
        self.set_weights(&name, tuned.weights.clone())?;
        self.set_conventions(&name, conventions)?;
        let warnings = check.findings();
        Ok(TunedWeights { tuned, truncated, conventions, warnings, score_warnings })
    }

    /// How a call compares texts: the adapter's conventions, with the changes of the call.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`].
    pub fn conventions(&self, options: Options<'_>) -> Result<Conventions, RescorerError> {
        let stored = match options.adapter {
            Some(name) => self.adapter(name)?.meta.conventions,
            None => Conventions::default(),
        };
        Ok(options.conventions.over(stored))
    }

    /// The weights of a call's score combination: the given ones, else the adapter's own; `None` without an adapter.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], [`RescorerError::NoWeights`], [`RescorerError::WeightNotFinite`].
    pub fn weights(&self, options: Options<'_>) -> Result<Option<Weights>, RescorerError> {
        let Some(name) = options.adapter else { return Ok(None) };
        let stored = self.adapter(name)?.meta.weights.as_ref();
        let Some(weights) = options.weights.or(stored) else {
            return Err(RescorerError::NoWeights { adapter: name.to_owned() });
        };
        match weights.named().find(|(_, value)| !value.is_finite()) {
            None => Ok(Some(weights.clone())),
            Some((name, value)) => Err(RescorerError::WeightNotFinite { name, value }),
        }
    }

    pub(super) fn scoring_adapter<'a>(
        &self,
        options: Options<'a>,
    ) -> Result<(&'a str, &LoadedAdapter), RescorerError> {
        let name = options.adapter.ok_or(RescorerError::NoAdapter)?;
        Ok((name, self.adapter(name)?))
    }

    pub(super) fn scorer<'a>(
        &'a self,
        loaded: &'a LoadedAdapter,
        options: Options<'_>,
    ) -> Scorer<'a> {
        Scorer {
            encoder: &self.encoder,
            trainable: &loaded.trainable,
            tokenizer: &self.frozen.tokenizer,
            batch_tokens: options.batch_tokens,
        }
    }
}

fn ranked(
    lists: &[Utterance],
    scored: &Scored,
    weights: &Weights,
    conventions: &Conventions,
) -> Vec<RankedList> {
    let rank = |((u, lm), truncated): ((&Utterance, &Vec<f64>), &Vec<bool>)| {
        RankedList::rescored(u, ModelScores { lm, truncated }, weights, conventions)
    };
    lists.iter().zip(&scored.lm).zip(&scored.truncated).map(rank).collect()
}
