//! Text conventions: how texts are normalised and in which units errors are counted.
//!
//! Recognisers and references often differ in what is not heard: case, punctuation, Unicode composition, the
//! character of an apostrophe. [`Conventions`] name how texts are compared. Training, tuning, rescoring and
//! evaluation use the same ones, and adapters store them. The output of rescoring keeps the recogniser's own texts.
//!
//! | file | what |
//! |---|---|
//! | `normalize` | [`Normalize`]: none, lower, basic, whisper |
//! | `whisper` | the English rules of Whisper |
//! | `unit` | [`Unit`]: words, characters, or both by script |
//! | `conventions` | [`Conventions`], and lists as they are compared |
//! | `characters` | the classes of characters that these rules need |

mod characters;
mod conventions;
mod normalize;
mod unit;
mod whisper;

pub use conventions::Conventions;
pub use normalize::Normalize;
pub use unit::{Unit, Units};

#[cfg(test)]
mod tests;
