//! Results of sherpa-onnx with `num_return_paths`, one JSON object for each utterance.
//!
//! ```json
//! {"id":"u1","text":"turn it on","hypotheses":[{"text":"turn it on","tokens":[" TURN"," IT"," ON"],"ys_log_probs":[-0.1,-0.3,-0.2],"score":-0.6}]}
//! ```
//!
//! The proposed option returns the hypotheses of `modified_beam_search` for offline transducers (k2-fsa/sherpa-onnx,
//! issue 3858, pull requests 3859 and 3953). The result has no id: the lists are named by their position, unless `id` is
//! added. `ref` may be added too. A result without `hypotheses` is a list of one hypothesis. In Python:
//!
//! ```python
//! hyps = [{"text": h.text, "tokens": list(h.tokens), "ys_log_probs": list(h.ys_log_probs), "score": h.score} for h in stream.result.hypotheses]
//! print(json.dumps({"id": name, "text": stream.result.text, "hypotheses": hyps}))
//! ```
//!
//! `score` is a natural log-probability, higher is better. If it is absent, the sum of `ys_log_probs` is the score: the
//! log-probabilities of the tokens, without those of the blanks between them.

use super::json::{self, Found, Reader, Shape, fields, list, objects, sniff};
use super::json_write::{EVERYTHING, Form, Object, Writer};
use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::items::{Item, Layout};
use crate::nbest::parse::OWN;
use crate::nbest::value::{Fields, kind};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance};

/// The format.
pub(super) struct SherpaOnnx;

/// Log-probabilities of the tokens.
const TOKENS: &str = "ys_log_probs";

/// Keys of the result that repeat those of its first hypothesis.
const BEST: [&str; 4] = ["tokens", "timestamps", TOKENS, "durations"];

impl NbestFormat for SherpaOnnx {
    fn name(&self) -> &'static str {
        "sherpa-onnx"
    }

    fn doc(&self) -> &'static str {
        "JSON results of sherpa-onnx: {text, hypotheses: [{text, score, ys_log_probs}]}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| {
            let has = |key| outline.has(&["hypotheses", "[]", key]);
            let results = outline.has(&["ys_log_probs"]) && outline.has(&["text", "\""]);
            let best = has("text") && outline.has(&["text", "\""]);
            has(TOKENS) || has("tokens") || has("timestamps") || best || results
        })
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Results)?))
    }
}

impl WrittenFormat for SherpaOnnx {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{"lang": "", "emotion": "", "event": "", "text": "turn it on", "timestamps": [0.04, 0.32, 0.48], "durations": [], "tokens":[" TURN", " IT", " ON"], "ys_log_probs": [-0.100000, -0.300000, -0.200000], "words": [], "hypotheses": [{"text": "turn it on", "tokens": [" TURN", " IT", " ON"], "timestamps": [0.04, 0.32, 0.48], "ys_log_probs": [-0.100000, -0.300000, -0.200000], "score": -0.750000}, {"text": "turn on", "tokens": [" TURN", " ON"], "timestamps": [0.04, 0.48], "ys_log_probs": [-0.100000, -1.500000], "score": -1.900000}]}
{"id": "u2", "text": "stop", "hypotheses": [{"text": "stop", "tokens": ["STOP"], "ys_log_probs": [-0.250000]}]}
"#,
        )]
    }
}

struct Results;

impl Shape for Results {
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut fields = fields(item)?;
        let (id, reference) = (fields.string("id")?, fields.string("ref")?);
        list(found, fields, id, reference, |fields, _| hypotheses(fields))
    }
}

fn hypotheses(fields: &mut Fields<'_>) -> Result<Vec<Hypothesis>, Problem> {
    let values = fields.list("hypotheses")?.unwrap_or_default();
    let text = fields.string("text")?;
    let mut all = match values.len() {
        // Greedy search leaves the list empty.
        0 => json::hypotheses("text", vec![text.ok_or_else(|| fields.missing("hypotheses"))?])?,
        _ => objects("hypotheses", &values, OWN)?,
    };
    // The result repeats what its first hypothesis has.
    for key in BEST {
        if let Some(value) = fields.take(key)
            && all[0].extra.get(key).is_none()
        {
            all[0].extra.push(key, value);
        }
    }
    for (at, hypothesis) in all.iter_mut().enumerate() {
        if hypothesis.score.is_none() {
            hypothesis.score = sum(hypothesis, at + 1)?;
        }
    }
    Ok(all)
}

/// The sum of the log-probabilities of the tokens, if there are any.
fn sum(hypothesis: &Hypothesis, index: usize) -> Result<Option<f64>, Problem> {
    let Some(json) = hypothesis.extra.get(TOKENS) else { return Ok(None) };
    let numbers: Vec<f64> = serde_json::from_str(json).map_err(|_| Problem::WrongKind {
        place: format!("hypothesis {index}: "),
        key: TOKENS,
        expected: "a list of numbers",
        found: kind(json),
    })?;
    Ok((!numbers.is_empty()).then(|| numbers.iter().sum()))
}

impl Form for SherpaOnnx {
    const FORMAT: &'static str = "sherpa-onnx";
    const PLACES: &'static [Field] = EVERYTHING;
    const RESERVED: &'static [&'static str] =
        &["id", "ref", "text", "hypotheses", "tokens", "timestamps", TOKENS, "durations"];

    fn write(utterance: &Utterance, object: &mut Object, _: &mut Omitted) {
        object.named(utterance, "id", "ref");
        if let Some(best) = utterance.hypotheses.first() {
            object.string("text", &best.text);
            for key in BEST {
                if let Some(json) = best.extra.get(key) {
                    object.raw(key, json);
                }
            }
        }
        object.hypotheses("hypotheses", utterance, OWN);
    }
}
