//! HypR: 50-best lists of AISHELL-1, TED-LIUM 2 and LibriSpeech, as JSON lines or as one list.
//!
//! ```json
//! {"utt_id":"1272-0000","ref":"...","hyps":["...","..."],"att_score":[-1.76,-10.3],"ctc_score":[-5.1,-0.5],"score":[-3.5,-5.4]}
//! ```
//!
//! Every score is a sum of natural log-probabilities over the tokens of a hypothesis, higher is better. `lm_score` is
//! absent if no language model was used. `score` combines them:
//! `(1 - λctc) att + λctc ctc + λlm lm` (Alfred0622/HypR, README). The parts become `att`, `ctc` and `lm`.
//!
//! The data sets are on Hugging Face (`ASR-HypR/...`). To write one as JSON lines:
//!
//! ```python
//! from datasets import load_dataset
//! load_dataset("ASR-HypR/LibriSpeech_withoutLM", split="dev_clean").to_json("dev_clean.jsonl")
//! ```

use super::json::{Found, Reader, Shape, fields, hypotheses, list, rescored, sniff};
use super::json_write::{EVERYTHING, Form, Object, Writer};
use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::items::{Item, Layout};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{NbestError, Problem, Utterance};

/// The format.
pub(super) struct Hypr;

/// The lists of parts, with the names of the parts.
const PARTS: [(&str, &str); 3] = [("att_score", "att"), ("ctc_score", "ctc"), ("lm_score", "lm")];

impl NbestFormat for Hypr {
    fn name(&self) -> &'static str {
        "hypr"
    }

    fn doc(&self) -> &'static str {
        "JSON lines of HypR: {utt_id, ref, hyps, att_score, ctc_score, lm_score, score}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| outline.has(&["hyps", "[]", "\""]) && outline.has(&["utt_id"]))
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Rows)?))
    }
}

impl WrittenFormat for Hypr {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{"utt_id":"1272-128104-0000","ref":"mister quilter is","hyps":["mister quilter is","mister quiltter is"],"att_score":[-1.76402,-10.33629],"ctc_score":[-5.13712,-0.45096],"score":[-3.45057,-5.39363]}
{"utt_id":"1272-128104-0001","ref":"nor is he","hyps":["nor is he"],"att_score":[-0.5],"ctc_score":[-0.25],"lm_score":[-9.0],"score":[-6.7]}
"#,
        )]
    }
}

struct Rows;

impl Shape for Rows {
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut fields = fields(item)?;
        let (id, reference) = (fields.string("utt_id")?, fields.string("ref")?);
        list(found, fields, id, reference, |fields, _| {
            let texts = fields.strings("hyps")?.ok_or_else(|| fields.missing("hyps"))?;
            let mut all = hypotheses("hyps", texts)?;
            if let Some(values) = fields.numbers("score", all.len())? {
                all.iter_mut().zip(values).for_each(|(hypothesis, value)| hypothesis.score = value);
            }
            for (key, part) in PARTS {
                let values = fields.numbers(key, all.len())?.unwrap_or_default();
                for (hypothesis, value) in all.iter_mut().zip(values) {
                    value.map(|value| hypothesis.parts.insert(part, value));
                }
            }
            rescored(fields, &mut all)?;
            Ok(all)
        })
    }
}

impl Form for Hypr {
    const FORMAT: &'static str = "hypr";
    const PLACES: &'static [Field] = EVERYTHING;
    const RESERVED: &'static [&'static str] =
        &["utt_id", "ref", "hyps", "score", "att_score", "ctc_score", "lm_score", "lm", "total"];

    fn write(utterance: &Utterance, object: &mut Object, omitted: &mut Omitted) {
        object.named(utterance, "utt_id", "ref");
        object.texts("hyps", utterance);
        for (key, part) in PARTS {
            object.numbers(key, utterance, |hypothesis| hypothesis.parts.get(part));
        }
        object.numbers("score", utterance, |hypothesis| hypothesis.score);
        object.rescored(utterance);
        for hypothesis in &utterance.hypotheses {
            let known = |name: &str| PARTS.iter().any(|(_, part)| *part == name);
            let others = hypothesis.parts.iter().filter(|(name, _)| !known(name)).count();
            omitted.add(Field::Part, others);
            omitted.add(Field::HypothesisKey, hypothesis.extra.len());
        }
    }
}
