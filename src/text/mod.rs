//! Text conventions: how texts are normalised and in which units errors are counted.
//!
//! Recognisers and references often differ in what is not heard: case, punctuation, Unicode composition, the
//! character of an apostrophe. [`Conventions`] name how texts are compared. Training, tuning, rescoring and
//! evaluation use the same ones, and adapters store them. The output of rescoring keeps the recogniser's own texts.
//! [`score::compared`](crate::score::compared) gives a list in the form in which it is compared.
//!
//! | file | what |
//! |---|---|
//! | `normalize` | [`Normalize`]: none, lower, basic, whisper |
//! | `whisper` | the English rules of Whisper |
//! | `unit` | [`Unit`]: words, characters, or both by script |
//! | `conventions` | [`Conventions`], and [`Changes`] of them |
//! | `characters` | the classes of characters that these rules need |

mod characters;
mod conventions;
mod normalize;
mod unit;
mod whisper;

pub use characters::is_without_spaces;
pub use conventions::{Changes, Conventions};
pub use normalize::{Normalize, composed};
pub use unit::{Unit, Units};

#[cfg(test)]
mod tests;
