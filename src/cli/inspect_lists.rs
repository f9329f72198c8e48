//! Statistics of N-best lists, for `lorb inspect`.

use std::collections::HashSet;
use std::path::Path;

use lorb::nbest::{NbestFormat, Utterance};
use lorb::score::{Evaluation, RESAMPLES, compared, word_count};
use lorb::text::Conventions;

use super::error::CliError;
use super::input::{Reading, Utterances};
use super::inspect::line;
use super::terminal::say;

#[derive(Default)]
struct Statistics {
    format: Option<&'static dyn NbestFormat>,
    utterances: u64,
    with_reference: u64,
    hypotheses: u64,
    shortest: Option<usize>,
    longest: usize,
    scored: u64,
    empty: u64,
    repeated: u64,
    words: u64,
    out_of_order: u64,
}

impl Statistics {
    /// `compared`: the same list as it is compared, so that texts which differ only in what the conventions ignore are
    /// repeated.
    fn add(&mut self, utterance: &Utterance, compared: &Utterance) {
        let list = &utterance.hypotheses;
        self.utterances += 1;
        self.with_reference += u64::from(utterance.reference.is_some());
        self.hypotheses += list.len() as u64;
        self.shortest = Some(self.shortest.map_or(list.len(), |shortest| shortest.min(list.len())));
        self.longest = self.longest.max(list.len());
        self.scored += list.iter().filter(|h| h.score.is_some()).count() as u64;
        let texts = || compared.hypotheses.iter().map(|h| h.text.as_str());
        self.empty += texts().filter(|text| word_count(text) == 0).count() as u64;
        let distinct: HashSet<&str> = texts().collect();
        self.repeated += (list.len() - distinct.len()) as u64;
        self.words += texts().map(|text| u64::from(word_count(text))).sum::<u64>();
        let scores: Vec<f64> = list.iter().filter_map(|h| h.score).collect();
        self.out_of_order += u64::from(!scores.is_sorted_by(|a, b| a >= b));
    }

    fn text(&self, path: &Path) -> String {
        let all = self.hypotheses.max(1) as f64;
        let share = |count: u64| format!("{count} ({:.1} %)", 100.0 * count as f64 / all);
        let mut text = String::new();
        line(&mut text, "N-best lists", &path.display().to_string());
        if let Some(format) = self.format {
            line(&mut text, "format", &format!("{} ({})", format.name(), format.doc()));
        }
        line(&mut text, "utterances", &self.utterances.to_string());
        line(&mut text, "with a reference", &self.with_reference.to_string());
        line(&mut text, "hypotheses", &self.hypotheses.to_string());
        let mean = self.hypotheses as f64 / self.utterances.max(1) as f64;
        let range =
            format!("{} to {}, {mean:.1} on average", self.shortest.unwrap_or(0), self.longest);
        line(&mut text, "hypotheses per list", &range);
        line(
            &mut text,
            "words per hypothesis",
            &format!("{:.1} on average", self.words as f64 / all),
        );
        line(&mut text, "with a score", &share(self.scored));
        line(&mut text, "without a word", &share(self.empty));
        line(&mut text, "repeated in their list", &share(self.repeated));
        line(&mut text, "lists not best first", &self.out_of_order.to_string());
        text
    }
}

/// Counts, and the WER of first pass and oracle if there are references.
pub fn text(path: &Path, reading: &Reading, conventions: Conventions) -> Result<String, CliError> {
    let mut input = Utterances::open(&[path.to_owned()], reading)?;
    let (mut statistics, mut evaluation) = (Statistics::default(), Evaluation::with(conventions));
    while let Some(utterance) = input.next()? {
        statistics.format = input.format();
        statistics.add(&utterance, &compared(&utterance, &conventions));
        evaluation.add(&utterance, None);
    }
    if statistics.utterances == 0 {
        return Err(CliError::Failed(format!("{}: contains no lists", path.display())));
    }
    let mut text = statistics.text(path);
    for (label, count) in [
        ("ids that occur again", input.repeated.count),
        ("references without a list", input.unused_references().len() as u64),
        ("invalid lines", input.skipped),
    ] {
        if count > 0 {
            line(&mut text, label, &count.to_string());
        }
    }
    let parts = input.parts();
    if !parts.is_empty() {
        line(&mut text, "parts of the scores", &parts.join(", "));
    }
    input.print_score_warnings("", &input.score_warnings(None));
    if statistics.with_reference > 0 {
        let report = evaluation.report(RESAMPLES, 0);
        report.warnings.iter().for_each(|found| say!("warning: {found}"));
        text.push_str(&format!("\n{report}"));
    }
    Ok(text)
}
