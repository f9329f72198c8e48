//! The JSON of `mlm-scoring`, also that of its `*.am.json` files, which goes back to Shin et al.
//!
//! The file is one object. It has a member for each utterance, by id: an object with the reference (`ref`, absent in
//! files that `mlm rescore` writes) and the hypotheses `hyp_1`, `hyp_2` and so on, in any order of the keys, each an
//! object with `score` and `text`.
//!
//! The score is a natural log-probability, higher is better: `mlm rescore` adds weighted log-probabilities to it and
//! sorts by the sum in descending order (awslabs/mlm-scoring, `src/mlm/loaders.py`). After `mlm score`, it is the masked
//! language model's own.

use super::json::{Found, Reader, Shape, fields, list, objects, sniff};
use super::json_write::{Around, EVERYTHING, Form, Object, Writer, hypothesis_of};
use super::{
    Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat, whole_number,
};
use crate::nbest::items::{Item, Layout};
use crate::nbest::parse::OWN;
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{NbestError, Problem, Utterance};

/// The format.
pub(super) struct MlmScoring;

/// What the keys of hypotheses begin with.
const PREFIX: &str = "hyp_";

impl NbestFormat for MlmScoring {
    fn name(&self) -> &'static str {
        "mlm-scoring"
    }

    fn doc(&self) -> &'static str {
        "JSON of mlm-scoring: {id: {ref, hyp_1: {score, text}, ...}}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| !outline.is_list && outline.has_inside(PREFIX))
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Members, Utterances)?))
    }
}

impl WrittenFormat for MlmScoring {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{
  "1272-128104-0000": {
    "hyp_1": {
      "score": -10.107752799987793,
      "text": " mister quilter is the apostle"
    },
    "hyp_10": {
      "score": -14.5,
      "text": " mister kilter is the a possible"
    },
    "hyp_2": {
      "score": -11.25,
      "text": " mister quillter is the apostle"
    },
    "ref": "mister quilter is the apostle"
  },
  "1272-128104-0001": {
    "hyp_1": {
      "score": -4.0,
      "text": " nor is he"
    }
  }
}
"#,
        )]
    }
}

struct Utterances;

impl Shape for Utterances {
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem> {
        let id = item.key.map(str::to_owned);
        let mut fields = fields(item)?;
        let reference = fields.string("ref")?;
        list(found, fields, id, reference, |fields, _| {
            let mut keys: Vec<(u64, String)> = fields.keys().filter_map(number).collect();
            keys.sort();
            let values: Vec<&str> = keys.iter().filter_map(|(_, key)| fields.take(key)).collect();
            if values.is_empty() {
                return Err(fields.missing("hyp_1"));
            }
            objects(PREFIX, &values, OWN)
        })
    }
}

/// The number of a hypothesis, with its key.
fn number(key: &str) -> Option<(u64, String)> {
    Some((whole_number(key.strip_prefix(PREFIX)?)?, key.to_owned()))
}

impl Form for MlmScoring {
    const FORMAT: &'static str = "mlm-scoring";
    const AROUND: Around = Around::Members;
    const PLACES: &'static [Field] = EVERYTHING;
    const RESERVED: &'static [&'static str] = &["ref"];

    fn is_reserved(key: &str) -> bool {
        Self::RESERVED.contains(&key) || number(key).is_some()
    }

    fn write(utterance: &Utterance, object: &mut Object, _: &mut Omitted) {
        for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
            object.raw(&format!("{PREFIX}{}", at + 1), &hypothesis_of(hypothesis, at, OWN));
        }
        if let Some(reference) = &utterance.reference {
            object.string("ref", reference);
        }
    }
}
