//! Beam search of Hugging Face's Transformers: what `generate` returns, one JSON object for each utterance.
//!
//! ```json
//! {"id":"u1","texts":["turn it on","turn on"],"sequences_scores":[-0.25,-0.5],"beam_indices":[[0,0,0,-1],[1,1,-1,-1]],"length_penalty":1.0}
//! ```
//!
//! `generate` returns Python objects. To write them for one utterance:
//!
//! ```python
//! out = model.generate(features, num_beams=10, num_return_sequences=10, return_dict_in_generate=True, output_scores=True)
//! line = {"id": name, "texts": processor.batch_decode(out.sequences, skip_special_tokens=True), "sequences_scores": out.sequences_scores.tolist(), "beam_indices": out.beam_indices.tolist(), "length_penalty": model.generation_config.length_penalty}
//! print(json.dumps(line))
//! ```
//!
//! `ref`, `sequences` (token ids) and `lengths` (tokens of each hypothesis) may be added. A sampling run has no
//! `sequences_scores`.
//!
//! `sequences_scores` are natural log-probabilities divided by a power of the length: `sum_logprobs / length **
//! length_penalty`, where `length` counts the generated tokens with the end token, without the prompt (Transformers since
//! 4.36, `generation/utils.py`, `_update_finished_beams`; older versions count the prompt too). The reader undoes it.
//! The length is in `lengths`, or is the number of `beam_indices` that are not -1. Without either, the scores stay
//! normalised, and a note says so.

use super::json::{Found, Reader, Shape, fields, hypotheses, list, rescored, sniff};
use super::json_write::{Form, Object, Writer};
use super::normalised::{PLACES, Undone, columns, write};
use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::items::{Item, Layout};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance};

/// The format.
pub(super) struct Transformers;

/// The normalised scores.
const SCORES: &str = "sequences_scores";

/// Other lists with a value for each hypothesis.
const COLUMNS: [&str; 3] = ["sequences", "beam_indices", "lengths"];

impl NbestFormat for Transformers {
    fn name(&self) -> &'static str {
        "transformers"
    }

    fn doc(&self) -> &'static str {
        "JSON of Transformers' generate: {texts, sequences_scores, beam_indices}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| {
            let ids = outline.has(&["sequences", "[]", "[]", "#"]);
            outline.has(&["texts", "[]"]) && (outline.has(&[SCORES]) || ids)
        })
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Generated::default())?))
    }
}

impl WrittenFormat for Transformers {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{"id": "u1", "ref": "turn it on", "texts": ["turn it on", "turn on"], "sequences": [[50257, 1210, 340, 319, 50256], [50257, 1210, 319, 50256, 50256]], "sequences_scores": [-0.25, -0.5], "beam_indices": [[0, 0, 0, 0, -1], [1, 1, 1, -1, -1]], "length_penalty": 1.0}
{"id": "u2", "texts": [" stop"], "sequences_scores": [-0.125], "lengths": [2], "length_penalty": 2.0}
"#,
        )]
    }
}

#[derive(Default)]
struct Generated {
    undone: Undone,
}

impl Shape for Generated {
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut fields = fields(item)?;
        let (id, reference) = (fields.string("id")?, fields.string("ref")?);
        list(found, fields, id, reference, |fields, found| {
            let texts = fields.strings("texts")?.ok_or_else(|| fields.missing("texts"))?;
            let mut all = hypotheses("texts", texts)?;
            rescored(fields, &mut all)?;
            columns(fields, &COLUMNS, &mut all)?;
            self.undone.apply(fields, SCORES, &mut all, length, found)?;
            Ok(all)
        })
    }
}

/// Generated tokens of a hypothesis.
fn length(hypothesis: &Hypothesis) -> Option<usize> {
    if let Some(json) = hypothesis.extra.get("lengths") {
        return serde_json::from_str(json).ok();
    }
    let beams: Vec<i64> = serde_json::from_str(hypothesis.extra.get("beam_indices")?).ok()?;
    Some(beams.iter().filter(|beam| **beam >= 0).count())
}

impl Form for Transformers {
    const FORMAT: &'static str = "transformers";
    const PLACES: &'static [Field] = PLACES;
    const RESERVED: &'static [&'static str] =
        &["id", "ref", "texts", SCORES, "sequences", "beam_indices", "lengths", "lm", "total"];

    fn write(utterance: &Utterance, object: &mut Object, omitted: &mut Omitted) {
        write(utterance, object, omitted, SCORES, &COLUMNS);
    }
}
