//! The JSON of HyPoradise (Hypo2Trans): a list of `{"input": [...], "output": ...}`.
//!
//! `input` has the hypotheses, best first, `output` the reference. There are neither scores nor ids; lists are named by
//! their position. Older files have `input1`, the best hypothesis, and `input2`, the other ones in one string, separated
//! by `". "`. The tool fills short lists with repeated hypotheses, and writes `<UNK>` for an empty text
//! (Hypotheses-Paradise/Hypo2Trans, `generate_data/whisper/generate_hp_dataset.py`); it is read as an empty text.

use serde_json::Value;

use super::json::{Found, Reader, Shape, fields, hypotheses, list, rescored, sniff};
use super::json_write::{Around, Form, Object, Writer};
use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::items::{Item, Layout};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{NbestError, Problem, Utterance};

/// The format.
pub(super) struct Hyporadise;

/// What the tool writes for an empty text.
const EMPTY: &str = "<UNK>";

impl NbestFormat for Hyporadise {
    fn name(&self) -> &'static str {
        "hyporadise"
    }

    fn doc(&self) -> &'static str {
        "JSON of HyPoradise: [{input: [...], output}], without scores"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| outline.has(&["input", "[]", "\""]) || outline.has(&["input1"]))
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Pairs)?))
    }
}

impl WrittenFormat for Hyporadise {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"[{"input": ["show me flights", "show me flight", "show my flights", "show me flights", "shall me flights"], "output": "show me flights"}, {"input": ["<UNK>", "the", "a", "the", "a"], "output": "<UNK>"}, {"input1": "on monday", "input2": "on mondays. on sunday. a monday.", "output": "on monday"}]"#,
        )]
    }
}

struct Pairs;

impl Shape for Pairs {
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut fields = fields(item)?;
        let (id, reference) = (fields.string("id")?, fields.string("output")?.map(without_mark));
        list(found, fields, id, reference, |fields, _| {
            let texts = match fields.string("input1")? {
                Some(best) => older(best, &fields.string("input2")?.unwrap_or_default()),
                None => fields.strings("input")?.ok_or_else(|| fields.missing("input"))?,
            };
            let mut all = hypotheses("input", texts.into_iter().map(without_mark).collect())?;
            rescored(fields, &mut all)?;
            Ok(all)
        })
    }
}

fn without_mark(text: String) -> String {
    if text == EMPTY { String::new() } else { text }
}

/// The hypotheses of an older file. Its texts have no punctuation, so a full stop ends each of them.
fn older(best: String, others: &str) -> Vec<String> {
    let others = others.split(". ").map(|text| text.strip_suffix('.').unwrap_or(text).trim());
    let others = others.filter(|text| !text.is_empty()).map(str::to_owned);
    std::iter::once(best).chain(others).collect()
}

impl Form for Hyporadise {
    const FORMAT: &'static str = "hyporadise";
    const AROUND: Around = Around::List;
    const PLACES: &'static [Field] =
        &[Field::Reference, Field::Alternative, Field::Lm, Field::Total, Field::Key];
    const RESERVED: &'static [&'static str] =
        &["id", "output", "input", "input1", "input2", "lm", "total"];

    fn write(utterance: &Utterance, object: &mut Object, _: &mut Omitted) {
        let with_mark = |text: &str| if text.is_empty() { EMPTY } else { text }.to_owned();
        object.string("id", &utterance.id);
        let texts = utterance.hypotheses.iter().map(|hypothesis| with_mark(&hypothesis.text));
        object.list("input", texts.map(|text| Value::from(text).to_string()));
        if let Some(reference) = &utterance.reference {
            object.string("output", &with_mark(reference));
        }
        object.rescored(utterance);
    }
}
