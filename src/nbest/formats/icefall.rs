//! icefall's transcripts.
//!
//! `store_transcripts` (`icefall/utils.py`) writes `recogs-<test set>-<settings>.txt`: for each utterance a line
//! `id:<tab>ref=[...]` and a line `id:<tab>hyp=[...]`, with the words, or the characters in recipes without words, as
//! Python prints a list. Some recipes give strings in place of lists, and `store_transcripts_and_timestamps` adds lines
//! `timestamp_ref` and `timestamp_hyp` with times in seconds.
//!
//! icefall writes one hypothesis and no score, so such lists serve evaluation, and rescoring has no choice. A file with
//! several lines `hyp` for an utterance is an N-best list, best first.
//!
//! Words are joined by single spaces. Times are kept as unknown keys of the same names.

use std::io::BufRead;

use serde_json::Value;

use super::python::{list_of_words, words_of_list};
use super::{
    Glimpse, ListReader, ListSink, ListWriter, NbestFormat, Note, OpenOptions, Source, WriteError,
    WrittenFormat,
};
use crate::bounds::MAX_HYPOTHESES;
use crate::nbest::error::clip;
use crate::nbest::lines::{Lines, UTF8_BOM};
use crate::nbest::writer::{Field, Omitted, Unwritable, append, finite};
use crate::nbest::{Extra, Hypothesis, NbestError, Problem, Utterance, limits, strict};

/// What stands between the id and the key.
const SEPARATOR: &str = ":\t";

const REFERENCE_TIMES: &str = "timestamp_ref";
const TIMES: &str = "timestamp_hyp";

/// The format.
pub(super) struct Icefall;

impl NbestFormat for Icefall {
    fn name(&self) -> &'static str {
        "icefall"
    }

    fn doc(&self) -> &'static str {
        "icefall's recogs-*.txt: lines with ref=[...] and hyp=[...]"
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        let Glimpse::Stream(head) = glimpse else { return false };
        let head = head.strip_prefix(UTF8_BOM).unwrap_or(head);
        let line = head.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        line.split_once(SEPARATOR)
            .is_some_and(|(_, rest)| rest.starts_with("ref=") || rest.starts_with("hyp="))
    }

    fn open(&self, source: Source, _: OpenOptions) -> Result<Box<dyn ListReader>, NbestError> {
        let stream = source.into_stream(self.name())?;
        let lines = Lines::new(stream.reader, stream.name);
        Ok(Box::new(Reader { lines, list: None, queued: None, ended: false }))
    }
}

impl WrittenFormat for Icefall {
    fn writer(&self) -> Box<dyn ListWriter> {
        Box::new(Writer::default())
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[(
            "",
            concat!(
                "1089-134686-0000-5:\tref=['IT', \"ISN'T\", 'ON']\n",
                "1089-134686-0000-5:\thyp=['IT', 'IS', 'ON']\n",
                "1089-134686-0000-5:\ttimestamp_hyp=[0.120, 0.480, 0.760]\n",
                "1089-134686-0000-5:\thyp=['IT', \"ISN'T\", 'ON']\n",
                "1089-134686-0001-6:\tref=[]\n",
                "1089-134686-0001-6:\thyp=[]\n",
            ),
        )]
    }
}

/// Reads one utterance at a time.
struct Reader<R> {
    lines: Lines<R>,
    /// The utterance so far, with its first line.
    list: Option<(u64, Utterance)>,
    /// An error that follows the list that was returned.
    queued: Option<NbestError>,
    ended: bool,
}

/// A line: the id, the key and the value.
fn fields(line: &str) -> Option<(&str, &str, &str)> {
    let (id, rest) = line.split_once(SEPARATOR)?;
    let (key, value) = rest.split_once('=')?;
    (!id.trim().is_empty()).then(|| (id.trim(), key, value.trim_end()))
}

impl<R: BufRead> Reader<R> {
    /// Ends the utterance so far.
    fn complete(&mut self) -> Option<Result<Utterance, NbestError>> {
        let (line, utterance) = self.list.take()?;
        if utterance.hypotheses.is_empty() {
            let problem = Problem::NoHypothesis { id: clip(&utterance.id) };
            return Some(Err(self.lines.error(line, problem)));
        }
        Some(Ok(utterance))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.queued.take() {
                return Some(Err(error));
            }
            if self.ended {
                return None;
            }
            let (line, text) = match self.lines.next_line() {
                None => {
                    self.ended = true;
                    return self.complete();
                }
                Some(Err(error)) => {
                    self.ended = !error.is_line();
                    return Some(Err(error));
                }
                Some(Ok((line, text))) => (line, text.to_owned()),
            };
            let Some((id, key, value)) = fields(&text) else {
                let expected = "an id, \":\", a tab, and ref=[...] or hyp=[...]";
                return Some(Err(self.lines.error(line, Problem::Form { expected })));
            };
            let begins = self.list.as_ref().is_none_or(|(_, list)| {
                list.id != id || (key == "ref" && !list.hypotheses.is_empty())
            });
            let complete = if begins { self.complete() } else { None };
            let (_, list) =
                self.list.get_or_insert_with(|| (line, Utterance::new(id, None, Vec::new())));
            let added = limits::id(id).and_then(|()| add(list, key, value));
            if let Err(problem) = added {
                let error = self.lines.error(line, problem);
                if list.hypotheses.is_empty() && list.reference.is_none() {
                    self.list = None;
                }
                if complete.is_none() {
                    return Some(Err(error));
                }
                self.queued = Some(error);
            }
            if let Some(complete) = complete {
                return Some(complete);
            }
        }
    }
}

