//! Results of the Web Speech API and of Google's speech services.
//!
//! ```json
//! {"id":"u1","alternatives":[{"transcript":"turn it on","confidence":0.92},{"transcript":"turn on"}]}
//! ```
//!
//! Read are such objects, one after the other or as a list; Google's responses, whose `results` are a list of them; and
//! lists of alternatives, each an utterance. The services give no ids: the lists are named by their position, unless
//! `id` is added. `ref` may be added too. Interim results (`isFinal` is false) are skipped. In a page:
//!
//! ```js
//! recognition.onresult = ({ results, resultIndex }) =>
//!   lines.push(JSON.stringify({ id, alternatives: Array.from(results[resultIndex], ({ transcript, confidence }) => ({ transcript, confidence })) }));
//! ```
//!
//! `confidence` is a probability; the score is its natural logarithm. 0 or an absent value means unknown: Google sets it
//! for the first alternative only (googleapis, `cloud_speech.proto`). Browsers that recognise on the device report 1
//! whatever was said (Chromium, `soda_speech_recognition_engine_impl.cc`), so a list whose confidences are all 1 has no
//! scores. LoRB writes a score that is not exactly the logarithm of a probability as `score` too, and reads it back.

use serde_json::Value;

use super::json::{Found, Reader, Shape, fields, list, objects, sniff};
use super::json_write::{EVERYTHING, Form, Object, Writer, hypothesis_of};
use super::outline::Outline;
use super::{
    Glimpse, ListReader, ListWriter, NbestFormat, Note, OpenOptions, Source, WrittenFormat,
};
use crate::nbest::items::{Item, Layout};
use crate::nbest::parse::Names;
use crate::nbest::renamed::Watch;
use crate::nbest::scan::elements;
use crate::nbest::value::{Fields, LIST, NUMBER, kind};
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance};

/// The format.
pub(super) struct WebSpeech;

/// The probability.
pub(super) const CONFIDENCE: &str = "confidence";

const LIST_KEY: &str = "alternatives";

const NAMES: Names = Names { text: "transcript", score: Some("score") };

impl NbestFormat for WebSpeech {
    fn name(&self) -> &'static str {
        "web-speech"
    }

    fn doc(&self) -> &'static str {
        "JSON of the Web Speech API or Google: {alternatives: [{transcript, confidence}]}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| {
            outline.has(&["transcript", "\""])
                || outline.has(&["[]", "transcript"])
                || outline.has(&["alternatives", "[]", "transcript"])
                || outline.has(&["results", "[]", "alternatives", "[]", "transcript"])
        })
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        let mut stream = source.into_stream(self.name())?;
        let layout = match Outline::of(&stream.first()) {
            Some(outline) if outline.has(&["results", "[]"]) => Layout::Under("results"),
            Some(outline) if outline.is_list && outline.has(&["transcript"]) => Layout::Whole,
            _ => Layout::Values,
        };
        let source = Source::Stream(stream);
        Ok(Box::new(Reader::open(source, self.name(), layout, Results::default())?))
    }
}

impl WrittenFormat for WebSpeech {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{
  "results": [
    {
      "alternatives": [
        {
          "transcript": "turn it on",
          "confidence": 0.98267895
        },
        {
          "transcript": "turn on"
        }
      ],
      "resultEndTime": "2.780s",
      "languageCode": "en-us"
    },
    {
      "alternatives": [
        {
          "transcript": " and stop",
          "confidence": 0.5
        }
      ]
    }
  ],
  "totalBilledTime": "15s"
}
"#,
        )]
    }
}

#[derive(Default)]
struct Results {
    interim: bool,
    constant: bool,
}

impl Shape for Results {
    fn watch() -> Watch {
        Watch::without_scores()
    }

    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        if kind(item.text) == LIST {
            let values = elements(item.text).unwrap_or_default();
            let fields = Fields::of("{}")?;
            return list(found, fields, None, None, |_, found| self.alternatives(&values, found));
        }
        let mut fields = fields(item)?;
        if fields.take("isFinal").is_some_and(|json| json == "false") {
            if !std::mem::replace(&mut self.interim, true) {
                found.note(Note::SkippedPartial { name: found.name().to_owned() });
            }
            return Ok(());
        }
        let (id, reference) = (fields.string("id")?, fields.string("ref")?);
        list(found, fields, id, reference, |fields, found| {
            let values = fields.list(LIST_KEY)?.ok_or_else(|| fields.missing(LIST_KEY))?;
            self.alternatives(&values, found)
        })
    }
}

impl Results {
    fn alternatives(
        &mut self,
        values: &[&str],
        found: &mut Found,
    ) -> Result<Vec<Hypothesis>, Problem> {
        let mut all = objects(LIST_KEY, values, NAMES)?;
        let known = all.iter().enumerate().map(|(at, hypothesis)| probability(hypothesis, at + 1));
        let known: Vec<Option<f64>> = known.collect::<Result<_, _>>()?;
        let mut certain = known.iter().flatten().peekable();
        if certain.peek().is_some() && certain.all(|probability| *probability == 1.0) {
            let unscored = all.iter().any(|hypothesis| hypothesis.score.is_none());
            if unscored && !std::mem::replace(&mut self.constant, true) {
                found.note(Note::CertainConfidence { name: found.name().to_owned() });
            }
            return Ok(all);
        }
        for (hypothesis, probability) in all.iter_mut().zip(known) {
            hypothesis.score = hypothesis.score.or(probability.map(f64::ln));
        }
        Ok(all)
    }
}

/// The confidence of an alternative; `None` if it is unknown.
fn probability(hypothesis: &Hypothesis, index: usize) -> Result<Option<f64>, Problem> {
    let Some(json) = hypothesis.extra.get(CONFIDENCE).filter(|json| *json != "null") else {
        return Ok(None);
    };
    match serde_json::from_str::<f64>(json) {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(Some(value).filter(|value| *value > 0.0)),
        _ => Err(Problem::WrongKind {
            place: format!("hypothesis {index}: "),
            key: CONFIDENCE,
            expected: "a probability from 0 to 1",
            found: if kind(json) == NUMBER { "another number" } else { kind(json) },
        }),
    }
}

impl Form for WebSpeech {
    const FORMAT: &'static str = "web-speech";
    const PLACES: &'static [Field] = EVERYTHING;
    const RESERVED: &'static [&'static str] = &["id", "ref", LIST_KEY, "results", "isFinal"];

    fn write(utterance: &Utterance, object: &mut Object, _: &mut Omitted) {
        object.named(utterance, "id", "ref");
        let alternative = |(at, hypothesis): (usize, &Hypothesis)| {
            let mut alternative = hypothesis.clone();
            let probability =
                hypothesis.score.map(f64::exp).filter(|value| *value > 0.0 && *value <= 1.0);
            if let Some(value) = probability
                && alternative.extra.get(CONFIDENCE).is_none()
            {
                alternative.extra.push(CONFIDENCE, &Value::from(value).to_string());
            }
            if alternative.score
                == confidence(&alternative).filter(|value| *value < 1.0).map(f64::ln)
            {
                alternative.score = None;
            }
            hypothesis_of(&alternative, at, NAMES)
        };
        object.list(LIST_KEY, utterance.hypotheses.iter().enumerate().map(alternative));
    }
}

/// The confidence as it is, if it is a number.
fn confidence(hypothesis: &Hypothesis) -> Option<f64> {
    serde_json::from_str(hypothesis.extra.get(CONFIDENCE)?).ok()
}
