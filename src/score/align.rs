//! Word alignment of a hypothesis with its reference.

use serde::Serialize;

/// One step from a reference to a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum AlignedWord<'a> {
    /// The word is correct.
    Equal {
        /// Word of the reference.
        #[serde(rename = "ref")]
        reference: &'a str,
        /// The same word.
        #[serde(rename = "hyp")]
        hypothesis: &'a str,
    },
    /// The word is substituted.
    Substitute {
        /// Word of the reference.
        #[serde(rename = "ref")]
        reference: &'a str,
        /// Word of the hypothesis.
        #[serde(rename = "hyp")]
        hypothesis: &'a str,
    },
    /// An inserted word.
    Insert {
        /// Word of the hypothesis.
        #[serde(rename = "hyp")]
        hypothesis: &'a str,
    },
    /// A deleted word.
    Delete {
        /// Word of the reference.
        #[serde(rename = "ref")]
        reference: &'a str,
    },
}

/// An alignment with the fewest errors, and among those with the most substitutions, so its counts equal
/// those of [`word_errors`](super::word_errors). Ties are resolved from the end of both texts, which are matched
/// as long as possible.
///
/// Time and memory are proportional to the product of the two lengths in words.
#[must_use]
pub fn align_words<'a>(reference: &'a str, hypothesis: &'a str) -> Vec<AlignedWord<'a>> {
    let reference: Vec<&str> = reference.split_whitespace().collect();
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    let width = hypothesis.len() + 1;
    // Errors first, then insertions and deletions among them.
    let costs = |errors: u32, gaps: u32| (errors, gaps);
    let mut table = vec![costs(0, 0); (reference.len() + 1) * width];
    for i in 0..=reference.len() {
        for j in 0..=hypothesis.len() {
            let at = |i: usize, j: usize| table[i * width + j];
            let gap = |(errors, gaps): (u32, u32)| costs(errors + 1, gaps + 1);
            let mut least = if i == 0 && j == 0 { costs(0, 0) } else { costs(u32::MAX, 0) };
            if i > 0 && j > 0 {
                let (errors, gaps) = at(i - 1, j - 1);
                let wrong = u32::from(reference[i - 1] != hypothesis[j - 1]);
                least = least.min(costs(errors + wrong, gaps));
            }
            if i > 0 {
                least = least.min(gap(at(i - 1, j)));
            }
            if j > 0 {
                least = least.min(gap(at(i, j - 1)));
            }
            table[i * width + j] = least;
        }
    }
    let (mut i, mut j) = (reference.len(), hypothesis.len());
    let mut steps = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let (errors, gaps) = table[i * width + j];
        let wrong = |i: usize, j: usize| u32::from(reference[i - 1] != hypothesis[j - 1]);
        if i > 0 && j > 0 {
            let (before, before_gaps) = table[(i - 1) * width + j - 1];
            if (before + wrong(i, j), before_gaps) == (errors, gaps) {
                (i, j) = (i - 1, j - 1);
                let (reference, hypothesis) = (reference[i], hypothesis[j]);
                steps.push(if reference == hypothesis {
                    AlignedWord::Equal { reference, hypothesis }
                } else {
                    AlignedWord::Substitute { reference, hypothesis }
                });
                continue;
            }
        }
        let (before, before_gaps) = if i > 0 { table[(i - 1) * width + j] } else { (u32::MAX, 0) };
        if i > 0 && (before + 1, before_gaps + 1) == (errors, gaps) {
            i -= 1;
            steps.push(AlignedWord::Delete { reference: reference[i] });
        } else {
            j -= 1;
            steps.push(AlignedWord::Insert { hypothesis: hypothesis[j] });
        }
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{ErrorCounts, word_errors};

    #[test]
    fn words_are_marked_by_error_type() {
        let steps = align_words("play the song now", "play a song right now");
        let text: Vec<String> = steps
            .iter()
            .map(|step| match step {
                AlignedWord::Equal { hypothesis, .. } => (*hypothesis).to_owned(),
                AlignedWord::Substitute { reference, hypothesis } => {
                    format!("{reference}>{hypothesis}")
                }
                AlignedWord::Insert { hypothesis } => format!("+{hypothesis}"),
                AlignedWord::Delete { reference } => format!("-{reference}"),
            })
            .collect();
        assert_eq!(text, ["play", "the>a", "song", "+right", "now"]);
        assert_eq!(align_words("", " "), []);
        assert_eq!(align_words("a", ""), [AlignedWord::Delete { reference: "a" }]);
    }

    /// The package's `alignWords` is tested against the same file.
    #[test]
    fn steps_are_those_of_the_shared_cases() {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/shared/alignments.json")).unwrap();
        assert!(cases.len() > 5);
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap();
            let steps = align_words(text("ref"), text("hyp"));
            assert_eq!(serde_json::to_value(steps).unwrap(), case["steps"], "{case}");
        }
    }

    #[test]
    fn counts_equal_those_of_word_errors() {
        // All pairs of texts of up to four words out of three.
        let texts: Vec<String> = (0..256u32)
            .map(|n| {
                let word = |i: u32| ["", " a", " b", " c"][((n >> (2 * i)) & 3) as usize];
                (0..4).map(word).collect()
            })
            .collect();
        for reference in &texts {
            for hypothesis in texts.iter().step_by(5) {
                let mut counts = ErrorCounts {
                    reference_words: reference.split_whitespace().count() as u64,
                    ..ErrorCounts::default()
                };
                let (mut left, mut right) = (Vec::new(), Vec::new());
                for step in align_words(reference, hypothesis) {
                    match step {
                        AlignedWord::Equal { reference, hypothesis } => {
                            left.push(reference);
                            right.push(hypothesis);
                        }
                        AlignedWord::Substitute { reference, hypothesis } => {
                            counts.substitutions += 1;
                            left.push(reference);
                            right.push(hypothesis);
                        }
                        AlignedWord::Insert { hypothesis } => {
                            counts.insertions += 1;
                            right.push(hypothesis);
                        }
                        AlignedWord::Delete { reference } => {
                            counts.deletions += 1;
                            left.push(reference);
                        }
                    }
                }
                assert_eq!(counts, word_errors(reference, hypothesis), "{reference} {hypothesis}");
                assert!(left.into_iter().eq(reference.split_whitespace()));
                assert!(right.into_iter().eq(hypothesis.split_whitespace()));
            }
        }
    }
}
