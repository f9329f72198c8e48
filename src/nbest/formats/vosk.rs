//! Vosk's results with `SetMaxAlternatives`, one JSON object for each utterance, one after the other.
//!
//! ```json
//! {"alternatives":[{"confidence":237.589417,"text":"one zero zero"},{"confidence":235.0,"text":"one zero"}]}
//! ```
//!
//! Vosk prints its objects over several lines; one on each line is read too, and so is a list of them. Vosk gives no ids:
//! the lists are named by their position, unless `id` is added. `ref` may be added too. A text without `alternatives`
//! is a list of one hypothesis. Partial results are skipped.
//!
//! Vosk's `confidence` is not a probability. It is `-(graph cost + acoustic cost)` of the path (alphacep/vosk-api,
//! `src/recognizer.cc`, `NbestResult`): a natural log-likelihood, higher is better, and positive for some models. It is
//! the score. The result without speech, an empty text with confidence 1, has no score.

use super::json::{self, Found, Reader, Shape, fields, list, objects, sniff};
use super::json_write::{EVERYTHING, Form, Object, Writer};
use super::{
    Glimpse, ListReader, ListWriter, NbestFormat, Note, OpenOptions, Source, WrittenFormat,
};
use crate::nbest::items::{Item, Layout};
use crate::nbest::parse::Names;
use crate::nbest::renamed::Watch;
use crate::nbest::value::Fields;
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance};

/// The format.
pub(super) struct Vosk;

/// Vosk's keys.
const NAMES: Names = Names { text: "text", score: Some("confidence") };

impl NbestFormat for Vosk {
    fn name(&self) -> &'static str {
        "vosk"
    }

    fn doc(&self) -> &'static str {
        "JSON results of Vosk: {alternatives: [{text, confidence}]}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| {
            outline.has(&["alternatives", "[]", "text"])
                || outline.has(&["partial", "\""])
                || outline.has(&["result", "[]", "conf"])
        })
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Results::default())?))
    }
}

impl WrittenFormat for Vosk {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{
  "alternatives" : [{
      "confidence" : 237.589417,
      "result" : [{
          "end" : 1.110000,
          "start" : 0.840000,
          "word" : "one"
        }, {
          "end" : 1.530000,
          "start" : 1.110000,
          "word" : "zero"
        }],
      "text" : "one zero"
    }, {
      "confidence" : 235.040000,
      "text" : "one zero oh"
    }]
}
{"alternatives" : [{"text": "", "confidence" : 1.0}] }
{
  "alternatives" : [{
      "confidence" : -4.5,
      "text" : "nine"
    }]
}
"#,
        )]
    }
}

#[derive(Default)]
struct Results {
    partial: bool,
}

impl Shape for Results {
    fn watch() -> Watch {
        Watch::without_scores()
    }

    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut fields = fields(item)?;
        if fields.has("partial") {
            if !std::mem::replace(&mut self.partial, true) {
                found.note(Note::SkippedPartial { name: found.name().to_owned() });
            }
            return Ok(());
        }
        let (id, reference) = (fields.string("id")?, fields.string("ref")?);
        list(found, fields, id, reference, |fields, _| hypotheses(fields))
    }
}

fn hypotheses(fields: &mut Fields<'_>) -> Result<Vec<Hypothesis>, Problem> {
    let Some(values) = fields.list("alternatives")? else {
        let text = fields.string("text")?.ok_or_else(|| fields.missing("alternatives"))?;
        return json::hypotheses("alternatives", vec![text]);
    };
    let mut all = objects("alternatives", &values, NAMES)?;
    if let [silence] = &mut all[..]
        && silence.text.is_empty()
        && silence.score == Some(1.0)
    {
        silence.score = None;
    }
    Ok(all)
}

impl Form for Vosk {
    const FORMAT: &'static str = "vosk";
    const PLACES: &'static [Field] = EVERYTHING;
    const RESERVED: &'static [&'static str] = &["id", "ref", "alternatives", "partial"];

    fn write(utterance: &Utterance, object: &mut Object, _: &mut Omitted) {
        object.named(utterance, "id", "ref");
        object.hypotheses("alternatives", utterance, NAMES);
    }
}
