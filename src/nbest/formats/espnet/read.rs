//! Reads the folder.

use std::collections::{HashMap, VecDeque};
use std::io::BufRead;
use std::vec;

use super::super::python::{number, parts};
use super::super::{Folder, ListReader, NbestFormat, Note, Stream, opened, unopened, whole_number};
use super::{Espnet, NUMBERS, Number, PARTS, TEXT};
use crate::bounds::{MAX_HYPOTHESES, MAX_LISTS_BYTES};
use crate::nbest::error::clip;
use crate::nbest::lines::Lines;
use crate::nbest::references::{REFERENCES, id_and_rest};
use crate::nbest::{
    Hypothesis, NbestError, Problem, Reference, References, TooManyLists, Utterance, limits,
};

/// The `<rank>best_recog` folders of all shards with their ranks: those outside any shard first.
pub(super) fn rank_folders(folder: &dyn Folder) -> Result<Vec<(usize, String)>, NbestError> {
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
    folder.strip_prefix("output.").and_then(whole_number)
}

/// The rank of a folder named `<rank>best_recog`.
fn rank_of(folder: &str) -> Option<usize> {
    folder.strip_suffix("best_recog").and_then(whole_number)
}

/// What the lines of a file mean.
#[derive(Clone, Copy)]
enum Content {
    Texts { rank: usize },
    Scores { rank: usize, number: &'static Number },
    Parts { rank: usize },
}

/// Reads all files, one at a time, then returns the lists in the order in which their ids first
/// appear, each with its hypotheses in rank order.
pub(super) struct Reader {
    folder: Box<dyn Folder>,
    /// The files that have not been opened yet.
    waiting: VecDeque<(Content, String)>,
    current: Option<(Content, Lines<Box<dyn BufRead>>)>,
    lists: Lists,
    /// The file of references, and whether it cannot be something else.
    references: Option<(String, bool)>,
    merged: Option<vec::IntoIter<Utterance>>,
    notes: Vec<Note>,
    unused: Vec<Reference>,
}

impl Reader {
    /// `find_references`: looks for references in the folder.
    pub(super) fn new(folder: Box<dyn Folder>, find_references: bool) -> Result<Self, NbestError> {
        let ranks = rank_folders(&*folder)?;
        if ranks.is_empty() {
            let expected = Espnet.layout().unwrap_or_default().to_owned();
            let problem = Problem::NoLists { expected };
            return Err(NbestError::Source { name: folder.name(""), problem });
        }
        let mut waiting = VecDeque::new();
        for (rank, path) in ranks {
            let text = join(&path, TEXT);
            if !(1..=MAX_HYPOTHESES).contains(&rank) {
                let problem = Problem::BadRank { rank };
                return Err(NbestError::Source { name: folder.name(&text), problem });
            }
            waiting.push_back((Content::Texts { rank }, text));
            let scores =
                NUMBERS.iter().map(|number| (number.file, Content::Scores { rank, number }));
            for (file, content) in scores.chain([(PARTS, Content::Parts { rank })]) {
                let file = join(&path, file);
                if folder.has_file(&file) {
                    waiting.push_back((content, file));
                }
            }
        }
        let mut names = [REFERENCES, TEXT].into_iter().filter(|_| find_references);
        let found = names.find(|name| folder.has_file(name));
        let references = found.map(|name| (name.to_owned(), name == REFERENCES));
        Ok(Self {
            folder,
            waiting,
            current: None,
            lists: Lists::default(),
            references,
            merged: None,
            notes: Vec::new(),
            unused: Vec::new(),
        })
    }

    /// Opens the next file, or merges what was read when no file is left.
    fn enter(&mut self) -> Result<(), NbestError> {
        let Some((content, file)) = self.waiting.pop_front() else {
            return self.merge();
        };
        let Stream { name, reader } = opened(&*self.folder, &file)?;
        self.current = Some((content, Lines::new(reader, name)));
        Ok(())
    }

    fn merge(&mut self) -> Result<(), NbestError> {
        let mut lists = std::mem::take(&mut self.lists).finish();
        if let Some((file, certain)) = self.references.take() {
            let references = References::read(opened(&*self.folder, &file)?)?;
            lists.iter_mut().for_each(|list| references.complete(list));
            self.check(&mut lists, &references, certain);
        }
        self.merged = Some(lists.into_iter());
        Ok(())
    }

    /// Removes what are no references, and notes what was found.
    fn check(&mut self, lists: &mut [Utterance], references: &References, certain: bool) {
        if !references.is_used() {
            return;
        }
        // ESPnet's summary of the best hypotheses has the name and format of a reference file.
        // Scored against it, the first pass would look perfect.
        let repeats = |u: &Utterance| {
            u.reference.as_ref().is_none_or(|reference| *reference == u.hypotheses[0].text)
        };
        let name = references.name();
        if !certain && lists.iter().all(repeats) {
            lists.iter_mut().for_each(|utterance| utterance.reference = None);
            return self.notes.push(Note::NotReferences { name });
        }
        self.notes.push(Note::FoundReferences { name });
        self.notes.extend(references.note());
        self.unused = references.unused();
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
                    let Some((id, rest)) = id_and_rest(text) else { continue };
                    let taken = match *content {
                        Content::Texts { rank } => self.lists.add_text(id, rest, rank),
                        Content::Scores { rank, number } => {
                            self.lists.add_score(id, rest, rank, number)
                        }
                        Content::Parts { rank } => self.lists.add_parts(id, rest, rank),
                    };
                    if self.lists.bytes > MAX_LISTS_BYTES {
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

    fn take_unused_references(&mut self) -> Vec<Reference> {
        std::mem::take(&mut self.unused)
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

    fn add_score(
        &mut self,
        id: &str,
        value: &str,
        rank: usize,
        file: &Number,
    ) -> Result<(), Problem> {
        let hypothesis = self.hypothesis(id, rank)?;
        if (file.get)(hypothesis).is_some() {
            return Err(Self::repeated(id, rank));
        }
        let bad = || Problem::BadScore { id: clip(id), found: clip(value) };
        (file.set)(hypothesis, number(value).ok_or_else(bad)?);
        Ok(())
    }

    fn add_parts(&mut self, id: &str, value: &str, rank: usize) -> Result<(), Problem> {
        let hypothesis = self.hypothesis(id, rank)?;
        if !hypothesis.parts.is_empty() {
            return Err(Self::repeated(id, rank));
        }
        hypothesis.parts =
            parts(value).ok_or_else(|| Problem::BadScores { id: clip(id), found: clip(value) })?;
        self.bytes += hypothesis.parts.bytes() as u64;
        Ok(())
    }

    fn hypothesis(&mut self, id: &str, rank: usize) -> Result<&mut Hypothesis, Problem> {
        let absent = || Problem::ScoreWithoutText { id: clip(id), rank };
        let (utterance, ranks) = &mut self.utterances[*self.by_id.get(id).ok_or_else(absent)?];
        let place = ranks.binary_search(&rank).map_err(|_| absent())?;
        Ok(&mut utterance.hypotheses[place])
    }

    fn repeated(id: &str, rank: usize) -> Problem {
        Problem::DuplicateId { id: clip(id), place: format!("the scores of rank {rank}") }
    }

    fn finish(self) -> Vec<Utterance> {
        self.utterances.into_iter().map(|(utterance, _)| utterance).collect()
    }
}
