//! ESPnet's n-best directory, as a set of streams.
//!
//! A recogniser run by ESPnet leaves `logdir/output.<shard>/<rank>best_recog/{text,score}`. Both hold
//! one line per utterance, in Kaldi's manner: the id, white space, the value. `text` holds the words,
//! possibly none; `score` the total log-probability, higher is better, printed as `tensor(-4.0636)`.
//! The references stand in a Kaldi `text` file elsewhere. The caller opens the files, for which
//! [`shard_of`] and [`rank_of`] read the names of the folders; [`merge`] does the rest. Words are
//! taken as they are: letter case is the business of whoever prepares the data.

use std::collections::HashMap;
use std::io::BufRead;

use super::error::clip;
use super::lines::Lines;
use super::{Hypothesis, MAX_HYPOTHESES, NbestError, Problem, Utterance};

/// A stream and the name by which errors call it. Plain or gzip, as for JSON lines.
pub struct Named<R> {
    /// Such as the path it was opened from.
    pub name: String,
    /// The stream.
    pub reader: R,
}

impl<R> Named<R> {
    /// Joins the two.
    pub fn new(name: impl Into<String>, reader: R) -> Self {
        Self { name: name.into(), reader }
    }
}

/// The two files of one `<rank>best_recog` folder.
pub struct RankFiles<R> {
    /// The rank, 1 to [`MAX_HYPOTHESES`].
    pub rank: usize,
    /// `text`.
    pub text: Named<R>,
    /// `score`, where there is one.
    pub score: Option<Named<R>>,
}

/// What [`merge`] gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// In the order in which the ids first appear; hypotheses in rank order.
    pub utterances: Vec<Utterance>,
    /// References whose id no list has.
    pub unused_references: usize,
}

/// The shard number of a folder named `output.<shard>`.
#[must_use]
pub fn shard_of(folder: &str) -> Option<usize> {
    folder.strip_prefix("output.").and_then(plain_number)
}

/// The rank of a folder named `<rank>best_recog`.
#[must_use]
pub fn rank_of(folder: &str) -> Option<usize> {
    folder.strip_suffix("best_recog").and_then(plain_number)
}

/// `str::parse` alone would take `+3`.
fn plain_number(digits: &str) -> Option<usize> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Merges the files of all ranks and shards, in the order given, and the references.
///
/// An utterance need not appear at every rank; its list is then shorter. A text without a score is a
/// hypothesis without a score. An utterance without a reference has none.
///
/// Each bad line (not UTF-8, a score that is no finite number, an id that stands twice at one rank, a
/// score without a text) is handed to `on_bad_line`: return it as `Err` to stop there, or `Ok(())` to
/// leave the line out and go on.
///
/// # Errors
/// What `on_bad_line` returns; a stream that fails; a rank outside 1 to [`MAX_HYPOTHESES`].
pub fn merge<R: BufRead>(
    files: impl IntoIterator<Item = RankFiles<R>>,
    references: Option<Named<R>>,
    mut on_bad_line: impl FnMut(NbestError) -> Result<(), NbestError>,
) -> Result<Merged, NbestError> {
    let mut lists = Lists::default();
    for RankFiles { rank, text, score } in files {
        if !(1..=MAX_HYPOTHESES).contains(&rank) {
            return Err(NbestError::Source { name: text.name, problem: Problem::BadRank { rank } });
        }
        each_entry(text, &mut on_bad_line, |id, words| lists.add_text(id, words, rank))?;
        if let Some(score) = score {
            each_entry(score, &mut on_bad_line, |id, value| lists.add_score(id, value, rank))?;
        }
    }
    let mut unused_references = 0;
    if let Some(references) = references {
        // Kept apart from the lists so that an id that stands twice is noticed whether used or not.
        let mut seen = HashMap::new();
        each_entry(references, &mut on_bad_line, |id, words| {
            if seen.contains_key(id) {
                return Err(Problem::DuplicateId { id: clip(id), place: "the references".into() });
            }
            seen.insert(id.to_owned(), words.to_owned());
            Ok(())
        })?;
        for utterance in &mut lists.utterances {
            utterance.0.reference = seen.remove(&utterance.0.id);
        }
        unused_references = seen.len();
    }
    Ok(Merged { utterances: lists.finish(), unused_references })
}

/// Calls `take` with the id and the rest of every line.
fn each_entry<R: BufRead>(
    source: Named<R>,
    on_bad_line: &mut impl FnMut(NbestError) -> Result<(), NbestError>,
    mut take: impl FnMut(&str, &str) -> Result<(), Problem>,
) -> Result<(), NbestError> {
    let mut lines = Lines::new(source.reader, source.name);
    loop {
        let (line, taken) = match lines.next_line() {
            None => return Ok(()),
            Some(Ok((line, text))) => {
                let text = text.trim();
                let (id, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                (line, take(id, rest.trim_start()))
            }
            Some(Err(error)) if error.is_line() => {
                on_bad_line(error)?;
                continue;
            }
            Some(Err(error)) => return Err(error),
        };
        if let Err(problem) = taken {
            on_bad_line(lines.error(line, problem))?;
        }
    }
}

/// The lists so far: each utterance beside the ranks of its hypotheses.
#[derive(Default)]
struct Lists {
    utterances: Vec<(Utterance, Vec<usize>)>,
    by_id: HashMap<String, usize>,
}

impl Lists {
    fn add_text(&mut self, id: &str, words: &str, rank: usize) -> Result<(), Problem> {
        let at = match self.by_id.get(id) {
            Some(&at) => at,
            None => {
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

/// `-12.3`, or what Python prints for a scalar tensor, with or without a list around it and further
/// properties behind it: `tensor(-12.3)`, `tensor([-12.3], device='cuda:0')`.
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
