//! NeMo's beams.
//!
//! `eval_beamsearch_ngram_ctc.py` (`scripts/asr_language_modeling/ngram_lm`) writes
//! `preds_out_width<W>_alpha<A>_beta<B>.tsv`: a row for each hypothesis, best first, with its text, a tab and its score. The
//! score is a natural log-probability, higher is better, combined with the n-gram model if there is one. Rows have no
//! ids. They belong to the utterances of the manifest that was decoded, in its order: JSON lines with `audio_filepath`,
//! which LoRB uses as the id, `text`, which is the reference, `duration` and others.
//!
//! NeMo's own `eval_neural_rescorer.py` requires the same number of rows for each utterance, so the number of rows must
//! divide by the number of lines of the manifest, and LoRB refuses other files. All rows are kept in memory, up to
//! [`MAX_LISTS_BYTES`], because their number is known only at the end.
//!
//! The lists are a TSV file with the manifest in a separate file, or a folder with one TSV file and the manifest. The
//! writer writes rows that fit the same manifest, or both files. A format with one score gets the one that orders the
//! list.

use std::io::BufRead;

use serde_json::Value;

use super::python::number;
use super::{
    Folder, Glimpse, ListReader, ListSink, ListWriter, NbestFormat, Note, OpenOptions, Source,
    WriteError, WrittenFormat, opened, unopened,
};
use crate::bounds::{MAX_HYPOTHESES, MAX_LISTS_BYTES, MAX_UNKNOWN_KEYS};
use crate::nbest::error::clip;
use crate::nbest::lines::Lines;
use crate::nbest::scan::members;
use crate::nbest::writer::{Field, Omitted, Unwritable, append, finite, one_line};
use crate::nbest::{Hypothesis, NbestError, Problem, TooManyLists, Utterance, limits, strict};

const BEAMS: &str = "beams.tsv";
const MANIFEST: &str = "manifest.json";
const ID: &str = "audio_filepath";

/// The format.
pub(super) struct Nemo;

impl NbestFormat for Nemo {
    fn name(&self) -> &'static str {
        "nemo"
    }

    fn doc(&self) -> &'static str {
        "NeMo's beams: rows of text, tab and score, and the manifest, next to them or in another file"
    }

    fn layout(&self) -> Option<&'static str> {
        Some("one *.tsv file and manifest.json (nemo)")
    }

    fn opens(&self, name: &str) -> bool {
        name.ends_with(".tsv") || name.ends_with(".json")
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        match glimpse {
            Glimpse::Folder(folder) => {
                matches!(named(*folder, ".tsv"), Ok(Some(_)))
                    && matches!(named(*folder, ".json"), Ok(Some(_)))
            }
            Glimpse::Stream(head) => {
                let head = String::from_utf8_lossy(head);
                // The last line may be incomplete.
                let complete = head.rfind('\n').map_or("", |end| &head[..end]);
                let mut rows = complete.lines().filter(|line| !line.trim().is_empty()).peekable();
                rows.peek().is_some() && rows.all(|row| parsed(row).is_ok())
            }
        }
    }

    fn takes_manifest(&self) -> bool {
        true
    }

    fn open(
        &self,
        source: Source,
        options: OpenOptions,
    ) -> Result<Box<dyn ListReader>, NbestError> {
        let name = source.name();
        let (rows, manifest) = match source {
            Source::Stream(stream) => (stream, options.manifest),
            Source::Folder(folder) => {
                let none = || {
                    let expected = self.layout().unwrap_or_default().to_owned();
                    NbestError::Source {
                        name: folder.name(""),
                        problem: Problem::NoLists { expected },
                    }
                };
                let rows = named(&*folder, ".tsv")?.ok_or_else(none)?;
                let manifest = match options.manifest {
                    Some(manifest) => Some(manifest),
                    None => {
                        named(&*folder, ".json")?.map(|path| opened(&*folder, &path)).transpose()?
                    }
                };
                (opened(&*folder, &rows)?, manifest)
            }
        };
        let Some(manifest) = manifest else {
            return Err(NbestError::Source { name, problem: Problem::NoManifest });
        };
        Ok(Box::new(Reader {
            name,
            manifest: Some(Lines::new(manifest.reader, manifest.name)),
            rows: Some(Lines::new(rows.reader, rows.name)),
            lists: Vec::new(),
            hypotheses: Vec::new(),
            bytes: 0,
            merged: None,
        }))
    }
}

impl WrittenFormat for Nemo {
    fn writer(&self) -> Box<dyn ListWriter> {
        Box::new(Writer { manifest: true, ..Writer::default() })
    }

