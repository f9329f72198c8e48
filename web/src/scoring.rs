//! Lists through a model: scores, ranks, evaluation, weights.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Function};
use lorb::adapter::AdapterMeta;
use lorb::base::BertTokenizer;
use lorb::model::{
    ModelError, SCORING_BATCH_TOKENS, Scored, Scorer, Sequences, TrainableTensors, embed_sequences,
};
use lorb::nbest::Utterance;
use lorb::score::{Evaluation, RESAMPLES, ScoredList, Weights, best, combine, first_pass, tune};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::adapters::info;
use crate::convert::{Watcher, from_js, number_lists, to_js};
use crate::error::WebError;
use crate::lists::{lists, utterances};
use crate::model::{Loaded, Model, Shared};

fn batch_tokens(asked: Option<usize>) -> usize {
    asked.filter(|tokens| *tokens > 0).unwrap_or(SCORING_BATCH_TOKENS)
}

impl Shared {
    async fn scored(
        &self,
        loaded: &Loaded,
        texts: &[Vec<&str>],
        tokens: Option<usize>,
        watcher: &Watcher,
    ) -> Result<Scored, WebError> {
        let Self { encoder, tokenizer, .. } = self;
        let batch_tokens = batch_tokens(tokens);
        let scorer = Scorer { encoder, trainable: &loaded.trainable, tokenizer, batch_tokens };
        let scored = scorer.score_until(texts, |done| watcher.go_on(done)).await;
        // Also where a score is no number, which a wrong kernel may be behind.
        if !matches!(scored, Err(ModelError::Device(_) | ModelError::Stopped)) {
            self.watched.trusted().await?;
        }
        Ok(scored?)
    }
}

fn texts(lists: &[Utterance]) -> Vec<Vec<&str>> {
    lists.iter().map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect()).collect()
}

/// The weights asked for, else the adapter's own.
fn weights(asked: &JsValue, name: &str, loaded: &Loaded) -> Result<Weights, WebError> {
    let asked: Option<Weights> = from_js(asked, "weights")?;
    let Some(weights) = asked.or(loaded.meta.weights) else {
        return Err(WebError::input(format_args!(
            "adapter {name:?} holds no tuned weights; tune them on lists with references, or give beta"
        )));
    };
    if !(weights.beta.is_finite() && weights.gamma.is_finite()) {
        return Err(WebError::input("weights: expected finite numbers"));
    }
    Ok(weights)
}

/// A list by its totals, the best first; equal ones keep their order.
fn ranked(utterance: &Utterance, totals: &[f64], lm: Option<&[f64]>) -> Vec<Value> {
    let mut order: Vec<usize> = (0..totals.len()).collect();
    order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]));
    let entry = |(rank, index): (usize, usize)| {
        let hypothesis = &utterance.hypotheses[index];
        json!({
            "text": hypothesis.text,
            "score": totals[index],
            "first": hypothesis.score,
            "lm": lm.map(|lm| lm[index]),
            "rank": rank + 1,
            "index": index,
        })
    };
    order.into_iter().enumerate().map(entry).collect()
}

