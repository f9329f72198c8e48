//! N-best lists: the types, the readers and the writer.
//!
//! The canonical form is JSON lines, one utterance a line, plain or gzip:
//!
//! ```json
//! {"id":"u1","ref":"turn on the light","nbest":[{"text":"turn on the light","score":-3.2},{"text":"turn of the light"}]}
//! ```
//!
//! | key | value |
//! |---|---|
//! | `id` | non-empty string |
//! | `ref` | string, may be empty; absent or null where the reference is unknown |
//! | `nbest` | list of 1 to [`MAX_HYPOTHESES`] objects, any order |
//! | `nbest[].text` | string, may be empty |
//! | `nbest[].score` | first-pass log-probability, higher is better; absent or null where unknown |
//! | `nbest[].am`, `lm`, `total` | further log-probabilities; the last two are what rescoring adds |
//!
//! Other keys are kept and written back, in their order, after the known ones. A key that stands
//! twice in one object, a number that is not finite, and any other kind of value are errors.
//!
//! [`JsonLines`] reads this form from a stream, [`write_jsonl`] writes it, and [`espnet`] merges the
//! per-rank files that an ESPnet recogniser leaves. Nothing here knows of paths: a reader is given a
//! stream and the name under which its errors shall speak of it.

mod error;
pub mod espnet;
mod jsonl;
mod lines;
mod parse;
mod strict;
mod utterance;
mod write;

pub use error::{NbestError, Problem};
pub use jsonl::JsonLines;
pub use utterance::{Hypothesis, Utterance};
pub use write::write_jsonl;

/// The most hypotheses that one list may hold.
pub const MAX_HYPOTHESES: usize = 200;

/// The longest line, in bytes after decompression, that a reader takes.
///
/// A bound is what keeps memory bounded on a file that is not line-based at all, or on a small gzip
/// file that unfolds without end.
pub const MAX_LINE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests;
