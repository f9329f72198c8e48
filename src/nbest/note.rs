//! What is not an error, but what the user should know about lists.

use std::fmt;

use super::error::clip;
use super::writer::Omitted;

/// Something that is not an error, but changes what the lists mean, or what of them was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// References were found next to the lists.
    FoundReferences {
        /// The file.
        name: String,
    },
    /// A file looks like references, but repeats the best hypotheses. It was not used.
    NotReferences {
        /// The file.
        name: String,
    },
    /// References that belong to no list.
    UnusedReferences {
        /// The file.
        name: String,
        /// Number of such values.
        count: usize,
        /// Id of the first.
        first: String,
        /// Id of a list without a reference, if no list has a reference from this file.
        unmatched: Option<String>,
    },
    /// First-pass scores were combined from their parts.
    AcousticScale {
        /// The folder.
        name: String,
        /// The factor of the acoustic score.
        scale: String,
        /// Whether the caller gave it.
        given: bool,
    },
    /// Hypotheses without a line in a file of scores.
    MissingScores {
        /// The file.
        name: String,
        /// Number of such hypotheses.
        count: usize,
    },
    /// Rows that belong to the lines of a manifest, which is not written with them.
    NeedsManifest {
        /// The format.
        format: &'static str,
    },
    /// A writer did not write what its format has no place for.
    Omitted {
        /// The format.
        format: &'static str,
        /// What was not written.
        omitted: Omitted,
    },
    /// No hypothesis has a score, but they have a key that looks like one.
    ScoreUnderOtherKey {
        /// The file.
        name: String,
        /// The key.
        key: String,
    },
    /// No list has a reference, but they have a key that looks like one.
    ReferenceUnderOtherKey {
        /// The file.
        name: String,
        /// The key.
        key: String,
    },
    /// Lists without an id were named by their position.
    NumberedLists {
        /// The file.
        name: String,
        /// What the ids begin with, before `-1`.
        stem: String,
    },
    /// Results that the recogniser had not finished were skipped.
    SkippedPartial {
        /// The file.
        name: String,
    },
    /// Lists in which every confidence is 1 have no score.
    CertainConfidence {
        /// The file.
        name: String,
    },
    /// Scores were divided by the length of their hypotheses, which is not known.
    NormalisedScores {
        /// The file.
        name: String,
    },
    /// The exponent of the length, by which scores were divided, is not known.
    AssumedLengthPenalty {
        /// The file.
        name: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FoundReferences { name } => write!(f, "using references from {name}"),
            Self::NotReferences { name } => {
                write!(f, "{name} contains the best hypotheses, not references")
            }
            Self::UnusedReferences { name, count, first, unmatched } => {
                let (references, which) = match count {
                    1 => ("reference has", ""),
                    _ => ("references have", "the first: "),
                };
                write!(f, "{name}: {count} {references} no list ({which}{first:?})")?;
                match unmatched {
                    Some(list) => write!(f, ", and no list has a reference (the first: {list:?})"),
                    None => Ok(()),
                }
            }
            Self::AcousticScale { name, scale, given } => {
                let why = if *given { "" } else { ", as Kaldi's rescoring does by default" };
                write!(f, "{name}: the first-pass score is {scale} am + lm{why}")
            }
            Self::MissingScores { name, count: 1 } => write!(f, "{name}: 1 hypothesis has no line"),
            Self::MissingScores { name, count } => {
                write!(f, "{name}: {count} hypotheses have no line")
            }
            Self::NeedsManifest { format } => write!(
                f,
                "the rows of {format} belong to the utterances of the manifest in its order; ids and references are only \
                 there"
            ),
            Self::Omitted { format, omitted } => {
                write!(f, "{format} has no place for all of the lists; not written: {omitted}")
            }
            Self::ScoreUnderOtherKey { name, key } => {
                write!(f, "{name}: no hypothesis has a score; is it key {:?}?", clip(key))
            }
            Self::ReferenceUnderOtherKey { name, key } => write!(
                f,
                "{name}: no list has a reference; if key {:?} has it, rename it to \"ref\"",
                clip(key)
            ),
            Self::NumberedLists { name, stem } => {
                write!(f, "{name}: lists without an id are named by their position, from {stem}-1")
            }
            Self::SkippedPartial { name } => write!(f, "{name}: partial results are skipped"),
            Self::CertainConfidence { name } => write!(
                f,
                "{name}: the recogniser reports 1 for every confidence of a list, which is not used as a score"
            ),
            Self::NormalisedScores { name } => write!(
                f,
                "{name}: the scores are divided by the length of the hypotheses, and stay so because the numbers of \
                 tokens are missing"
            ),
            Self::AssumedLengthPenalty { name } => write!(
                f,
                "{name}: key \"length_penalty\" is missing; the scores are multiplied by the length, as for 1, the default"
            ),
        }
    }
}