    fn stream_writer(&self) -> Option<Box<dyn ListWriter>> {
        Some(Box::new(Writer::default()))
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "preds_out_width2_alpha1.0_beta0.0.tsv",
                "turn on\t-4.25\nturn it on\t-5.5\n\t-0.5\nuh\t-3.125\n",
            ),
            (
                "manifest.json",
                concat!(
                    r#"{"audio_filepath": "/data/my audio/u1.wav", "duration": 1.50, "text": "turn it on"}"#,
                    "\n",
                    r#"{"audio_filepath": "/data/my audio/u2.wav", "duration": 0.75, "text": ""}"#,
                    "\n"
                ),
            ),
        ]
    }
}

/// The file of a folder whose name has this end; `None` if there is none.
fn named(folder: &dyn Folder, suffix: &'static str) -> Result<Option<String>, NbestError> {
    let entries = folder.entries("").map_err(|error| unopened(folder.name(""), error))?;
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| !entry.is_folder && entry.name.ends_with(suffix))
        .map(|entry| entry.name)
        .collect();
    match names.len() {
        0 | 1 => Ok(names.pop()),
        _ if names.iter().any(|name| name == MANIFEST) => Ok(Some(MANIFEST.to_owned())),
        _ => {
            let problem = Problem::SeveralFiles { suffix };
            Err(NbestError::Source { name: folder.name(""), problem })
        }
    }
}

/// Reads the manifest, then all rows, and then returns the lists.
struct Reader {
    name: String,
    manifest: Option<Lines<Box<dyn BufRead>>>,
    rows: Option<Lines<Box<dyn BufRead>>>,
    /// An entry for each line of the manifest; `None` for an invalid one, which still has its rows.
    lists: Vec<Option<Utterance>>,
    /// The same for rows.
    hypotheses: Vec<Option<Hypothesis>>,
    bytes: u64,
    merged: Option<std::vec::IntoIter<Utterance>>,
}

impl Reader {
    /// Reads a line of the manifest, or a row; `None` after the last row.
    fn read(&mut self) -> Option<Result<(), NbestError>> {
        if let Some(lines) = &mut self.manifest {
            let Some(next) = lines.next_line() else {
                self.manifest = None;
                return Some(Ok(()));
            };
            let list = next.map(|(line, text)| (line, utterance(text)));
            let list =
                list.and_then(|(line, list)| list.map_err(|problem| lines.error(line, problem)));
            let (list, fault) = apart(list);
            self.bytes += list.as_ref().map_or(0, Utterance::bytes) as u64;
            self.lists.push(list);
            return Some(fault);
        }
        let lines = self.rows.as_mut()?;
        let row = lines.next_line()?.map(|(line, text)| (line, parsed(text)));
        let row = row.and_then(|(line, row)| row.map_err(|problem| lines.error(line, problem)));
        let (row, fault) = apart(row);
        let bytes = size_of::<Hypothesis>() + row.as_ref().map_or(0, |row| row.text.len());
        self.bytes += bytes as u64;
        self.hypotheses.push(row);
        Some(fault)
    }

    /// Gives each list its rows.
    fn merge(&mut self) -> Result<Vec<Utterance>, Problem> {
        let (rows, lists) = (self.hypotheses.len(), self.lists.len());
        if lists == 0 && rows == 0 {
            return Ok(Vec::new());
        }
        if lists == 0 || rows == 0 || !rows.is_multiple_of(lists) {
            return Err(Problem::UnevenRows { rows, lists });
        }
        let beams = rows / lists;
        if beams > MAX_HYPOTHESES {
            return Err(Problem::BadRank { rank: beams });
        }
        let mut all = std::mem::take(&mut self.hypotheses).into_iter();
        let mut merged = Vec::new();
        for list in std::mem::take(&mut self.lists) {
            let hypotheses: Vec<Hypothesis> = all.by_ref().take(beams).flatten().collect();
            if let Some(mut list) = list.filter(|_| !hypotheses.is_empty()) {
                list.hypotheses = hypotheses;
                merged.push(list);
            }
        }
        Ok(merged)
    }

    fn end(&mut self) {
        (self.manifest, self.rows) = (None, None);
        self.merged = Some(Vec::new().into_iter());
    }
}

/// A value, and the error in its place.
fn apart<T>(result: Result<T, NbestError>) -> (Option<T>, Result<(), NbestError>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    }
}

impl Iterator for Reader {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(lists) = &mut self.merged {
                return lists.next().map(Ok);
            }
            match self.read() {
                Some(Err(error)) => {
                    if !error.is_line() {
                        self.end();
                    }
                    return Some(Err(error));
                }
                Some(Ok(())) if self.bytes > MAX_LISTS_BYTES => {
                    let last = self.lists.iter().flatten().next_back();
                    let id = last.map_or_else(String::new, |list| clip(&list.id));
                    self.end();
                    let (name, problem) = (self.name.clone(), TooManyLists { id }.into());
                    return Some(Err(NbestError::Source { name, problem }));
                }
                Some(Ok(())) => {}
                None => match self.merge() {
                    Ok(lists) => self.merged = Some(lists.into_iter()),
                    Err(problem) => {
                        self.end();
                        return Some(Err(NbestError::Source { name: self.name.clone(), problem }));
                    }
                },
            }
        }
    }
}

