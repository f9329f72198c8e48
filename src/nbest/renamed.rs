//! Keys that other tools use for what LoRB looks for, to point at them when it finds nothing.

use super::value::{LIST, NUMBER, STRING, kind};
use super::{Note, Utterance};

/// The expected key, the one found, and how to fix it.
type Hint = (&'static str, &'static str, &'static str);

macro_rules! hints {
    ($($expected:literal: [$($other:literal),*];)*) => {
        &[$($(($expected, $other, concat!("key \"", $other, "\" may be it; rename it to \"", $expected, "\"")),)*)*]
    };
}

/// Other names of required keys.
const REQUIRED: &[Hint] = hints! {
    "id": ["utt_id", "uttid", "utt", "utterance_id", "utterance", "key", "name", "uid", "audio_filepath", "audio", "wav", "file"];
    "nbest": ["hyps", "hypotheses", "n_best", "nbest_list", "alternatives", "beams", "candidates", "texts", "results"];
    "text": ["transcript", "transcription", "hyp", "hypothesis", "pred_text", "sentence", "words", "value"];
};

/// Other names of references.
const REFERENCES: [&str; 13] = [
    "reference",
    "ref_text",
    "transcript",
    "transcription",
    "text",
    "sentence",
    "target",
    "label",
    "gold",
    "truth",
    "ground_truth",
    "groundtruth",
    "output",
];

/// What names of scores contain.
const SCORES: [&str; 8] =
    ["score", "prob", "conf", "cost", "likelihood", "logp", "nll", "posterior"];

/// A hint for a required key that is missing, if another one looks like it.
pub(super) fn hint(expected: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let found = REQUIRED.iter().find(|(key, other, _)| *key == expected && has(other));
    found.map(|(_, _, hint)| *hint)
}

/// Lists after which a reader says what it did not find, rather than at the end of a stream.
const SOON: u64 = 1000;

/// Watches lists for scores and references, and for keys that look like them.
#[derive(Default)]
pub(super) struct Watch {
    lists: u64,
    scored: bool,
    referenced: bool,
    /// Keys that look like a score and a reference.
    score: Option<String>,
    reference: Option<String>,
    told: bool,
}

impl Watch {
    /// Ignores keys that look like scores, for a format whose scores may be unknown on purpose.
    pub(super) fn without_scores() -> Self {
        Self { scored: true, ..Self::default() }
    }

    /// Looks at a list.
    pub(super) fn see(&mut self, list: &Utterance) {
        self.lists += 1;
        self.referenced |= list.reference.is_some();
        self.scored |= list.hypotheses.iter().any(|h| h.score.is_some() || h.total.is_some());
        if !self.scored && self.score.is_none() {
            let inside = list.hypotheses.iter().flat_map(|h| h.extra.iter());
            let inside = inside.filter(|(_, json)| kind(json) == NUMBER);
            // Lists with a value for each hypothesis.
            let beside = list.extra.iter().filter(|(_, json)| kind(json) == LIST);
            let like = |key: &str| SCORES.iter().any(|part| key.to_lowercase().contains(part));
            let key = inside.chain(beside).map(|(key, _)| key).find(|key| like(key));
            self.score = key.map(str::to_owned);
        }
        if !self.referenced && self.reference.is_none() {
            let texts = list.extra.iter().filter(|(_, json)| kind(json) == STRING);
            let key = texts.map(|(key, _)| key).find(|key| REFERENCES.contains(key));
            self.reference = key.map(str::to_owned);
        }
    }

    /// What the user should know: once, at the end or after many lists.
    pub(super) fn notes(&mut self, name: &str, ended: bool) -> Vec<Note> {
        if self.told || !(ended || self.lists >= SOON) {
            return Vec::new();
        }
        self.told = true;
        let name = || name.to_owned();
        let score = self.score.take().filter(|_| !self.scored);
        let score = score.map(|key| Note::ScoreUnderOtherKey { name: name(), key });
        let reference = self.reference.take().filter(|_| !self.referenced);
        let reference = reference.map(|key| Note::ReferenceUnderOtherKey { name: name(), key });
        score.into_iter().chain(reference).collect()
    }
}
