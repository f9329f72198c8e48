//! Scoring, rescoring, evaluation and tuning of lists.

use js_sys::{Array, Float32Array, Function};
use lorb::nbest::Utterance;
use lorb::rescorer::Options;
use lorb::score::{RankedList, ScoreWarning, Search, Weights};
use lorb::text::Changes;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::adapters::info;
use crate::convert::{Callbacks, from_js, number_lists, to_js};
use crate::error::WebError;
use crate::lists::{utterances, written};
use crate::model::Model;

/// Adds warnings about scores to those about texts.
fn join(warnings: &mut Value, about_scores: &[ScoreWarning]) {
    if let Value::Array(warnings) = warnings {
        warnings.extend(about_scores.iter().map(|warning| Value::from(warning.to_string())));
    }
}

/// The options of a call; `adapter` `None` is the first pass. `conventions` is `{normalize?, unit?, join?}` or undefined.
fn options<'a>(
    adapter: Option<&'a str>,
    batch_tokens: Option<usize>,
    conventions: &JsValue,
) -> Result<Options<'a>, WebError> {
    let changes: Option<Changes> = from_js(conventions, "conventions")?;
    let options = adapter.map_or(Options::first_pass(), Options::adapter);
    let options = options.conventions(changes.unwrap_or_default());
    Ok(match batch_tokens.filter(|tokens| *tokens > 0) {
        Some(tokens) => options.batch_tokens(tokens),
        None => options,
    })
}

impl Model {
    /// The lists by rank, under the requested weights or the adapter's.
    async fn ranked(
        &self,
        lists: &[Utterance],
        options: Options<'_>,
        weights: &JsValue,
        watcher: &Callbacks,
    ) -> Result<Vec<RankedList>, WebError> {
        let progress = |done| watcher.go_on(done);
        let asked: Option<Weights> = from_js(weights, "weights")?;
        let options = Options { weights: asked.as_ref(), ..options.progress(&progress) };
        let rescorer = self.shared.scoring(options.adapter);
        let ranked = rescorer.rescore_async(lists, options).await;
        self.shared.trusted(ranked).await
    }
}

