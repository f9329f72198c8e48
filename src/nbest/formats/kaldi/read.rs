//! Reads the files of an archive together, one hypothesis after the other.

use std::collections::VecDeque;
use std::io::BufRead;

use super::super::{
    Folder, ListReader, NbestFormat, Note, OpenOptions, Stream, opened, unopened, whole_number,
};
use super::{
    ACOUSTIC_SCALE, COSTS, Kaldi, LM_ONLY, Meaning, NO_LM, TEXTS, WORD_NUMBERS, combined, negated,
};
use crate::bounds::MAX_HYPOTHESES;
use crate::nbest::error::clip;
use crate::nbest::lines::Lines;
use crate::nbest::references::{REFERENCES, id_and_rest};
use crate::nbest::{Hypothesis, NbestError, Problem, Reference, References, Utterance, limits};

type FolderLines = Lines<Box<dyn BufRead>>;

/// The archives in a folder: the folder itself and `archives.<job>`, in the order of the jobs. An archive has words and,
/// with `costs`, at least one file of costs.
pub(super) fn archives(folder: &dyn Folder, costs: bool) -> Result<Vec<String>, NbestError> {
    let entries = folder.entries("").map_err(|error| unopened(folder.name(""), error))?;
    let mut jobs: Vec<(usize, String)> = entries
        .into_iter()
        .filter(|entry| entry.is_folder)
        .filter_map(|entry| {
            let job = entry.name.strip_prefix("archives.")?.parse().ok()?;
            Some((job, entry.name))
        })
        .collect();
    jobs.sort();
    let places = std::iter::once(String::new()).chain(jobs.into_iter().map(|(_, name)| name));
    let is_archive = |place: &String| {
        let has = |file: &str| folder.has_file(&within(place, file));
        let words = TEXTS.iter().any(|file| has(file)) || has(WORD_NUMBERS);
        words && (!costs || COSTS.iter().any(|(file, _)| has(file)))
    };
    Ok(places.filter(is_archive).collect())
}

fn within(place: &str, file: &str) -> String {
    if place.is_empty() { file.to_owned() } else { format!("{place}/{file}") }
}

/// A file of costs. Its next line is kept until a hypothesis has its name.
struct Column {
    meaning: Meaning<'static>,
    path: String,
    lines: FolderLines,
    next: Option<Row>,
    /// Hypotheses without a cost in this file.
    missing: usize,
}

/// A line of a file: its number, the name of the hypothesis, and the rest.
struct Row {
    line: u64,
    name: String,
    rest: String,
}

/// An archive that is being read.
struct Archive {
    texts: FolderLines,
    columns: Vec<Column>,
}

pub(super) struct Reader {
    folder: Box<dyn Folder>,
    waiting: VecDeque<String>,
    archive: Option<Archive>,
    /// The references in the folder.
    references: Option<References>,
    unused_references: Vec<Reference>,
    /// The list so far, with the numbers of its hypotheses.
    list: Option<(Utterance, Vec<usize>)>,
    /// The scale that the caller gave.
    given_scale: Option<f64>,
    scaled: bool,
    notes: Vec<Note>,
    ended: bool,
}

impl Reader {
    pub(super) fn new(folder: Box<dyn Folder>, options: OpenOptions) -> Result<Self, NbestError> {
        let found = archives(&*folder, false)?;
        if found.is_empty() {
            let expected = Kaldi.layout().unwrap_or_default().to_owned();
            let problem = Problem::NoLists { expected };
            return Err(NbestError::Source { name: folder.name(""), problem });
        }
        let found_references = options.references.is_none() && folder.has_file(REFERENCES);
        let references = found_references.then(|| opened(&*folder, REFERENCES)).transpose()?;
        let references = references.map(References::read).transpose()?;
        Ok(Self {
            folder,
            waiting: found.into(),
            archive: None,
            references,
            unused_references: Vec::new(),
            list: None,
            given_scale: options.acoustic_scale,
            scaled: false,
            notes: Vec::new(),
            ended: false,
        })
    }

