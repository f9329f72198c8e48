//! Scores that a beam search divided by a power of the length: those of Transformers and CTranslate2.

use super::Note;
use super::json::Found;
use super::json_write::Object;
use crate::nbest::limits;
use crate::nbest::value::{Fields, NULL, kind};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, Problem, Utterance};

/// The exponent of the length.
const LENGTH_PENALTY: &str = "length_penalty";

/// Where a hypothesis keeps its normalised score, to be written unchanged.
const NORMALISED: &str = "normalised_score";

/// Which notes there were.
#[derive(Default)]
pub(super) struct Undone {
    assumed: bool,
    unknown: bool,
}

impl Undone {
    /// Takes the normalised scores under `key`, and sets those of the hypotheses: `score = normalised * length ^ penalty`,
    /// the sum of the log-probabilities of the tokens. `length` gives the length of a hypothesis in tokens, if it is known.
    /// Without it, the scores stay normalised. An absent penalty counts as 1, the default of both tools.
    pub(super) fn apply(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        all: &mut [Hypothesis],
        length: impl Fn(&Hypothesis) -> Option<usize>,
        found: &mut Found,
    ) -> Result<(), Problem> {
        // An empty list means that scores were not requested.
        if fields.peek_list(key)?.is_none_or(|count| count == 0) {
            fields.take(key);
            return Ok(());
        }
        let values = fields.peek_numbers(key, all.len())?.unwrap_or_default();
        let given = fields.parallel(key, all.len())?.unwrap_or_default();
        let penalty = fields.peek_number(LENGTH_PENALTY)?;
        if penalty == Some(0.0) {
            fields.take(LENGTH_PENALTY);
            all.iter_mut().zip(values).for_each(|(hypothesis, value)| hypothesis.score = value);
            return Ok(());
        }
        let lengths: Option<Vec<usize>> = all.iter().map(length).collect();
        let told = if lengths.is_some() { &mut self.assumed } else { &mut self.unknown };
        if (lengths.is_none() || penalty.is_none()) && !std::mem::replace(told, true) {
            let name = found.name().to_owned();
            found.note(match lengths {
                Some(_) => Note::AssumedLengthPenalty { name },
                None => Note::NormalisedScores { name },
            });
        }
        let exponent = penalty.unwrap_or(1.0);
        for (at, hypothesis) in all.iter_mut().enumerate() {
            let factor = lengths.as_ref().map_or(1.0, |all| (all[at] as f64).powf(exponent));
            if let Some(value) = values[at] {
                hypothesis.score = Some(limits::computed(value * factor, at + 1)?);
                hypothesis.extra.push(NORMALISED, given[at]);
            }
        }
        Ok(())
    }
}

/// Adds the values of each hypothesis in the lists under `keys` to its unknown keys, so that they follow the hypothesis.
pub(super) fn columns(
    fields: &mut Fields<'_>,
    keys: &[&'static str],
    all: &mut [Hypothesis],
) -> Result<(), Problem> {
    for key in keys {
        let values = fields.parallel(key, all.len())?.unwrap_or_default();
        for (hypothesis, value) in all.iter_mut().zip(values) {
            if kind(value) != NULL {
                hypothesis.extra.push(key, value);
            }
        }
    }
    Ok(())
}

/// The number of elements of a list.
pub(super) fn length_of(json: &str) -> Option<usize> {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json).ok().map(|values| values.len())
}

/// What the formats have a place for.
pub(super) const PLACES: &[Field] = &[
    Field::Reference,
    Field::Alternative,
    Field::Score,
    Field::Lm,
    Field::Total,
    Field::Key,
    Field::HypothesisKey,
];

/// Writes a list. `scores` is the key of the normalised scores, `columns` the other keys of the hypotheses.
///
/// Scores that were read from such a file are written as they were there. Others are written without normalisation,
/// with a `length_penalty` of 0.
pub(super) fn write(
    utterance: &Utterance,
    object: &mut Object,
    omitted: &mut Omitted,
    scores: &str,
    columns: &[&str],
) {
    object.named(utterance, "id", "ref");
    object.texts("texts", utterance);
    let scored = |hypothesis: &&Hypothesis| hypothesis.score.is_some();
    let normalised = |hypothesis: &Hypothesis| hypothesis.extra.get(NORMALISED).is_some();
    let penalty = utterance.extra.get(LENGTH_PENALTY);
    if !utterance.hypotheses.iter().any(|hypothesis| hypothesis.score.is_some()) {
        // By this key, the format is recognised.
        object.raw(scores, "null");
    } else if utterance.hypotheses.iter().filter(scored).all(normalised) {
        object.column(scores, NORMALISED, utterance);
        penalty.into_iter().for_each(|json| object.raw(LENGTH_PENALTY, json));
    } else {
        object.numbers(scores, utterance, |hypothesis| hypothesis.score);
        object.raw(LENGTH_PENALTY, "0");
        omitted.add(Field::Key, usize::from(penalty.is_some()));
    }
    columns.iter().for_each(|key| object.column(key, key, utterance));
    object.rescored(utterance);
    for hypothesis in &utterance.hypotheses {
        let known = |key: &str| key == NORMALISED || columns.contains(&key);
        let keys = hypothesis.extra.iter().filter(|(key, _)| !known(key)).count();
        omitted.add(Field::HypothesisKey, keys);
    }
}