#[wasm_bindgen]
impl Model {
    /// The named adapter's score of every hypothesis of every list, a `Float64Array` each.
    ///
    /// `batch_tokens` and both functions are optional, here and in the other methods: `on_progress` receives
    /// the number of finished hypotheses, and `is_aborted` returns whether to stop. Lists are JSON lines or objects.
    /// `conventions` is `{normalize?, unit?, join?}` in place of those of the adapter.
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
        conventions: JsValue,
    ) -> Result<Array, JsValue> {
        let lists = utterances(&lists, "lists")?;
        let watcher = Callbacks::new(on_progress, is_aborted);
        let progress = |done| watcher.go_on(done);
        let options = options(Some(&adapter), batch_tokens, &conventions)?.progress(&progress);
        let rescorer = self.shared.scoring(options.adapter);
        let scored = rescorer.score_async(&lists, options).await;
        let scored = self.shared.trusted(scored).await?;
        Ok(number_lists(&scored.lm))
    }

    /// Last hidden state of `[CLS]` of the bare encoder for each text: `[texts, hidden]`, row-major.
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
        let texts: Vec<String> = from_js(&texts, "texts")?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let watcher = Callbacks::new(on_progress, is_aborted);
        let progress = |done| watcher.go_on(done);
        let rescorer = self.shared.snapshot();
        let options = options(None, batch_tokens, &JsValue::UNDEFINED)?.progress(&progress);
        let rows = rescorer.embed_async(&texts, options).await;
        let rows = self.shared.trusted(rows).await?;
        Ok(Float32Array::from(rows.as_slice()))
    }

    /// Ranks lists: for each an array of `{text, score, first, lm, rank, index, truncated}`, best first. Without
    /// an adapter, by the first pass, and `lm` is `null`. `weights` is `{beta, gamma?, parts?}`, by default the adapter's.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    #[allow(clippy::too_many_arguments, reason = "JavaScript\'s wrapper names them")]
    pub async fn rescore(
        &self,
        adapter: Option<String>,
        lists: JsValue,
        weights: JsValue,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
        conventions: JsValue,
    ) -> Result<JsValue, JsValue> {
        let lists = utterances(&lists, "lists")?;
        let watcher = Callbacks::new(on_progress, is_aborted);
        let options = options(adapter.as_deref(), batch_tokens, &conventions)?;
        let ranked = self.ranked(&lists, options, &weights, &watcher).await?;
        let all: Vec<_> = ranked.into_iter().map(|list| list.hypotheses).collect();
        Ok(to_js(&all)?)
    }

    /// The same lists, re-ordered and with `lm` and `total`, as `lorb rescore` writes them. Other keys are kept;
    /// the recogniser's own `lm` becomes `first_lm`.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    #[allow(clippy::too_many_arguments, reason = "JavaScript\'s wrapper names them")]
    pub async fn rerank(
        &self,
        adapter: Option<String>,
        lists: JsValue,
        weights: JsValue,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
        conventions: JsValue,
    ) -> Result<JsValue, JsValue> {
        let lists = utterances(&lists, "lists")?;
        let watcher = Callbacks::new(on_progress, is_aborted);
        let options = options(adapter.as_deref(), batch_tokens, &conventions)?;
        let ranked = self.ranked(&lists, options, &weights, &watcher).await?;
        let apply = |(list, ranked): (_, &RankedList)| ranked.apply(list);
        Ok(written(lists.into_iter().zip(&ranked).map(apply))?)
    }

    /// WER of first pass, rescoring and oracle on utterances with references, as JSON lines or objects:
    /// the core's report with `weights`, `choices` (the index chosen from each list), `truncated` and
    /// `warnings`, sentences about suspicious texts and scores.
    /// Without an adapter, of first pass and oracle.
    ///
    /// # Errors
    /// `BadInputError`, `DeviceLostError`, `AbortError`.
    #[allow(clippy::too_many_arguments, reason = "JavaScript's wrapper names them")]
    pub async fn evaluate(
        &self,
        adapter: Option<String>,
        lists: JsValue,
        weights: JsValue,
        batch_tokens: Option<usize>,
        seed: Option<u32>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
        conventions: JsValue,
    ) -> Result<JsValue, JsValue> {
        let lists = utterances(&lists, "utterances")?;
        let watcher = Callbacks::new(on_progress, is_aborted);
        let progress = |done| watcher.go_on(done);
        let options = options(adapter.as_deref(), batch_tokens, &conventions)?.progress(&progress);
        let asked: Option<Weights> = from_js(&weights, "weights")?;
        let options = Options { weights: asked.as_ref(), ..options };
        let rescorer = self.shared.scoring(options.adapter);
        let seed = u64::from(seed.unwrap_or(0));
        let evaluated = rescorer.evaluate_async(&lists, options, seed).await;
        let evaluated = self.shared.trusted(evaluated).await?;
        let value = serde_json::to_value(&evaluated.report);
        let mut value = value.map_err(|error| WebError::new("LorbError", error))?;
        value["weights"] = json!(evaluated.weights);
        value["choices"] = json!(evaluated.choices);
        value["truncated"] = json!(evaluated.truncated);
        join(&mut value["warnings"], &evaluated.score_warnings);
        Ok(to_js(&value)?)
    }

    /// Tunes the weights on utterances with references and stores them in the adapter:
    /// `{beta, gamma, parts, wer, werFirst, errors, errorsFirst, referenceWords, atEdge, truncated, warnings, adapter}`, where
    /// `adapter` has the adapter's new metadata.
    ///
    /// # Errors
    /// `BadInputError`, also if there are no reference words; `DeviceLostError`, `AbortError`.
    #[allow(clippy::too_many_arguments, reason = "JavaScript\'s wrapper names them")]
    pub async fn tune(
        &self,
        adapter: String,
        lists: JsValue,
        with_gamma: bool,
        batch_tokens: Option<usize>,
        on_progress: Option<Function>,
        is_aborted: Option<Function>,
        conventions: JsValue,
        with_parts: bool,
    ) -> Result<JsValue, JsValue> {
        let lists = utterances(&lists, "utterances")?;
        let watcher = Callbacks::new(on_progress, is_aborted);
        let progress = |done| watcher.go_on(done);
        let options = options(Some(&adapter), batch_tokens, &conventions)?.progress(&progress);
        let mut rescorer = self.shared.scoring(options.adapter);
        let found = rescorer
            .tune_async(&lists, options, Search { gamma: with_gamma, parts: with_parts })
            .await;
        let found = self.shared.trusted(found).await?;
        let (tuned, truncated) = (found.tuned, found.truncated);
        let mut warnings = json!(found.warnings);
        join(&mut warnings, &found.score_warnings);
        let described = self.shared.change(|rescorer| {
            rescorer.set_weights(&adapter, tuned.weights.clone())?;
            rescorer.set_conventions(&adapter, found.conventions)?;
            Ok::<_, WebError>(info(&adapter, rescorer.adapter(&adapter)?))
        })?;
        Ok(to_js(&json!({
            "beta": tuned.weights.beta,
            "gamma": tuned.weights.gamma,
            "parts": tuned.weights.parts,
            "wer": tuned.wer,
            "werFirst": tuned.wer_first,
            "errors": tuned.errors,
            "errorsFirst": tuned.errors_first,
            "referenceWords": tuned.reference_words,
            "atEdge": tuned.at_edge,
            "truncated": truncated,
            "conventions": found.conventions,
            "warnings": warnings,
            "adapter": described,
        }))?)
    }
}