impl<R: BufRead> ListReader for Reader<R> {}

/// Adds the value of a line to an utterance.
fn add(list: &mut Utterance, key: &str, value: &str) -> Result<(), Problem> {
    match key {
        "ref" => {
            let reference = words(value)?;
            limits::text(&reference, || format!("the reference of {:?}", clip(&list.id)))?;
            list.reference = Some(reference);
        }
        "hyp" => {
            let rank = list.hypotheses.len() + 1;
            if rank > MAX_HYPOTHESES {
                return Err(Problem::BadRank { rank });
            }
            let text = words(value)?;
            limits::text(&text, || format!("hypothesis {rank} of {:?}", clip(&list.id)))?;
            list.hypotheses.push(Hypothesis::new(text, None));
        }
        REFERENCE_TIMES => times(&mut list.extra, key, value),
        TIMES => match list.hypotheses.last_mut() {
            Some(hypothesis) => times(&mut hypothesis.extra, key, value),
            None => return Err(Problem::NoHypothesis { id: clip(&list.id) }),
        },
        _ => {
            let expected = "ref=, hyp=, timestamp_ref= or timestamp_hyp= after the id";
            return Err(Problem::Form { expected });
        }
    }
    Ok(())
}

/// Stores times as JSON if they are a list of numbers, and else as a string.
fn times(extra: &mut Extra, key: &str, value: &str) {
    let is_list = value.starts_with('[') && strict::check(value).is_ok();
    let text = Value::from(value).to_string();
    extra.set(key, if is_list { value } else { &text });
}

/// The words of a Python list, joined by spaces; other text is taken unchanged.
fn words(value: &str) -> Result<String, Problem> {
    if !value.starts_with('[') {
        return Ok(value.trim().to_owned());
    }
    words_of_list(value).ok_or(Problem::Form { expected: "a list of strings as Python prints it" })
}

/// What a file has a place for. Times are unknown keys that it has a place for.
const PLACES: [Field; 4] = [Field::Reference, Field::Alternative, Field::Key, Field::HypothesisKey];

/// Writes the lines of each list.
#[derive(Default)]
struct Writer {
    omitted: Omitted,
}

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        let format = Icefall.name();
        finite(utterance, format)?;
        let id = &utterance.id;
        if id.trim() != id || id.contains(['\n', '\r']) || id.contains(SEPARATOR) {
            let what = "the id has a line break, or white space at an end".to_owned();
            return Err(Unwritable::Value { format, what }.of(utterance));
        }
        let mut lines = String::new();
        let mut add = |key: &str, value: &str| lines.push_str(&format!("{id}:\t{key}={value}\n"));
        if let Some(reference) = &utterance.reference {
            add("ref", &list_of_words(reference));
        }
        if let Some(json) = utterance.extra.get(REFERENCE_TIMES) {
            add(REFERENCE_TIMES, &unquoted(json));
        }
        for hypothesis in &utterance.hypotheses {
            add("hyp", &list_of_words(&hypothesis.text));
            if let Some(json) = hypothesis.extra.get(TIMES) {
                add(TIMES, &unquoted(json));
            }
        }
        append(sink, "", lines.as_bytes())?;
        self.omitted.count(utterance, &PLACES);
        let others =
            |extra: &Extra, known: &str| extra.iter().filter(|(key, _)| *key != known).count();
        self.omitted.add(Field::Key, others(&utterance.extra, REFERENCE_TIMES));
        let keys = utterance.hypotheses.iter().map(|h| others(&h.extra, TIMES)).sum();
        self.omitted.add(Field::HypothesisKey, keys);
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        append(sink, "", b"")?;
        Ok(self.omitted.notes(Icefall.name()))
    }
}

/// The value of an unknown key as icefall writes it: a list with spaces after commas, or a string without quotes.
fn unquoted(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => text.replace(['\n', '\r'], " "),
        _ => json.replace(',', ", "),
    }
}
