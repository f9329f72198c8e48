//! Transcripts: the best hypothesis of each list, for scoring tools.

use std::fmt::Write as _;

use serde::Deserialize;

use super::writer::{ListSink, ListWriter, Unwritable, WriteError, append, one_line, plain_id};
use super::{Hypothesis, Note, Utterance};

/// A form of transcripts that LoRB writes but does not read. Its writer writes the first hypothesis of each list, so the
/// caller puts the best one there, as rescoring does.
pub struct Transcript {
    /// The name on the command line, such as `trn`.
    pub name: &'static str,
    /// One line of help, without a full stop.
    pub doc: &'static str,
    line: fn(&Utterance, &Hypothesis) -> Result<String, WriteError>,
}

/// The forms of transcripts.
pub static TRANSCRIPTS: &[Transcript] = &[
    Transcript { name: "trn", doc: "best hypotheses for sclite: words, then (id)", line: trn },
    Transcript { name: "text", doc: "best hypotheses as Kaldi's text: id, then words", line: text },
    Transcript {
        name: "ctm",
        doc: "best hypotheses for sclite: a line for each word, with its time",
        line: ctm,
    },
];

impl Transcript {
    /// A writer.
    #[must_use]
    pub fn writer(&'static self) -> Box<dyn ListWriter> {
        Box::new(Writer(self))
    }
}

struct Writer(&'static Transcript);

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        let Some(best) = utterance.hypotheses.first() else { return Ok(()) };
        append(sink, "", (self.0.line)(utterance, best)?.as_bytes())
    }

    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        append(sink, "", b"")?;
        Ok(Vec::new())
    }
}

/// The form `trn` of NIST's sclite: a line of the words and the id in parentheses.
fn trn(utterance: &Utterance, best: &Hypothesis) -> Result<String, WriteError> {
    plain_id(utterance, "trn")?;
    let id = &utterance.id;
    if id.contains(['(', ')']) {
        let what = "the id contains a parenthesis".to_owned();
        return Err(Unwritable::Value { format: "trn", what }.of(utterance));
    }
    Ok(format!("{} ({id})\n", one_line(&best.text)))
}

/// Kaldi's `text`: a line of the id and the words.
fn text(utterance: &Utterance, best: &Hypothesis) -> Result<String, WriteError> {
    plain_id(utterance, "text")?;
    let line = format!("{} {}", utterance.id, one_line(&best.text));
    Ok(line.trim_end().to_owned() + "\n")
}

/// A word with its time in seconds.
#[derive(Deserialize)]
struct Timed {
    #[serde(alias = "text")]
    word: String,
    start: f64,
    end: f64,
    #[serde(alias = "confidence", alias = "probability")]
    conf: Option<f64>,
}

/// Keys of a hypothesis under which recognisers give words with times: Vosk writes `result`, Whisper's programs `words`.
const TIMES: [&str; 2] = ["words", "result"];

/// The form `ctm` of NIST's sclite: a line for each word with file, channel, start and duration in seconds, the word, and
/// its confidence if known.
fn ctm(utterance: &Utterance, best: &Hypothesis) -> Result<String, WriteError> {
    plain_id(utterance, "ctm")?;
    let timed = TIMES.iter().find_map(|key| best.extra.get(key));
    let timed: Option<Vec<Timed>> = timed.and_then(|json| serde_json::from_str(json).ok());
    let Some(timed) = timed.filter(|timed| timed.len() == best.text.split_whitespace().count())
    else {
        if best.text.trim().is_empty() {
            return Ok(String::new());
        }
        let what = "the time of each word of the best hypothesis, as \"words\":[{\"word\",\"start\",\"end\"}] in seconds";
        return Err(Unwritable::Missing { format: "ctm", what: what.into() }.of(utterance));
    };
    let mut lines = String::new();
    for Timed { word, start, end, conf } in timed {
        let word = one_line(&word);
        if !(0.0..=end).contains(&start) || word.is_empty() || word.contains(' ') {
            let what = format!("the word {word:?} from {start} to {end} seconds");
            return Err(Unwritable::Value { format: "ctm", what }.of(utterance));
        }
        // Writing to a string does not fail.
        let _ = write!(lines, "{} 1 {start:.3} {:.3} {word}", utterance.id, end - start);
        if let Some(conf) = conf {
            let _ = write!(lines, " {conf}");
        }
        lines.push('\n');
    }
    Ok(lines)
}
