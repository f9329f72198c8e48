//! `lorb export --check`: what an exported base loses.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lorb::model::SCORING_BATCH_TOKENS;
use lorb::ops::Precision;
use lorb::score::{Agreement, Evaluation, RESAMPLES, RankedList, Weights};

use super::args::{BaseArgs, PrecisionArgs, ReadArgs, RunArgs, ScoringArgs, TextArgs};
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::input::Utterances;
use super::output;
use super::progress::Meter;
use super::terminal::say;

/// A comparison of two bases.
pub struct Check<'a> {
    /// The original base.
    pub model: &'a OsStr,
    pub revision: Option<&'a str>,
    /// The written base.
    pub output: &'a Path,
    /// The adapter of each.
    pub adapters: [&'a Path; 2],
    pub lists: &'a [PathBuf],
    pub reading: &'a ReadArgs,
    pub run: &'a RunArgs,
}

impl Check<'_> {
    /// Scores the lists with both, and prints the differences. Both compute in f32, so what differs is what the files have
    /// lost.
    pub fn report(&self) -> Result<(), CliError> {
        let mut input = Utterances::open(self.lists, &self.reading.reading()?)?;
        let quiet = RunArgs { quiet: true, ..self.run.clone() };
        let [mut original, mut written] = [
            self.engine(self.model, self.revision, self.adapters[0], self.run)?,
            self.engine(self.output.as_os_str(), None, self.adapters[1], &quiet)?,
        ];
        let tuned = original.stored_weights()?;
        // The order does not matter without tuned weights.
        let weights = tuned.clone().unwrap_or(Weights::new(1.0, 0.0));
        let conventions = original.conventions()?;
        let mut agreement = Agreement::default();
        let mut evaluations = [Evaluation::with(conventions), Evaluation::with(conventions)];
        let mut meter = Meter::new(self.run.quiet, input.total_bytes());
        let mut done = 0_u64;
        loop {
            let chunk = next_chunk(&mut input)?;
            if chunk.is_empty() {
                break;
            }
            let ranked = [original.rescore(&chunk, &weights)?, written.rescore(&chunk, &weights)?];
            for (at, utterance) in chunk.iter().enumerate() {
                let [one, other] = [0, 1].map(|side: usize| scores(&ranked[side][at]));
                one.iter().zip(&other).for_each(|(one, other)| agreement.add(*one, *other));
                for (evaluation, ranked) in evaluations.iter_mut().zip(&ranked) {
                    evaluation.add(utterance, Some(ranked[at].choice()));
                }
            }
            done += chunk.len() as u64;
            meter.update(input.bytes_read(), || format!("{done} utterances"));
        }
        meter.finish();
        input.unused_references();
        input.warnings().for_each(|warning| say!("warning: --check: {warning}"));
        let mut text = differences(&agreement, done);
        if tuned.is_none() {
            text += "no WER: the adapter has no tuned weights\n";
        } else {
            let [one, other] = evaluations.map(|evaluation| evaluation.report(RESAMPLES, 0));
            let rates = [&one, &other].map(|report| report.rescored.as_ref().and_then(|r| r.wer));
            match rates {
                [Some(one), Some(other)] => rate(&mut text, conventions.unit.rate(), one, other),
                _ => text += "no WER: no list has a reference\n",
            }
        }
        output::print(&text)
    }

    fn engine(
        &self,
        model: &OsStr,
        revision: Option<&str>,
        adapter: &Path,
        run: &RunArgs,
    ) -> Result<Engine, CliError> {
        let base = BaseArgs {
            model: model.to_owned(),
            revision: revision.map(str::to_owned),
            precision: PrecisionArgs { precision: Precision::F32 },
        };
        let scoring = ScoringArgs { batch_tokens: SCORING_BATCH_TOKENS };
        Engine::open(&base, adapter, run, &scoring, TextArgs::default())
    }
}

/// The adapter's scores, in the order of the list that was read.
fn scores(list: &RankedList) -> Vec<f64> {
    let mut scores = vec![0.0; list.hypotheses.len()];
    for hypothesis in &list.hypotheses {
        scores[hypothesis.index] = hypothesis.lm.unwrap_or(0.0);
    }
    scores
}

fn differences(agreement: &Agreement, lists: u64) -> String {
    let correlation = match agreement.correlation() {
        Some(correlation) => format!("{correlation:.6}"),
        None => "not defined, because all scores of a base are equal".to_owned(),
    };
    format!(
        "lm scores of {} hypotheses in {lists} lists, original and written base\n\
         correlation (Pearson)  {correlation}\n\
         largest difference     {:.6}\n\
         mean difference        {:.6}\n",
        agreement.count(),
        agreement.largest(),
        agreement.mean()
    )
}

/// A line with both rates, in per cent.
fn rate(text: &mut String, name: &str, one: f64, other: f64) {
    let (one, other) = (100.0 * one, 100.0 * other);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<22} {one:.2} %, written {other:.2} % ({:+.2})", other - one);
}
