//! Making a smaller base: a student that learns to give the hidden states of its teacher.
//!
//! The student starts with some of the teacher's layers and a part of its vocabulary, and is then trained on plain text
//! like any adapter: [`Imitation`] is a [`Task`](crate::train::Task) of the trainer, with full fine-tuning as the method.
//! A student as wide as its teacher learns its hidden states, as in TinyBERT (Jiao et al., arXiv 1909.10351). A narrower one
//! starts with random values and learns the relations of words, as in MiniLM (Wang et al., arXiv 2002.10957).
//!
//! | file | what |
//! |---|---|
//! | `student` | the student's shape, and its files before training |
//! | `vocabulary` | which word pieces stay or are learnt, and the files of the other tokenizer |
//! | `corpus` | texts as tokens of both models, aligned by words |
//! | `losses` | the parts that are compared |
//! | `imitation` | the task: loss and gradient of a batch |
//! | `run` | a run from files to files |

mod corpus;
mod error;
mod imitation;
mod losses;
mod run;
mod student;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use corpus::Corpus;
pub use error::DistillError;
pub use imitation::Imitation;
pub use losses::Losses;
pub use run::Distillation;
pub use student::{BaseBytes, LayerMap, Shape, Student, Width};
pub use vocabulary::{Pieces, Vocabulary};
