//! Writes one archive, in the folder itself.

use super::super::{ListSink, ListWriter, NbestFormat, Note, WriteError};
use super::{ACOUSTIC_SCALE, COSTS, Kaldi, Meaning, TEXTS, WHOLE_LM, combined, negated};
use crate::nbest::references::{self, REFERENCES};
use crate::nbest::writer::{ALL_BUT_KEYS, Field, JoinedIds, Omitted, append, finite, one_line};
use crate::nbest::{Hypothesis, Utterance};

/// Writes each value to its file.
#[derive(Default)]
pub(super) struct Writer {
    ids: JoinedIds,
    omitted: Omitted,
}

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        let format = Kaldi.name();
        finite(utterance, format)?;
        self.ids.add(utterance, format)?;
        for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
            let name = format!("{}-{}", utterance.id, at + 1);
            let text = format!("{name} {}\n", one_line(&hypothesis.text));
            append(sink, TEXTS[0], text.as_bytes())?;
            for (meaning, score) in scores(hypothesis) {
                let Some(file) = file(meaning, hypothesis) else {
                    self.omitted.add(Field::Part, 1);
                    continue;
                };
                append(sink, file, format!("{name} {}\n", negated(score)).as_bytes())?;
            }
        }
        if let Some(line) = references::line(utterance) {
            append(sink, REFERENCES, line.as_bytes())?;
        }
        self.omitted.count(utterance, &ALL_BUT_KEYS);
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        Ok(self.omitted.notes(Kaldi.name()))
    }
}

/// The scores of a hypothesis. A first-pass score that follows from the parts is not among them.
fn scores(hypothesis: &Hypothesis) -> Vec<(Meaning<'_>, f64)> {
    let parts = hypothesis.parts.iter().map(|(name, value)| (Meaning::Part(name), Some(value)));
    let derived = combined(hypothesis, ACOUSTIC_SCALE);
    let first = hypothesis.score.filter(|score| Some(*score) != derived);
    let others =
        [(Meaning::First, first), (Meaning::Lm, hypothesis.lm), (Meaning::Total, hypothesis.total)];
    parts.chain(others).filter_map(|(meaning, value)| Some((meaning, value?))).collect()
}

/// The file of a score: the first one of its meaning. The language model has its own file only next to the rest of the
/// graph; otherwise its part is the whole graph.
fn file(meaning: Meaning<'_>, hypothesis: &Hypothesis) -> Option<&'static str> {
    if meaning == Meaning::Part("lm") && hypothesis.parts.get("graph").is_none() {
        return Some(WHOLE_LM);
    }
    if meaning == Meaning::Part("graph") && hypothesis.parts.get("lm").is_none() {
        return None;
    }
    COSTS.iter().find(|(_, known)| *known == meaning).map(|(file, _)| *file)
}
