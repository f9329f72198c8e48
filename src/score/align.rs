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
/// Time is proportional to the product of the two lengths in words, and so is memory, with a byte for each pair of words.
#[must_use]
pub fn align_words<'a>(reference: &'a str, hypothesis: &'a str) -> Vec<AlignedWord<'a>> {
    let reference: Vec<&str> = reference.split_whitespace().collect();
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    let last = last_steps(&reference, &hypothesis);
    let (mut i, mut j) = (reference.len(), hypothesis.len());
    let mut steps = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        match last[i * (hypothesis.len() + 1) + j] {
            Step::Both => {
                (i, j) = (i - 1, j - 1);
                let (reference, hypothesis) = (reference[i], hypothesis[j]);
                steps.push(if reference == hypothesis {
                    AlignedWord::Equal { reference, hypothesis }
                } else {
                    AlignedWord::Substitute { reference, hypothesis }
                });
            }
            Step::Delete => {
                i -= 1;
                steps.push(AlignedWord::Delete { reference: reference[i] });
            }
            Step::Insert => {
                j -= 1;
                steps.push(AlignedWord::Insert { hypothesis: hypothesis[j] });
            }
        }
    }
    steps.reverse();
    steps
}

/// The last step of the best alignment of two beginnings.
#[derive(Clone, Copy)]
enum Step {
    /// A word of each.
    Both,
    Delete,
    Insert,
}

/// For the first i words of one and the first j of the other, at `i * (hypothesis.len() + 1) + j`. Of equally good
/// steps, the first in the order of [`Step`] is chosen.
fn last_steps(reference: &[&str], hypothesis: &[&str]) -> Vec<Step> {
    // Errors first, then insertions and deletions among them.
    let gap = |(errors, gaps): (u32, u32)| (errors + 1, gaps + 1);
    let mut steps = vec![Step::Insert; hypothesis.len() + 1];
    let mut row: Vec<(u32, u32)> = (0..=hypothesis.len() as u32).map(|j| (j, j)).collect();
    steps.reserve(reference.len() * row.len());
    for r in reference {
        let mut diagonal = row[0];
        row[0] = gap(row[0]);
        steps.push(Step::Delete);
        for (j, h) in hypothesis.iter().enumerate() {
            let both = (diagonal.0 + u32::from(r != h), diagonal.1);
            let (delete, insert) = (gap(row[j + 1]), gap(row[j]));
            diagonal = row[j + 1];
            row[j + 1] = both.min(delete).min(insert);
            steps.push(match row[j + 1] {
                least if least == both => Step::Both,
                least if least == delete => Step::Delete,
                _ => Step::Insert,
            });
        }
    }
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
