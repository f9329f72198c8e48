//! What the formats that are JSON share: the reader, ids, and lists of values for the hypotheses.
//!
//! In each of these formats, a list may have the keys `id` and `ref` as in JSON lines, and a hypothesis may have `am`,
//! `lm`, `total` and `scores`, so that lists which LoRB wrote read back without loss. Other keys are kept.

use std::collections::VecDeque;
use std::io::BufRead;

use super::outline::Outline;
use super::{Glimpse, ListReader, Note, Source};
use crate::bounds::MAX_HYPOTHESES;
use crate::nbest::error::clip;
use crate::nbest::items::{Item, Items, Layout};
use crate::nbest::parse::{self, Names};
use crate::nbest::renamed::Watch;
use crate::nbest::value::Fields;
use crate::nbest::{Hypothesis, NbestError, Problem, Utterance, limits, strict};

/// What the items of a format are.
pub(super) trait Shape {
    /// Adds the lists of a value: one, or none if it is not a result. `item` is valid JSON.
    ///
    /// # Errors
    /// The problem of the value.
    fn read(&mut self, item: &Item<'_>, found: &mut Found) -> Result<(), Problem>;

    /// What to look for besides.
    fn watch() -> Watch {
        Watch::default()
    }
}

/// What a reader found so far.
pub(super) struct Found {
    /// Lists that were not returned yet.
    lists: VecDeque<Utterance>,
    notes: Vec<Note>,
    /// Number of lists so far.
    count: u64,
    /// The name of the stream, and what ids without one in the file begin with.
    name: String,
    stem: String,
    numbered: bool,
}

impl Found {
    fn new(name: &str) -> Self {
        Self {
            lists: VecDeque::new(),
            notes: Vec::new(),
            count: 0,
            stem: stem(name),
            name: name.to_owned(),
            numbered: false,
        }
    }

    /// The id of the next list: the given one, or a position.
    pub(super) fn id(&mut self, given: Option<String>) -> Result<String, Problem> {
        if let Some(id) = given {
            if id.trim().is_empty() {
                return Err(Problem::EmptyId);
            }
            limits::id(&id)?;
            return Ok(id);
        }
        if !std::mem::replace(&mut self.numbered, true) {
            self.note(Note::NumberedLists { name: self.name.clone(), stem: self.stem.clone() });
        }
        Ok(format!("{}-{}", self.stem, self.count + 1))
    }

    /// Adds a list.
    pub(super) fn push(&mut self, list: Utterance) {
        self.count += 1;
        self.lists.push_back(list);
    }

    /// The name of the stream.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// The last part of a name, without its extensions.
fn stem(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = last.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    match plain.trim() {
        "" | "standard input" => "list".to_owned(),
        plain => plain.split_whitespace().collect::<Vec<_>>().join("-"),
    }
}

/// Reads the lists of a stream of JSON.
pub(super) struct Reader<S> {
    items: Items<Box<dyn BufRead>>,
    shape: S,
    found: Found,
    watch: Watch,
}

impl<S: Shape> Reader<S> {
    pub(super) fn open(
        source: Source,
        format: &'static str,
        layout: Layout,
        shape: S,
    ) -> Result<Self, NbestError> {
        let stream = source.into_stream(format)?;
        let found = Found::new(&stream.name);
        Ok(Self {
            items: Items::new(stream.reader, stream.name, layout),
            shape,
            found,
            watch: S::watch(),
        })
    }
}

impl<S: Shape> Iterator for Reader<S> {
    type Item = Result<Utterance, NbestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(list) = self.found.lists.pop_front() {
                self.watch.see(&list);
                self.found.notes.extend(self.watch.notes(&self.found.name, false));
                return Some(Ok(list));
            }
            let (line, problem) = match self.items.next_item() {
                None => {
                    self.found.notes.extend(self.watch.notes(&self.found.name, true));
                    return None;
                }
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(item)) => {
                    let read = strict::check(item.text)
                        .and_then(|()| self.shape.read(&item, &mut self.found));
                    match read {
                        Ok(()) => continue,
                        Err(problem) => item.locate(problem),
                    }
                }
            };
            // Its position counts, so that the ids of the lists after it do not depend on it.
            self.found.count += 1;
            return Some(Err(self.items.error(line, problem)));
        }
    }
}

impl<S: Shape> ListReader for Reader<S> {
    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.found.notes)
    }
}

/// Whether the beginning of a stream has an outline with this property.
pub(super) fn sniff(glimpse: &Glimpse<'_>, test: impl Fn(&Outline) -> bool) -> bool {
    let Glimpse::Stream(head) = glimpse else { return false };
    // The key of JSON lines.
    Outline::of(head).is_some_and(|outline| !outline.has(&["nbest"]) && test(&outline))
}

/// Adds the list of an object. `id` is the id that the file gives. `hypotheses` takes them from the fields; what is left
/// are unknown keys. Errors name the utterance.
pub(super) fn list<'a>(
    found: &mut Found,
    mut fields: Fields<'a>,
    id: Option<String>,
    reference: Option<String>,
    hypotheses: impl FnOnce(&mut Fields<'a>, &mut Found) -> Result<Vec<Hypothesis>, Problem>,
) -> Result<(), Problem> {
    let id = found.id(id)?;
    let of_id = |problem| Problem::Utterance { id: clip(&id), problem: Box::new(problem) };
    if let Some(reference) = &reference {
        limits::text(reference, || "the reference".to_owned()).map_err(of_id)?;
    }
    let hypotheses = hypotheses(&mut fields, found).map_err(of_id)?;
    let extra = fields.rest(|| "the list".to_owned()).map_err(of_id)?;
    found.push(Utterance { id, reference, hypotheses, extra });
    Ok(())
}

/// Checks the number of hypotheses.
fn count(key: &'static str, count: usize) -> Result<usize, Problem> {
    match count {
        0 => Err(Problem::EmptyList { key }),
        1..=MAX_HYPOTHESES => Ok(count),
        count => Err(Problem::TooMany { key, count }),
    }
}

/// Hypotheses from their objects.
pub(super) fn objects(
    key: &'static str,
    values: &[&str],
    names: Names,
) -> Result<Vec<Hypothesis>, Problem> {
    count(key, values.len())?;
    let hypothesis = |(at, value): (usize, &&str)| parse::hypothesis(value, at + 1, names);
    values.iter().enumerate().map(hypothesis).collect()
}

/// Hypotheses from their texts.
pub(super) fn hypotheses(
    key: &'static str,
    texts: Vec<String>,
) -> Result<Vec<Hypothesis>, Problem> {
    count(key, texts.len())?;
    let hypothesis = |(at, text): (usize, String)| {
        limits::text(&text, || format!("hypothesis {}", at + 1))?;
        Ok(Hypothesis::new(text, None))
    };
    texts.into_iter().enumerate().map(hypothesis).collect()
}

/// The keys of an object.
pub(super) fn fields<'a>(item: &Item<'a>) -> Result<Fields<'a>, Problem> {
    Fields::of(item.text)
}

/// Takes the lists of numbers that LoRB adds after rescoring: `lm` and `total`.
pub(super) fn rescored(fields: &mut Fields<'_>, list: &mut [Hypothesis]) -> Result<(), Problem> {
    if let Some(values) = fields.numbers("lm", list.len())? {
        list.iter_mut().zip(values).for_each(|(hypothesis, value)| hypothesis.lm = value);
    }
    if let Some(values) = fields.numbers("total", list.len())? {
        list.iter_mut().zip(values).for_each(|(hypothesis, value)| hypothesis.total = value);
    }
    Ok(())
}
