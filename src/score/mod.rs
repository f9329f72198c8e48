//! Word errors, score combination and its tuning, confidence intervals and significance tests.
//!
//! | file | what |
//! |---|---|
//! | `agreement` | how far two models' scores of the same texts differ |
//! | `edit` | word-level edit distance and [`ErrorCounts`] |
//! | `distance` | the algorithms for it |
//! | `align` | word alignment of a hypothesis with its reference |
//! | `compared` | lists in the form in which texts are compared: [`compared()`], [`distinct`] |
//! | `check` | [`TextCheck`]: signs that references and lists follow other conventions |
//! | `combine` | first pass + weighted parts + beta * lm + gamma * words, [`Weights`], [`best`] |
//! | `score_check` | signs that scores are costs, probabilities or no scores, [`ScoreCheck`] |
//! | `ranking` | a list in the order of its scores, [`RankedList`], and how it is written back |
//! | `lists` | [`ScoredList`]: one list in the numeric form that tuning needs |
//! | `tune` | the weights with the fewest errors on a development set |
//! | `tune_parts` | the same with a weight for each part of the first-pass score |
//! | `bootstrap` | percentile intervals over utterances |
//! | `significance` | matched-pairs and sign-flip tests |
//! | `changes` | what rescoring changed: utterances, words, errors by length and rank |
//! | `report`, `table` | the report of `lorb eval`, as data and as text |
//!
//! This module does not depend on a model: scores are `f64` values, one per hypothesis, higher is better.

mod agreement;
mod align;
mod bootstrap;
mod changes;
mod check;
mod combine;
mod compared;
mod distance;
mod edit;
mod lists;
mod ranking;
mod report;
mod score_check;
mod significance;
mod table;
mod tune;
mod tune_parts;

pub use agreement::Agreement;
pub use align::{AlignedWord, align_words};
pub use bootstrap::{Bootstrap, Interval, RESAMPLES, bootstrap};
pub use changes::{ChangedUtterance, Changes, Group, WordChange};
pub use check::{Finding, Form, TextCheck};
pub(crate) use combine::add_part;
pub use combine::{
    PartWeights, Weights, best, combine, first_is_sum_of_parts, first_pass, part_scores,
    weighted_first_pass, word_count,
};
pub use compared::{all_compared, compared, distinct};
pub use edit::{ErrorCounts, edit_counts, unit_errors, word_errors};
pub use lists::ScoredList;
pub use ranking::{ModelScores, Ranked, RankedList};
pub use report::{Evaluation, Report, SystemReport};
pub use score_check::{ScoreCheck, ScoreWarning};
pub use significance::{MatchedPairs, matched_pairs};
pub use tune::{TunePoint, Tuned, tune};
pub use tune_parts::{Search, tune_parts};

#[cfg(test)]
mod tests;
