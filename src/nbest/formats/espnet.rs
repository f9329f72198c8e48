//! ESPnet's N-best directory.
//!
//! ESPnet's decoder writes `logdir/output.<shard>/<rank>best_recog/{text,score}`. Both files
//! have one line per utterance, in Kaldi's form: the id, white space, the value. `text` has the words,
//! possibly none; `score` the total log-probability, printed as `tensor(-4.0636)`. The references are
//! in a Kaldi `text` file elsewhere. Words are not changed: normalise letter case when you prepare the
//! data.
//!
//! An utterance need not appear at every rank; its list is then shorter. A text without a score is a
//! hypothesis without a score. An utterance without a reference has none. The hypotheses of an
//! utterance are spread over all files, so all lists are kept in memory, up to
//! [`MAX_LISTS_BYTES`]. Files are opened one at a time.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead};
use std::vec;

use super::{
    Folder, Glimpse, ListReader, NbestFormat, Note, OpenOptions, Source, Stream, unopened,
};
use crate::bounds::{MAX_HYPOTHESES, MAX_LISTS_BYTES};
use crate::nbest::error::clip;
use crate::nbest::lines::Lines;
use crate::nbest::{Hypothesis, NbestError, Problem, TooManyLists, Utterance, limits};

/// The format.
pub(super) struct Espnet;

impl NbestFormat for Espnet {
    fn name(&self) -> &'static str {
        "espnet"
    }

    fn doc(&self) -> &'static str {
        "ESPnet's decoding folder: logdir/output.*/*best_recog"
    }

    fn layout(&self) -> Option<&'static str> {
        Some("logdir/output.1/1best_recog/text (espnet)")
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        let Glimpse::Folder(folder) = glimpse else { return false };
        rank_folders(*folder).is_ok_and(|ranks| !ranks.is_empty())
    }

    fn open(
        &self,
        source: Source,
        options: OpenOptions,
    ) -> Result<Box<dyn ListReader>, NbestError> {
        let folder = source.into_folder(self.name())?;
        Ok(Box::new(Reader::new(folder, options.references)?))
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("logdir/output.1/1best_recog/text", "u1 TURN ON\nu2\n"),
            ("logdir/output.1/1best_recog/score", "u1 tensor(-4.0636)\nu2 tensor(-1.5)\n"),
            ("logdir/output.1/2best_recog/text", "u1 TURN IT ON\n"),
            ("logdir/output.1/2best_recog/score", "u1 tensor(-5.25)\n"),
            ("logdir/output.2/1best_recog/text", "u3 STOP\n"),
            ("logdir/output.2/1best_recog/score", "u3 tensor(-0.125)\n"),
            ("text", "u1 TURN IT ON\nu2\nu3 STOP\n"),
        ]
    }
}

/// The `<rank>best_recog` folders of all shards with their ranks: those outside any shard first.
fn rank_folders(folder: &dyn Folder) -> Result<Vec<(usize, String)>, NbestError> {
    // The folder may be the parent of `logdir`, or `logdir` itself.
    let logdir = numbered(folder, "", |name| (name == "logdir").then_some(0))?;
    let root = if logdir.is_empty() { "" } else { "logdir" };
    let mut ranks = numbered(folder, root, rank_of)?;
    for (_, shard) in numbered(folder, root, shard_of)? {
        ranks.extend(numbered(folder, &shard, rank_of)?);
    }
    Ok(ranks)
}