    /// Opens the files of the next archive.
    fn enter(&mut self, place: &str) -> Result<Archive, NbestError> {
        let folder = &*self.folder;
        let has = |file: &str| folder.has_file(&within(place, file));
        let Some(text) = TEXTS.into_iter().find(|file| has(file)) else {
            let name = folder.name(&within(place, WORD_NUMBERS));
            return Err(NbestError::Source { name, problem: Problem::WordNumbers });
        };
        let texts = open(folder, &within(place, text))?;
        let mut columns = Vec::new();
        for (file, meaning) in &COSTS {
            if has(file) && (*file != NO_LM || has(LM_ONLY)) {
                let path = within(place, file);
                let lines = open(folder, &path)?;
                columns.push(Column { meaning: *meaning, path, lines, next: None, missing: 0 });
            }
        }
        Ok(Archive { texts, columns })
    }

    /// Adds the next hypothesis to the list; returns the list that ends before it, if one does.
    fn next_hypothesis(
        &mut self,
        archive: &mut Archive,
    ) -> Option<Result<Option<Utterance>, NbestError>> {
        let row = match row(&mut archive.texts)? {
            Ok(row) => row,
            Err(error) => {
                // Its costs have no name to look for.
                archive.columns.iter_mut().for_each(Column::skip);
                return Some(Err(self.fatal(error)));
            }
        };
        let mut hypothesis = Hypothesis::default();
        let mut fault = None;
        for column in &mut archive.columns {
            match column.take(&row.name, &mut hypothesis) {
                Ok(()) => {}
                Err(error) if error.is_line() => fault = fault.or(Some(error)),
                Err(error) => return Some(Err(self.fatal(error))),
            }
        }
        if let Some(error) = fault {
            return Some(Err(error));
        }
        let added = self.add(&row, hypothesis);
        Some(added.map_err(|problem| archive.texts.error(row.line, problem)))
    }

    fn add(&mut self, row: &Row, mut hypothesis: Hypothesis) -> Result<Option<Utterance>, Problem> {
        let (id, number) = split(&row.name)?;
        limits::id(id)?;
        limits::text(&row.rest, || format!("hypothesis {number} of {:?}", clip(id)))?;
        hypothesis.text.clone_from(&row.rest);
        // A scale of the caller's counts more than a score that was combined with another.
        if hypothesis.score.is_none() || self.given_scale.is_some() {
            let scale = self.given_scale.unwrap_or(ACOUSTIC_SCALE);
            self.scaled |= hypothesis.parts.get("am").is_some();
            let score = combined(&hypothesis, scale).or(hypothesis.score);
            hypothesis.score = score.map(|score| limits::computed(score, number)).transpose()?;
        }
        let same = self.list.as_ref().is_some_and(|(utterance, _)| utterance.id == id);
        let complete = if same { None } else { self.complete() };
        let (utterance, numbers) =
            self.list.get_or_insert_with(|| (Utterance::new(id, None, Vec::new()), Vec::new()));
        match numbers.binary_search(&number) {
            Ok(_) => {
                let place = format!("the hypotheses with number {number}");
                return Err(Problem::DuplicateId { id: clip(id), place });
            }
            Err(place) => {
                numbers.insert(place, number);
                utterance.hypotheses.insert(place, hypothesis);
            }
        }
        Ok(complete)
    }

    /// The list so far.
    fn complete(&mut self) -> Option<Utterance> {
        let (mut utterance, _) = self.list.take()?;
        if let Some(references) = &self.references {
            references.complete(&mut utterance);
        }
        Some(utterance)
    }

    /// Ends an archive: every cost must have belonged to a hypothesis.
    fn leave(&mut self, archive: Archive) -> Result<(), NbestError> {
        for column in archive.columns {
            if let Some(Row { line, name, .. }) = column.next {
                let problem = Problem::CostWithoutText { line, name: clip(&name) };
                let name = self.folder.name(&column.path);
                return Err(NbestError::Source { name, problem });
            }
            // The files that only LoRB writes may have fewer lines.
            if column.missing > 0 && matches!(column.meaning, Meaning::Part(_)) {
                let name = self.folder.name(&column.path);
                self.notes.push(Note::MissingScores { name, count: column.missing });
            }
        }
        Ok(())
    }

