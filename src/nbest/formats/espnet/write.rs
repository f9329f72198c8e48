//! Writes the folder: one shard, and the references in the file `references`.

use super::super::python;
use super::super::{ListSink, ListWriter, NbestFormat, Note, WriteError};
use super::{Espnet, NUMBERS, PARTS, TEXT};
use crate::nbest::Utterance;
use crate::nbest::references::{self, REFERENCES};
use crate::nbest::writer::{ALL_BUT_KEYS, JoinedIds, Omitted, append, finite, one_line};

/// Writes each rank to its folder.
#[derive(Default)]
pub(super) struct Writer {
    ids: JoinedIds,
    omitted: Omitted,
}

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        let format = Espnet.name();
        finite(utterance, format)?;
        self.ids.add(utterance, format)?;
        let id = &utterance.id;
        for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
            let folder = format!("logdir/output.1/{}best_recog", at + 1);
            let text = format!("{id} {}\n", one_line(&hypothesis.text));
            append(sink, &format!("{folder}/{TEXT}"), text.as_bytes())?;
            for number in &NUMBERS {
                if let Some(value) = (number.get)(hypothesis) {
                    let line = format!("{id} {value}\n");
                    append(sink, &format!("{folder}/{}", number.file), line.as_bytes())?;
                }
            }
            if !hypothesis.parts.is_empty() {
                let line = format!("{id} {}\n", python::dictionary(&hypothesis.parts));
                append(sink, &format!("{folder}/{PARTS}"), line.as_bytes())?;
            }
        }
        if let Some(line) = references::line(utterance) {
            append(sink, REFERENCES, line.as_bytes())?;
        }
        self.omitted.count(utterance, &ALL_BUT_KEYS);
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        Ok(self.omitted.notes(Espnet.name()))
    }
}
