//! Checks of texts, ids and computed scores, for all formats.

use super::Problem;
use crate::bounds::{MAX_ID_BYTES, MAX_TEXT_BYTES, MAX_TEXT_WORDS};

/// Checks a hypothesis or a reference; `place` names it.
pub(super) fn text(text: &str, place: impl FnOnce() -> String) -> Result<(), Problem> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Problem::LongText { place: place(), bytes: text.len() });
    }
    // Most texts are too short for too many words.
    if text.len() / 2 >= MAX_TEXT_WORDS {
        let words = text.split_whitespace().count();
        if words > MAX_TEXT_WORDS {
            return Err(Problem::ManyWords { place: place(), words });
        }
    }
    Ok(())
}

/// Checks the id of an utterance.
pub(super) fn id(id: &str) -> Result<(), Problem> {
    if id.len() > MAX_ID_BYTES {
        return Err(Problem::LongId { bytes: id.len() });
    }
    Ok(())
}

/// Checks a score that was computed from several values of a file; `index` is that of the hypothesis, from 1.
pub(super) fn computed(score: f64, index: usize) -> Result<f64, Problem> {
    if score.is_finite() { Ok(score) } else { Err(Problem::ScoreOverflow { index }) }
}