#[wasm_bindgen]
impl Model {
    /// The adapter's score of every text of every list, a `Float64Array` each.
    ///
    /// `batch_tokens` and both functions may be left out, here and in the other methods: `on_progress` is told
    /// the number of texts done, `is_aborted` asked whether to stop.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    pub async fn score(
        &self,
        adapter: String,
        lists: JsValue,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
    ) -> Result<Array, JsValue> {
        let lists: Vec<Vec<String>> = from_js(&lists, "lists")?;
        let texts: Vec<Vec<&str>> =
            lists.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
        let (loaded, watcher) =
            (self.shared.adapter(&adapter)?, Watcher::new(on_progress, is_aborted));
        let scored = self.shared.scored(&loaded, &texts, batch_tokens, &watcher).await?;
        Ok(number_lists(&scored.lm))
    }

    /// Last hidden state of `[CLS]` of the bare encoder for each text, end to end: `[texts, hidden]`.
    ///
    /// # Errors
    /// `DeviceLostError`, `AbortError`.
    pub async fn cls(
        &self,
        texts: JsValue,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
    ) -> Result<Float32Array, JsValue> {
        let Shared { encoder, config, tokenizer, .. } = &*self.shared;
        let texts: Vec<String> = from_js(&texts, "texts")?;
        let trainable = TrainableTensors::bare(config, &encoder.device());
        let (sequences, places) = interned(tokenizer, &texts)?;
        let tokens = self::batch_tokens(batch_tokens);
        let watcher = Watcher::new(on_progress, is_aborted);
        let rows =
            embed_sequences(encoder, &trainable, &sequences, tokens, |done| watcher.go_on(done))
                .await
                .map_err(WebError::from)?;
        self.shared.watched.trusted().await?;
        let width = config.hidden_size;
        let all: Vec<f32> =
            places.into_iter().flat_map(|place| &rows[place * width..][..width]).copied().collect();
        Ok(Float32Array::from(all.as_slice()))
    }

    /// Ranks lists of `{text, score?}`: for each an array of `{text, score, first, lm, rank, index}`, best
    /// first. Without an adapter, by the first pass, and `lm` is `null`. `weights` is `{beta, gamma?}`; left out,
    /// the adapter's own.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    pub async fn rescore(
        &self,
        adapter: Option<String>,
        lists: JsValue,
        weights: JsValue,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
    ) -> Result<JsValue, JsValue> {
        let lists = self::lists(&lists)?;
        let Some(name) = adapter else {
            let all: Vec<_> = lists.iter().map(|u| ranked(u, &first_pass(u), None)).collect();
            return Ok(to_js(&all)?);
        };
        let loaded = self.shared.adapter(&name)?;
        let weights = self::weights(&weights, &name, &loaded)?;
        let watcher = Watcher::new(on_progress, is_aborted);
        let scored = self.shared.scored(&loaded, &texts(&lists), batch_tokens, &watcher).await?;
        let rank = |(u, lm): (&Utterance, &Vec<f64>)| ranked(u, &combine(u, lm, weights), Some(lm));
        let all: Vec<_> = lists.iter().zip(&scored.lm).map(rank).collect();
        Ok(to_js(&all)?)
    }

    /// WER of first pass, rescoring and oracle on utterances with references, as JSON lines or objects:
    /// the core's report with `weights`, `choices` (the index chosen from each list) and `truncated`.
    /// Without an adapter, of first pass and oracle alone.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    #[allow(clippy::too_many_arguments, reason = "JavaScript's wrapper names them")]
    pub async fn evaluate(
        &self,
        adapter: Option<String>,
        utterances: JsValue,
        weights: JsValue,
        batch_tokens: Option<usize>,
        seed: Option<u32>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
    ) -> Result<JsValue, JsValue> {
        let lists = self::utterances(&utterances, "utterances")?;
        let mut evaluation = Evaluation::new();
        let (mut choices, mut truncated, mut used) = (Vec::new(), 0, None);
        if let Some(name) = adapter {
            let loaded = self.shared.adapter(&name)?;
            let weights = self::weights(&weights, &name, &loaded)?;
            let watcher = Watcher::new(on_progress, is_aborted);
            let scored =
                self.shared.scored(&loaded, &texts(&lists), batch_tokens, &watcher).await?;
            truncated = scored.truncated;
            used = Some(weights);
            for (utterance, lm) in lists.iter().zip(&scored.lm) {
                let choice = best(&combine(utterance, lm, weights));
                evaluation.add(utterance, Some(choice));
                choices.push(choice);
            }
        } else {
            for utterance in &lists {
                evaluation.add(utterance, None);
                choices.push(best(&first_pass(utterance)));
            }
        }
        let report = evaluation.report(RESAMPLES, u64::from(seed.unwrap_or(0)));
        let mut value = serde_json::to_value(&report).map_err(|e| WebError::new("LorbError", e))?;
        value["weights"] = json!(used);
        value["choices"] = json!(choices);
        value["truncated"] = json!(truncated);
        Ok(to_js(&value)?)
    }

    /// Finds the weights with the fewest errors on utterances with references and stores them with the
    /// adapter: `{beta, gamma, wer, werFirst, errors, errorsFirst, referenceWords, atEdge, truncated, adapter}`.
    ///
    /// # Errors
    /// `BadInputError`, also when there is no reference word; `DeviceLostError`, `AbortError`.
    pub async fn tune(
        &self,
        adapter: String,
        utterances: JsValue,
        with_gamma: bool,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
    ) -> Result<JsValue, JsValue> {
        let mut lists = self::utterances(&utterances, "utterances")?;
        lists.retain(|utterance| utterance.reference.is_some());
        let loaded = self.shared.adapter(&adapter)?;
        let watcher = Watcher::new(on_progress, is_aborted);
        let scored = self.shared.scored(&loaded, &texts(&lists), batch_tokens, &watcher).await?;
        let pairs = lists.iter().zip(&scored.lm);
        let lists: Vec<_> = pairs.filter_map(|(u, lm)| ScoredList::new(u, lm)).collect();
        let tuned = tune(&lists, with_gamma);
        if tuned.reference_words == 0 {
            return Err(
                WebError::input("utterances: no list has a word of reference to tune on").into()
            );
        }
        let meta = AdapterMeta { weights: Some(tuned.weights), ..loaded.meta.clone() };
        let stored =
            Loaded { adapter: loaded.adapter.clone(), meta, trainable: loaded.trainable.clone() };
        let described = info(&adapter, &stored);
        self.shared.adapters.borrow_mut().insert(adapter, Rc::new(stored));
        Ok(to_js(&json!({
            "beta": tuned.weights.beta,
            "gamma": tuned.weights.gamma,
            "wer": tuned.wer,
            "werFirst": tuned.wer_first,
            "errors": tuned.errors,
            "errorsFirst": tuned.errors_first,
            "referenceWords": tuned.reference_words,
            "atEdge": tuned.at_edge,
            "truncated": scored.truncated,
            "adapter": described,
        }))?)
    }
}

/// The distinct token sequences of texts, and which of them each text is.
fn interned(
    tokenizer: &BertTokenizer,
    texts: &[String],
) -> Result<(Vec<Vec<u32>>, Vec<usize>), WebError> {
    let mut distinct = Sequences::new();
    let places: Result<Vec<usize>, WebError> =
        texts.iter().map(|text| Ok(distinct.intern(tokenizer.encode(text)?.ids))).collect();
    Ok((distinct.into_parts().0, places?))
}
