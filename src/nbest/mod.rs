//! N-best lists: the types, the readers and the writers.
//!
//! The canonical format is JSON lines, one utterance per line, plain or gzip:
//!
//! ```json
//! {"id":"u1","ref":"turn on the light","nbest":[{"text":"turn on the light","score":-3.2},{"text":"turn of the light"}]}
//! ```
//!
//! | key | value |
//! |---|---|
//! | `id` | non-empty string |
//! | `ref` | string, may be empty; absent or null if the reference is unknown |
//! | `nbest` | list of 1 to [`MAX_HYPOTHESES`](crate::bounds::MAX_HYPOTHESES) objects, any order |
//! | `nbest[].text` | string, may be empty |
//! | `nbest[].score` | first-pass log-probability, higher is better; absent or null if unknown. [`ScoreReading`] reads costs, probabilities and other keys |
//! | `nbest[].am`, `lm` | parts of the first-pass score, if the recogniser gives them separately |
//! | `nbest[].scores` | an object with all other parts by name, such as `{"ctc":-1.5}`; at most [`MAX_SCORE_PARTS`](crate::bounds::MAX_SCORE_PARTS) parts in all |
//! | `nbest[].lm`, `total` | written by rescoring: the adapter's score, and the combined score that orders the list. The recogniser's own `lm` is then in `first_lm` |
//!
//! Other keys are kept and written back unchanged, in their order, after the known ones. A key that occurs
//! twice in one object, a number that is not finite, any other kind of value, and anything beyond the limits in
//! [`bounds`](crate::bounds) are errors.
//!
//! [`open`] reads a [`Source`] in this or another of the [`FORMATS`], [`JsonLines`] reads this form
//! from a stream, and [`write_jsonl`] writes it. [`WrittenFormat::writer`] writes the others. Readers take streams and names for error messages,
//! never paths.

mod error;
mod extra;
mod formats;
mod gzip;
mod held;
mod input;
mod items;
mod limits;
mod lines;
mod note;
mod parse;
mod parts;
mod references;
mod renamed;
mod scan;
mod scores;
mod seen_ids;
mod source;
mod strict;
mod target;
mod transcript;
mod utterance;
mod value;
mod value_end;
mod write;
mod writer;

pub use error::{NbestError, Problem};
pub use extra::Extra;
pub use formats::{
    FORMATS, Glimpse, JsonLines, ListReader, NbestFormat, OpenOptions, Opened, WRITTEN_FORMATS,
    WrittenFormat, format_by_name, open, written_format,
};
pub use held::{HeldLists, TooManyLists};
pub use note::Note;
pub use parts::Parts;
pub use references::{Reference, References};
pub use scores::{ScoreKind, ScoreReading};
pub use seen_ids::SeenIds;
pub use source::{Entry, Folder, MemoryFolder, Source, Stream};
pub use target::Target;
pub use transcript::{TRANSCRIPTS, Transcript};
pub use utterance::{Hypothesis, Utterance};
pub use write::write_jsonl;
pub use writer::{Field, ListSink, ListWriter, MemoryFiles, Omitted, Unwritable, WriteError};

#[cfg(test)]
mod tests;
