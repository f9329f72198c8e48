//! What rescoring changed: single utterances, words, and errors by length and rank.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::nbest::Utterance;
use crate::text::Conventions;

use super::{AlignedWord, align_words, best, compared, first_pass, unit_errors};

/// Changed utterances that are kept for the report.
const KEPT: usize = 1000;
/// Bytes of the texts of an utterance that is kept.
const KEPT_BYTES: usize = 8 << 10;
/// Words that are counted separately.
const WORDS: usize = 100_000;
/// Upper ends of the groups by length of the reference, in units.
const LENGTHS: [u32; 5] = [3, 6, 12, 25, u32::MAX];

/// An utterance for which rescoring selected another text than the first pass. All texts are in the form in which they
/// are compared, with a space between units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUtterance {
    /// Its id.
    pub id: String,
    /// The reference.
    pub reference: String,
    /// The text of the first pass.
    pub first: String,
    /// The text that rescoring selected.
    pub rescored: String,
    /// Errors of the first pass.
    pub first_errors: u64,
    /// Errors after rescoring.
    pub rescored_errors: u64,
    /// Rank of the selected text in the first pass, from 1, among the distinct texts of the list.
    pub rank: usize,
}

/// Sums over a group of utterances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// Utterances.
    pub utterances: u64,
    /// Units of their references.
    pub units: u64,
    /// Errors of the first pass.
    pub first: u64,
    /// Errors after rescoring.
    pub rescored: u64,
    /// Errors of the best hypotheses.
    pub oracle: u64,
}

/// How often a word of the references became correct and wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WordChange {
    /// Wrong in the first pass, correct after rescoring.
    pub gained: u64,
    /// Correct in the first pass, wrong after rescoring.
    pub lost: u64,
}

/// Collects what rescoring changed, one utterance at a time, in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    conventions: Conventions,
    kept: Vec<ChangedUtterance>,
    /// Changed utterances with fewer, more and as many errors.
    pub better: u64,
    /// See `better`.
    pub worse: u64,
    /// See `better`.
    pub equal: u64,
    words: HashMap<String, WordChange>,
    lengths: [Group; LENGTHS.len()],
    ranks: BTreeMap<usize, Group>,
}

impl Changes {
    /// Nothing yet; texts are compared by these conventions.
    #[must_use]
    pub fn new(conventions: Conventions) -> Self {
        Self { conventions, ..Self::default() }
    }

    /// Adds an utterance; `rescored` is the index of the selected hypothesis. One without a reference is not counted.
    ///
    /// # Panics
    /// If `u` has no hypotheses, or `rescored` is out of range.
    pub fn add(&mut self, u: &Utterance, rescored: usize) {
        let view = compared(u, &self.conventions);
        let Some(reference) = view.reference.as_deref() else { return };
        let unit = self.conventions.unit;
        let errors: Vec<u64> = view
            .hypotheses
            .iter()
            .map(|h| unit_errors(unit, reference, &h.text).errors())
            .collect();
        let scores = first_pass(&view);
        let first = best(&scores);
        let rank = rank(&view, &scores, rescored);
        let group = Group {
            utterances: 1,
            units: u64::from(unit.count(reference)),
            first: errors[first],
            rescored: errors[rescored],
            oracle: errors.iter().min().copied().unwrap_or_default(),
        };
        let length = LENGTHS.iter().position(|&end| group.units <= u64::from(end));
        self.lengths[length.unwrap_or(LENGTHS.len() - 1)].add(group);
        self.ranks.entry(rank).or_default().add(group);
        let spaced = |text: &str| unit.of(text).collect::<Vec<_>>().join(" ");
        let text = |at: usize| spaced(&view.hypotheses[at].text);
        let changed = ChangedUtterance {
            id: u.id.clone(),
            reference: spaced(reference),
            first: text(first),
            rescored: text(rescored),
            first_errors: errors[first],
            rescored_errors: errors[rescored],
            rank,
        };
        if changed.first != changed.rescored {
            self.count(&changed);
            self.keep(changed);
        }
    }

    fn count(&mut self, changed: &ChangedUtterance) {
        match changed.rescored_errors.cmp(&changed.first_errors) {
            std::cmp::Ordering::Less => self.better += 1,
            std::cmp::Ordering::Greater => self.worse += 1,
            std::cmp::Ordering::Equal => self.equal += 1,
        }
        let correct = |hypothesis| -> Vec<(&str, bool)> {
            let steps = align_words(&changed.reference, hypothesis).into_iter();
            steps
                .filter_map(|step| match step {
                    AlignedWord::Equal { reference, .. } => Some((reference, true)),
                    AlignedWord::Substitute { reference, .. }
                    | AlignedWord::Delete { reference } => Some((reference, false)),
                    AlignedWord::Insert { .. } => None,
                })
                .collect()
        };
        for ((word, before), (_, after)) in
            correct(&changed.first).into_iter().zip(correct(&changed.rescored))
        {
            if before == after || (self.words.len() == WORDS && !self.words.contains_key(word)) {
                continue;
            }
            let change = self.words.entry(word.to_owned()).or_default();
            *(if after { &mut change.gained } else { &mut change.lost }) += 1;
        }
    }

    fn keep(&mut self, changed: ChangedUtterance) {
        let bytes = changed.reference.len() + changed.first.len() + changed.rescored.len();
        if bytes <= KEPT_BYTES {
            self.kept.push(changed);
        }
        if self.kept.len() == 2 * KEPT {
            self.sort_kept();
        }
    }

    /// The largest changes first, in a fixed order.
    fn sort_kept(&mut self) {
        let size = |u: &ChangedUtterance| u.first_errors.abs_diff(u.rescored_errors);
        self.kept.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.id.cmp(&b.id)));
        self.kept.truncate(KEPT);
    }

    /// Changed utterances, those whose errors changed most first; at most a thousand, without very long ones.
    pub fn utterances(&mut self) -> &[ChangedUtterance] {
        self.sort_kept();
        &self.kept
    }

    /// Words of the references whose correctness changed, those with the most changes first.
    #[must_use]
    pub fn words(&self) -> Vec<(&str, WordChange)> {
        let mut words: Vec<_> =
            self.words.iter().map(|(word, change)| (&**word, *change)).collect();
        words.sort_by(|(one, a), (other, b)| {
            (b.gained + b.lost).cmp(&(a.gained + a.lost)).then_with(|| one.cmp(other))
        });
        words
    }

    /// Groups by the length of the reference: the longest length of the group in units, `None` for the last one, and
    /// sums.
    pub fn lengths(&self) -> impl Iterator<Item = (Option<u32>, Group)> {
        let ends = LENGTHS.into_iter().map(|end| (end != u32::MAX).then_some(end));
        ends.zip(self.lengths)
    }

    /// Groups by the first-pass rank of the selected text, from 1.
    pub fn ranks(&self) -> impl Iterator<Item = (usize, Group)> {
        self.ranks.iter().map(|(rank, group)| (*rank, *group))
    }
}

/// Rank of a hypothesis by score, from 1, among the distinct texts of its list: many beams may have the same text.
fn rank(list: &Utterance, scores: &[f64], hypothesis: usize) -> usize {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let text = |at: usize| list.hypotheses[at].text.as_str();
    let before = order.into_iter().map(text).take_while(|other| *other != text(hypothesis));
    1 + before.collect::<HashSet<_>>().len()
}

impl Group {
    fn add(&mut self, other: Self) {
        self.utterances += other.utterances;
        self.units += other.units;
        self.first += other.first;
        self.rescored += other.rescored;
        self.oracle += other.oracle;
    }
}