    /// The end of all archives.
    fn finish(&mut self) -> Option<Utterance> {
        self.ended = true;
        let last = self.complete();
        if let Some(references) = self.references.take().filter(References::is_used) {
            self.notes.push(Note::FoundReferences { name: references.name() });
            self.notes.extend(references.note());
            self.unused_references = references.unused();
        }
        if self.scaled {
            let (scale, given) = match self.given_scale {
                Some(scale) => (scale, true),
                None => (ACOUSTIC_SCALE, false),
            };
            let name = self.folder.name("");
            self.notes.push(Note::AcousticScale { name, scale: scale.to_string(), given });
        }
        last
    }

    fn fatal(&mut self, error: NbestError) -> NbestError {
        self.ended |= !error.is_line();
        error
    }
}

impl Iterator for Reader {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            let Some(mut archive) = self.archive.take() else {
                let Some(place) = self.waiting.pop_front() else {
                    return self.finish().map(Ok);
                };
                match self.enter(&place) {
                    Ok(archive) => self.archive = Some(archive),
                    Err(error) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
                continue;
            };
            match self.next_hypothesis(&mut archive) {
                None => {
                    if let Err(error) = self.leave(archive) {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
                Some(item) => {
                    self.archive = Some(archive);
                    if let Some(item) = item.transpose() {
                        return Some(item);
                    }
                }
            }
        }
    }
}

impl ListReader for Reader {
    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn take_unused_references(&mut self) -> Vec<Reference> {
        std::mem::take(&mut self.unused_references)
    }
}

impl Column {
    /// Skips a line.
    fn skip(&mut self) {
        if self.next.take().is_none() {
            // A line that cannot be read is skipped too; a stream that fails ends at the next line.
            let _ = row(&mut self.lines);
        }
    }

    /// Stores the cost of the hypothesis with that name, if it is the next one of this file.
    fn take(&mut self, name: &str, hypothesis: &mut Hypothesis) -> Result<(), NbestError> {
        if self.next.is_none() {
            self.next = row(&mut self.lines).transpose()?;
        }
        let Some(Row { line, rest, .. }) = self.next.take_if(|row| row.name == name) else {
            self.missing += 1;
            return Ok(());
        };
        let cost: Option<f64> = rest.parse().ok().filter(|cost: &f64| cost.is_finite());
        let Some(cost) = cost else {
            let problem = Problem::BadScore { id: clip(name), found: clip(&rest) };
            return Err(self.lines.error(line, problem));
        };
        let score = negated(cost);
        match self.meaning {
            // The first of several files counts.
            Meaning::Part(part) if hypothesis.parts.get(part).is_some() => {}
            Meaning::Part(part) => drop(hypothesis.parts.insert(part, score)),
            Meaning::First => hypothesis.score = Some(score),
            Meaning::Lm => hypothesis.lm = Some(score),
            Meaning::Total => hypothesis.total = Some(score),
        }
        Ok(())
    }
}

/// The next line of a file.
fn row(lines: &mut FolderLines) -> Option<Result<Row, NbestError>> {
    loop {
        match lines.next_line()? {
            Err(error) => return Some(Err(error)),
            Ok((line, text)) => {
                let Some((name, rest)) = id_and_rest(text) else { continue };
                return Some(Ok(Row { line, name: name.to_owned(), rest: rest.to_owned() }));
            }
        }
    }
}

/// The id and the number of a hypothesis named `utt-3`.
fn split(name: &str) -> Result<(&str, usize), Problem> {
    let unnumbered = || Problem::Unnumbered { name: clip(name) };
    let (id, number) = name.rsplit_once('-').ok_or_else(unnumbered)?;
    if id.is_empty() {
        return Err(unnumbered());
    }
    let number = whole_number(number).ok_or_else(unnumbered)?;
    if !(1..=MAX_HYPOTHESES).contains(&number) {
        return Err(Problem::BadRank { rank: number });
    }
    Ok((id, number))
}

fn open(folder: &dyn Folder, path: &str) -> Result<FolderLines, NbestError> {
    let Stream { name, reader } = opened(folder, path)?;
    Ok(Lines::new(reader, name))
}
