//! LoRB for the browser.
//!
//! So far what needs no device: reading N-best lists and counting word errors, as the JavaScript
//! bindings will hand them on. Building this crate for wasm32 also checks that the whole core,
//! training included, compiles there.

#![warn(missing_docs)]

use std::io::Cursor;

pub use lorb::nbest::{NbestError, Utterance};
pub use lorb::train::{Message, TrainConfig, Trainer};

use lorb::nbest::JsonLines;
use lorb::score::{Evaluation, RESAMPLES, Report};

/// Reads N-best lists from the bytes of a file, plain or gzipped JSON lines. `name` is what errors
/// call it.
///
/// # Errors
/// [`NbestError`] names the first invalid line.
pub fn lists(bytes: &[u8], name: &str) -> Result<Vec<Utterance>, NbestError> {
    JsonLines::new(Cursor::new(bytes), name).collect()
}

/// WER of the first pass and of the oracle over `lists`.
#[must_use]
pub fn report(lists: &[Utterance], seed: u64) -> Report {
    let mut evaluation = Evaluation::new();
    for utterance in lists {
        evaluation.add(utterance, None);
    }
    evaluation.report(RESAMPLES, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_judged() {
        let line = r#"{"id":"u","ref":"a b c","nbest":[{"text":"a x c","score":-1},{"text":"a b c","score":-2}]}"#;
        let lists = lists(line.as_bytes(), "dropped file").unwrap();
        let report = report(&lists, 0);
        assert_eq!(report.first_pass.wer, Some(1.0 / 3.0));
        assert_eq!(report.oracle.wer, Some(0.0));
        assert!(report.rescored.is_none());
    }

    #[test]
    fn an_invalid_line_is_named() {
        let error = super::lists(b"{\"id\":1}", "dropped file").unwrap_err().to_string();
        assert!(error.contains("dropped file") && error.contains('1'), "{error}");
    }
}
