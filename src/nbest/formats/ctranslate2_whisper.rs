//! Whisper with CTranslate2: the fields of `WhisperGenerationResult`, one JSON object for each utterance.
//!
//! ```json
//! {"id":"u1","sequences":[["ĠTurn","Ġit","Ġon"]],"sequences_ids":[[7667,340,319]],"scores":[-0.25],"no_speech_prob":0.01}
//! ```
//!
//! CTranslate2 returns Python objects. To write them:
//!
//! ```python
//! result = model.generate(features, [prompt], beam_size=10, num_hypotheses=10, return_scores=True, return_no_speech_prob=True)[0]
//! scores = [score if math.isfinite(score) else None for score in result.scores]
//! print(json.dumps({"id": name, "sequences": result.sequences, "sequences_ids": result.sequences_ids, "scores": scores, "no_speech_prob": result.no_speech_prob}))
//! ```
//!
//! `ref`, `texts` and `length_penalty` may be added. Without `texts`, the text is decoded from the tokens of
//! `sequences`, which are in GPT-2's alphabet of bytes; special tokens such as `<|0.00|>` are left out, and so is white
//! space at both ends.
//!
//! `scores` are natural log-probabilities divided by a power of the length: `score / length ** length_penalty`, where
//! `length` counts the tokens of `sequences_ids`, without the end token, although its log-probability is included
//! (OpenNMT/CTranslate2, `src/decoding.cc`, `finalize_hypothesis_score`). The reader undoes it. Without the tokens, the
//! scores stay normalised, and a note says so.

use super::json::{Found, Reader, Shape, fields, hypotheses, list, rescored, sniff};
use super::json_write::{Form, Object, Writer};
use super::normalised::{PLACES, Undone, columns, length_of, write};
use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::items::{Item, Layout};
use crate::nbest::value::Fields;
use crate::nbest::writer::{Field, Omitted};
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance};

/// The format.
pub(super) struct Ctranslate2Whisper;

/// The normalised scores.
const SCORES: &str = "scores";

/// Other lists with a value for each hypothesis.
const COLUMNS: [&str; 2] = [TOKENS, IDS];

const TOKENS: &str = "sequences";
const IDS: &str = "sequences_ids";

impl NbestFormat for Ctranslate2Whisper {
    fn name(&self) -> &'static str {
        "ctranslate2-whisper"
    }

    fn doc(&self) -> &'static str {
        "JSON of CTranslate2's Whisper: {sequences, sequences_ids, scores}"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        sniff(glimpse, |outline| {
            outline.has(&[IDS, "[]"])
                || outline.has(&[TOKENS, "[]", "[]", "\""])
                || (outline.has(&["texts", "[]"]) && outline.has(&[SCORES]))
        })
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        Ok(Box::new(Reader::open(source, self.name(), Layout::Values, Generated::default())?))
    }
}

impl WrittenFormat for Ctranslate2Whisper {
    fn writer(&self) -> Box<dyn ListWriter> {
        Writer::<Self>::boxed()
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            r#"{"id": "u1", "ref": "turn it on", "sequences": [["<|0.00|>", "\u0120Turn", "\u0120it", "\u0120on", ".", "<|1.50|>"], ["<|0.00|>", "\u0120Turn", "\u0120on", "<|1.50|>"]], "sequences_ids": [[50363, 6756, 340, 319, 13, 50438], [50363, 6756, 319, 50438]], "scores": [-0.25, -0.5], "no_speech_prob": 0.015625}
{"id": "u2", "texts": ["Stop!", "Stop"], "sequences_ids": [[25390, 0], [25390]], "scores": [-0.125, -1.5], "length_penalty": 1.0}
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
            let mut all = match fields.strings("texts")? {
                Some(texts) => hypotheses("texts", texts)?,
                None => hypotheses(TOKENS, decoded(fields)?)?,
            };
            rescored(fields, &mut all)?;
            columns(fields, &COLUMNS, &mut all)?;
            self.undone.apply(fields, SCORES, &mut all, length, found)?;
            Ok(all)
        })
    }
}

/// Tokens of a hypothesis.
fn length(hypothesis: &Hypothesis) -> Option<usize> {
    COLUMNS.iter().rev().find_map(|key| hypothesis.extra.get(key)).and_then(length_of)
}

/// The texts of `sequences`.
fn decoded(fields: &Fields<'_>) -> Result<Vec<String>, Problem> {
    let json = fields.peek(TOKENS).ok_or_else(|| fields.missing(TOKENS))?;
    let sequences: Vec<Vec<String>> = serde_json::from_str(json)
        .map_err(|_| fields.wrong_kind(TOKENS, "a list of lists of tokens", json))?;
    Ok(sequences.iter().map(|tokens| text(tokens)).collect())
}

/// The text of tokens.
fn text(tokens: &[String]) -> String {
    let special = |token: &&String| token.starts_with("<|") && token.ends_with("|>");
    let letters = tokens.iter().filter(|token| !special(token)).flat_map(|token| token.chars());
    let mut bytes = Vec::new();
    for letter in letters {
        match byte(letter) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The byte that a letter of GPT-2's alphabet stands for. Printable bytes of Latin-1 are themselves; the 68 others are
/// the letters from U+0100 on, in their order (openai/gpt-2, `encoder.py`, `bytes_to_unicode`).
fn byte(letter: char) -> Option<u8> {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(letter) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(printable),
        code => (0..=u8::MAX).filter(|byte| !printable(byte)).nth((code - 0x100) as usize),
    }
}

impl Form for Ctranslate2Whisper {
    const FORMAT: &'static str = "ctranslate2-whisper";
    const PLACES: &'static [Field] = PLACES;
    const RESERVED: &'static [&'static str] =
        &["id", "ref", "texts", SCORES, TOKENS, IDS, "lm", "total"];

    fn write(utterance: &Utterance, object: &mut Object, omitted: &mut Omitted) {
        write(utterance, object, omitted, SCORES, &COLUMNS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_decoded_from_their_alphabet_of_bytes() {
        let tokens = |list: &[&str]| list.iter().map(|&token| token.to_owned()).collect::<Vec<_>>();
        let spoken = tokens(&["<|en|>", "Ġna", "ÃŃ", "ve", "ĠcafÃ©", ".", "<|1.00|>"]);
        assert_eq!(text(&spoken), "naíve café.");
        // A character of three bytes in two tokens; a byte that is not a character.
        assert_eq!(text(&tokens(&["èª", "ŀ", "ĠÃ"])), "語 \u{fffd}");
        let all: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((all.len(), sorted.len()), (256, 256));
    }
}