/// The folders inside `path` whose name has a number, in the order of the numbers.
fn numbered(
    folder: &dyn Folder,
    path: &str,
    number: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<(usize, String)>, NbestError> {
    let entries =
        folder.entries(path).map_err(|error| unopened(folder.name(path), error))?.into_iter();
    let mut found: Vec<(usize, String)> = entries
        .filter(|entry| entry.is_folder)
        .filter_map(|entry| Some((number(&entry.name)?, join(path, &entry.name))))
        .collect();
    found.sort();
    Ok(found)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// The shard number of a folder named `output.<shard>`.
fn shard_of(folder: &str) -> Option<usize> {
    folder.strip_prefix("output.").and_then(plain_number)
}

/// The rank of a folder named `<rank>best_recog`.
fn rank_of(folder: &str) -> Option<usize> {
    folder.strip_suffix("best_recog").and_then(plain_number)
}

/// Digits only; `str::parse` would also accept `+3`.
fn plain_number(digits: &str) -> Option<usize> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// What the lines of a file mean.
#[derive(Clone, Copy)]
enum Content {
    Texts { rank: usize },
    Scores { rank: usize },
    References,
}

/// A file that has not been opened yet.
enum Waiting {
    Inside(String),
    Given(Stream),
}

/// Reads all files, one at a time, then returns the lists in the order in which their ids first
/// appear, each with its hypotheses in rank order.
struct Reader {
    folder: Box<dyn Folder>,
    waiting: VecDeque<(Content, Waiting)>,
    current: Option<(Content, Lines<Box<dyn BufRead>>)>,
    lists: Lists,
    references: References,
    merged: Option<vec::IntoIter<Utterance>>,
    notes: Vec<Note>,
}

/// The references, stored separately from the lists so that a repeated id is detected even if it is not used.
#[derive(Default)]
struct References {
    by_id: HashMap<String, String>,
    /// Memory of the map.
    bytes: u64,
    /// The file; `None` if there is none.
    name: Option<String>,
    /// Whether the caller named the file, rather than the reader having found it.
    given: bool,
}

impl Reader {
    fn new(folder: Box<dyn Folder>, references: Option<Stream>) -> Result<Self, NbestError> {
        let ranks = rank_folders(&*folder)?;
        if ranks.is_empty() {
            let expected = Espnet.layout().unwrap_or_default().to_owned();
            let problem = Problem::NoLists { expected };
            return Err(NbestError::Source { name: folder.name(""), problem });
        }
        let mut waiting = VecDeque::new();
        for (rank, path) in ranks {
            let (text, score) = (join(&path, "text"), join(&path, "score"));
            if !(1..=MAX_HYPOTHESES).contains(&rank) {
                let problem = Problem::BadRank { rank };
                return Err(NbestError::Source { name: folder.name(&text), problem });
            }
            waiting.push_back((Content::Texts { rank }, Waiting::Inside(text)));
            if folder.has_file(&score) {
                waiting.push_back((Content::Scores { rank }, Waiting::Inside(score)));
            }
        }
        let given = references.is_some();
        let found = || folder.has_file("text").then(|| Waiting::Inside("text".to_owned()));
        if let Some(file) = references.map(Waiting::Given).or_else(found) {
            waiting.push_back((Content::References, file));
        }
        Ok(Self {
            folder,
            waiting,
            current: None,
            lists: Lists::default(),
            references: References { given, ..References::default() },
            merged: None,
            notes: Vec::new(),
        })
    }

    /// Opens the next file, or merges what was read when no file is left.
    fn enter(&mut self) -> Result<(), NbestError> {
        let Some((content, file)) = self.waiting.pop_front() else {
            self.merge();
            return Ok(());
        };
        let Stream { name, reader } = match file {
            Waiting::Given(stream) => stream,
            Waiting::Inside(path) => self.open(&path)?,
        };
        if let Content::References = content {
            self.references.name = Some(name.clone());
        }
        self.current = Some((content, Lines::new(reader, name)));
        Ok(())
    }

    fn open(&self, path: &str) -> Result<Stream, NbestError> {
        let name = self.folder.name(path);
        let opened: io::Result<_> = self.folder.open(path);
        match opened {
            Ok(reader) => Ok(Stream { name, reader }),
            Err(error) => Err(unopened(name, error)),
        }
    }

    fn merge(&mut self) {
        let mut lists = std::mem::take(&mut self.lists).finish();
        let References { mut by_id, name, given, .. } = std::mem::take(&mut self.references);
        for utterance in &mut lists {
            utterance.reference = by_id.remove(&utterance.id);
        }
        if let Some(name) = name {
            self.note(&mut lists, name, given, by_id.len());
        }
        self.merged = Some(lists.into_iter());
    }

    fn note(&mut self, lists: &mut [Utterance], name: String, given: bool, unused: usize) {
        let used = lists.iter().any(|utterance| utterance.reference.is_some());
        if used && !given {
            // ESPnet's summary of the best hypotheses has the name and format of a reference file.
            // Scored against it, the first pass would look perfect.
            let repeats = |u: &Utterance| {
                u.reference.as_ref().is_none_or(|reference| *reference == u.hypotheses[0].text)
            };
            if lists.iter().all(repeats) {
                lists.iter_mut().for_each(|utterance| utterance.reference = None);
                return self.notes.push(Note::NotReferences { name });
            }
            self.notes.push(Note::FoundReferences { name: name.clone() });
        }
        if unused > 0 && (used || given) {
            self.notes.push(Note::UnusedReferences { name, count: unused });
        }
    }

    /// Ends the iteration.
    fn end(&mut self) {
        (self.current, self.merged) = (None, Some(Vec::new().into_iter()));
    }
}

impl Iterator for Reader {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(lists) = &mut self.merged {
                return lists.next().map(Ok);
            }
            let Some((content, lines)) = &mut self.current else {
                if let Err(error) = self.enter() {
                    self.end();
                    return Some(Err(error));
                }
                continue;
            };
            let (line, taken) = match lines.next_line() {
                None => {
                    self.current = None;
                    continue;
                }
                Some(Ok((line, text))) => {
                    // Blank to Unicode, if not to ASCII.
                    let text = text.trim();
                    if text.is_empty() {
                        continue;
                    }
                    let (id, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                    let rest = rest.trim_start();
                    let taken = match *content {
                        Content::Texts { rank } => self.lists.add_text(id, rest, rank),
                        Content::Scores { rank } => self.lists.add_score(id, rest, rank),
                        Content::References => self.references.add(id, rest),
                    };
                    if self.lists.bytes + self.references.bytes > MAX_LISTS_BYTES {
                        let problem = TooManyLists { id: clip(id) }.into();
                        self.end();
                        let name = self.folder.name("");
                        return Some(Err(NbestError::Source { name, problem }));
                    }
                    (line, taken)
                }
                Some(Err(error)) => {
                    if !error.is_line() {
                        self.end();
                    }
                    return Some(Err(error));
                }
            };
            if let Err(problem) = taken {
                return Some(Err(lines.error(line, problem)));
            }
        }
    }
}

impl ListReader for Reader {
    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

impl References {
    fn add(&mut self, id: &str, words: &str) -> Result<(), Problem> {
        if self.by_id.contains_key(id) {
            return Err(Problem::DuplicateId { id: clip(id), place: "the references".into() });
        }
        limits::id(id)?;
        limits::text(words, || format!("the reference of {:?}", clip(id)))?;
        self.bytes += (2 * size_of::<String>() + id.len() + words.len()) as u64;
        self.by_id.insert(id.to_owned(), words.to_owned());
        Ok(())
    }
}

/// The lists so far: each utterance with the ranks of its hypotheses.
#[derive(Default)]
struct Lists {
    utterances: Vec<(Utterance, Vec<usize>)>,
    by_id: HashMap<String, usize>,
    /// Memory of both.
    bytes: u64,
}

impl Lists {
    fn add_text(&mut self, id: &str, words: &str, rank: usize) -> Result<(), Problem> {
        limits::text(words, || format!("rank {rank} of {:?}", clip(id)))?;
        self.bytes += (size_of::<Hypothesis>() + size_of::<usize>() + words.len()) as u64;
        let at = match self.by_id.get(id) {
            Some(&at) => at,
            None => {
                limits::id(id)?;
                self.bytes += (size_of::<(Utterance, String)>() + 2 * id.len()) as u64;
                self.by_id.insert(id.to_owned(), self.utterances.len());
                self.utterances.push((Utterance::new(id, None, Vec::new()), Vec::new()));
                self.utterances.len() - 1
            }
        };
        let (utterance, ranks) = &mut self.utterances[at];
        match ranks.binary_search(&rank) {
            Ok(_) => Err(Problem::DuplicateId {
                id: clip(id),
                place: format!("the texts of rank {rank}"),
            }),
            Err(place) => {
                ranks.insert(place, rank);
                utterance.hypotheses.insert(place, Hypothesis::new(words, None));
                Ok(())
            }
        }
    }

    fn add_score(&mut self, id: &str, value: &str, rank: usize) -> Result<(), Problem> {
        let absent = || Problem::ScoreWithoutText { id: clip(id), rank };
        let (utterance, ranks) = &mut self.utterances[*self.by_id.get(id).ok_or_else(absent)?];
        let place = ranks.binary_search(&rank).map_err(|_| absent())?;
        let score = &mut utterance.hypotheses[place].score;
        if score.is_some() {
            return Err(Problem::DuplicateId {
                id: clip(id),
                place: format!("the scores of rank {rank}"),
            });
        }
        *score = Some(
            number(value).ok_or_else(|| Problem::BadScore { id: clip(id), found: clip(value) })?,
        );
        Ok(())
    }

    fn finish(self) -> Vec<Utterance> {
        self.utterances.into_iter().map(|(utterance, _)| utterance).collect()
    }
}

/// `-12.3`, or what Python prints for a tensor of one element, with or without brackets and further
/// properties: `tensor(-12.3)`, `tensor([-12.3], device='cuda:0')`.
fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    let inner = match value.strip_prefix("tensor(") {
        Some(rest) => rest.strip_suffix(')')?.split(',').next()?.trim(),
        None => value,
    };
    let inner = match inner.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.trim(),
        None => inner,
    };
    inner.parse().ok().filter(|score: &f64| score.is_finite())
}
