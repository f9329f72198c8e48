//! WER by classes of utterances.

use crate::study::record::DomainResult;

/// Utterances of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bin {
    /// The range, such as `4-6`.
    pub label: String,
    /// Utterances.
    pub utterances: usize,
    /// Reference words.
    pub words: u64,
    /// Errors of the first pass.
    pub first: u64,
    /// Errors of rescoring.
    pub rescored: u64,
    /// Errors of the oracle.
    pub oracle: u64,
}

/// Upper ends of the ranges of hypotheses and of words.
const HYPOTHESES: [u32; 6] = [1, 3, 6, 10, 20, 50];
const WORDS: [u32; 7] = [3, 6, 9, 12, 18, 27, 40];

/// By the number of hypotheses in a list. Empty ranges are omitted.
#[must_use]
pub fn by_hypotheses(domain: &DomainResult) -> Vec<Bin> {
    bins(domain, &domain.hypotheses, &HYPOTHESES)
}

/// By the words of the reference. Empty ranges are omitted.
#[must_use]
pub fn by_words(domain: &DomainResult) -> Vec<Bin> {
    bins(domain, &domain.words, &WORDS)
}

fn bins(domain: &DomainResult, values: &[u32], ends: &[u32]) -> Vec<Bin> {
    let range = |at: usize| {
        let low = at.checked_sub(1).map_or(0, |before| ends[before] + 1);
        match ends.get(at) {
            Some(&high) if high == low => high.to_string(),
            Some(high) => format!("{low}-{high}"),
            None => format!("{low} and more"),
        }
    };
    let empty =
        |at| Bin { label: range(at), utterances: 0, words: 0, first: 0, rescored: 0, oracle: 0 };
    let mut all: Vec<Bin> = (0..=ends.len()).map(empty).collect();
    for (at, &value) in values.iter().enumerate() {
        let bin = &mut all[ends.partition_point(|&end| end < value)];
        bin.utterances += 1;
        bin.words += u64::from(domain.words[at]);
        bin.first += u64::from(domain.first[at]);
        bin.rescored += u64::from(domain.rescored[at]);
        bin.oracle += u64::from(domain.oracle[at]);
    }
    all.retain(|bin| bin.utterances > 0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_utterance_is_in_one_bin() {
        let domain = DomainResult {
            words: vec![0, 3, 4, 41],
            hypotheses: vec![1, 2, 50, 51],
            first: vec![1, 2, 3, 4],
            rescored: vec![0, 1, 1, 4],
            oracle: vec![0, 0, 1, 2],
            ..DomainResult::default()
        };
        let words = by_words(&domain);
        let labels: Vec<&str> = words.iter().map(|bin| bin.label.as_str()).collect();
        assert_eq!(labels, ["0-3", "4-6", "41 and more"]);
        assert_eq!((words[0].utterances, words[0].first, words[0].words), (2, 3, 3));
        let lists = by_hypotheses(&domain);
        assert_eq!(lists.iter().map(|bin| bin.first).sum::<u64>(), 10);
        assert_eq!(lists.last().unwrap().label, "51 and more");
    }
}