impl ListReader for Reader {}

/// A row.
fn parsed(row: &str) -> Result<Hypothesis, Problem> {
    let (text, score) = row
        .trim_end_matches('\r')
        .rsplit_once('\t')
        .ok_or(Problem::Form { expected: "a text, a tab and a score" })?;
    let bad = || Problem::BadScore { id: clip(text), found: clip(score) };
    let score = number(score).ok_or_else(bad)?;
    let text = text.trim();
    limits::text(text, || format!("the text {:?}", clip(text)))?;
    Ok(Hypothesis::new(text, Some(score)))
}

/// A line of the manifest.
fn utterance(line: &str) -> Result<Utterance, Problem> {
    strict::check(line)?;
    if !line.trim_start().starts_with('{') {
        return Err(Problem::Form { expected: "an object with the key \"audio_filepath\"" });
    }
    let mut list = Utterance::default();
    let mut fault = None;
    let scanned = members::<serde_json::Error>(line, |key, value| {
        match (key, serde_json::from_str(value)) {
            (ID, Ok(Value::String(id))) => list.id = id,
            ("text", Ok(Value::String(text))) => list.reference = Some(text),
            ("text", Ok(Value::Null)) => {}
            (ID | "text", _) => {
                fault = Some(Problem::Form {
                    expected: "an object with strings for \"audio_filepath\" and \"text\"",
                });
            }
            _ => list.extra.set(key, value),
        }
        Ok(())
    });
    scanned.map_err(|error| strict::syntax(line, &error))?;
    if let Some(problem) = fault {
        return Err(problem);
    }
    if list.id.trim().is_empty() {
        return Err(Problem::MissingKey { place: String::new(), key: ID, hint: None });
    }
    if list.extra.len() > MAX_UNKNOWN_KEYS {
        return Err(Problem::ManyKeys { place: "the list".into() });
    }
    limits::id(&list.id)?;
    if let Some(reference) = &list.reference {
        limits::text(reference, || "key \"text\"".to_owned())?;
    }
    Ok(list)
}

/// Writes rows, and the manifest if it is a file of its own.
#[derive(Default)]
struct Writer {
    manifest: bool,
    /// Number of hypotheses of each list.
    beams: Option<usize>,
    omitted: Omitted,
}

impl ListWriter for Writer {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        let format = Nemo.name();
        finite(utterance, format)?;
        let count = utterance.hypotheses.len();
        let beams = *self.beams.get_or_insert(count);
        if beams != count {
            let what = format!("the list has {count} hypotheses, and the lists before it {beams}");
            return Err(Unwritable::Value { format, what }.of(utterance));
        }
        let mut rows = String::new();
        for (at, hypothesis) in utterance.hypotheses.iter().enumerate() {
            let Some(score) = hypothesis.ordering_score() else {
                let what = format!("hypothesis {}: the score", at + 1);
                return Err(Unwritable::Missing { format, what }.of(utterance));
            };
            rows.push_str(&format!("{}\t{score}\n", one_line(&hypothesis.text)));
        }
        append(sink, if self.manifest { BEAMS } else { "" }, rows.as_bytes())?;
        if self.manifest {
            append(sink, MANIFEST, manifest_line(utterance).as_bytes())?;
        }
        // Without the file, ids, references and keys are those of the manifest that exists.
        let places = [Field::Reference, Field::Alternative, Field::Score, Field::Key];
        self.omitted.count(utterance, &places);
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        append(sink, if self.manifest { BEAMS } else { "" }, b"")?;
        let mut notes = self.omitted.notes(Nemo.name());
        if self.manifest {
            append(sink, MANIFEST, b"")?;
        } else {
            notes.push(Note::NeedsManifest { format: Nemo.name() });
        }
        Ok(notes)
    }
}

fn manifest_line(utterance: &Utterance) -> String {
    let mut line = format!("{{\"{ID}\": {}", Value::from(utterance.id.as_str()));
    let known = |key: &str| key == ID || (key == "text" && utterance.reference.is_some());
    for (key, json) in utterance.extra.iter().filter(|(key, _)| !known(key)) {
        line.push_str(&format!(", {}: {json}", Value::from(key)));
    }
    if let Some(reference) = &utterance.reference {
        line.push_str(&format!(", \"text\": {}", Value::from(reference.as_str())));
    }
    line + "}\n"
}
