//! Scores that a beam search divided by a power of the length: those of Transformers and CTranslate2.

use super::Note;
use super::json::Found;
use super::json_write::Object;
use crate::nbest::value::Fields;
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, Problem, Utterance};

/// The exponent of the length.
pub(super) const LENGTH_PENALTY: &str = "length_penalty";

/// Which notes there were.
#[derive(Default)]
pub(super) struct Undone {
    assumed: bool,
    unknown: bool,
}

impl Undone {
    /// Sets the scores of a list: `score = normalised * length ^ penalty`, the sum of the log-probabilities of the tokens.
    /// `length` gives the length of a hypothesis in tokens, if it is known. Without it, the scores stay normalised. An
    /// absent penalty counts as 1, the default of both tools.
    pub(super) fn apply(
        &mut self,
        fields: &Fields<'_>,
        all: &mut [Hypothesis],
        normalised: &[Option<f64>],
        length: impl Fn(&Hypothesis) -> Option<usize>,
        found: &mut Found,
    ) -> Result<(), Problem> {
        let penalty = fields.peek_number(LENGTH_PENALTY)?;
        if normalised.iter().all(Option::is_none) {
            return Ok(());
        }
        let exponent = penalty.unwrap_or(1.0);
        let lengths: Vec<_> = all.iter().map(length).collect();
        let known = exponent == 0.0 || lengths.iter().all(Option::is_some);
        let name = || found.name().to_owned();
        if !known && !std::mem::replace(&mut self.unknown, true) {
            let note = Note::NormalisedScores { name: name() };
            found.note(note);
        } else if known && penalty.is_none() && !std::mem::replace(&mut self.assumed, true) {
            let note = Note::AssumedLengthPenalty { name: name() };
            found.note(note);
        }
        for ((hypothesis, value), length) in all.iter_mut().zip(normalised).zip(lengths) {
            hypothesis.score = match length {
                Some(length) if known && exponent != 0.0 => {
                    value.map(|value| value * (length as f64).powf(exponent))
                }
                _ => *value,
            };
        }
        Ok(())
    }
}

/// Adds the value of each hypothesis in a list to its unknown keys, so that it follows the hypothesis.
pub(super) fn column(
    fields: &mut Fields<'_>,
    key: &'static str,
    all: &mut [Hypothesis],
) -> Result<bool, Problem> {
    let Some(values) = fields.parallel(key, all.len())? else { return Ok(false) };
    all.iter_mut().zip(values).for_each(|(hypothesis, value)| hypothesis.extra.push(key, value));
    Ok(true)
}

/// The number of elements of a list.
pub(super) fn length_of(json: &str) -> Option<usize> {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json).ok().map(|values| values.len())
}

/// What the formats have a place for.
pub(super) const PLACES: &[Field] =
    &[Field::Reference, Field::Alternative, Field::Score, Field::Lm, Field::Total, Field::Key];

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
    let mut all = utterance.hypotheses.iter();
    let read =
        all.all(|hypothesis| hypothesis.score.is_none() || hypothesis.extra.get(scores).is_some());
    if read && utterance.hypotheses.iter().any(|hypothesis| hypothesis.score.is_some()) {
        object.column(scores, utterance);
    } else if object.numbers(scores, utterance, |hypothesis| hypothesis.score) {
        object.raw(LENGTH_PENALTY, "0");
    } else {
        // By this key, the format is recognised.
        object.raw(scores, "null");
    }
    columns.iter().for_each(|key| object.column(key, utterance));
    object.rescored(utterance);
    for hypothesis in &utterance.hypotheses {
        let known = |key: &str| key == scores || columns.contains(&key);
        omitted.add(Field::Key, hypothesis.extra.iter().filter(|(key, _)| !known(key)).count());
    }
}
