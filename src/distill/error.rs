//! Errors of a distillation.

use super::losses::Losses;
use crate::base::BaseError;
use crate::model::ModelError;
use crate::train::TrainError;

/// Why a student cannot be made or trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistillError {
    /// The layers do not exist in the teacher, or are not in ascending order.
    #[error("layers {wanted}: expected layers of the teacher in ascending order, 1 to {found}")]
    Layers {
        /// As given.
        wanted: String,
        /// Number of layers of the teacher.
        found: usize,
    },
    /// More positions than the teacher has, or too few for a text.
    #[error("{wanted} positions: expected {least} to {most}")]
    Positions {
        /// As given.
        wanted: usize,
        /// The fewest.
        least: usize,
        /// Those of the teacher.
        most: usize,
    },
    /// A vocabulary that is too small to spell words, or larger than the teacher's.
    #[error("a vocabulary of {wanted}: expected {least} to {most} word pieces")]
    VocabularySize {
        /// As given.
        wanted: usize,
        /// The pieces that always stay.
        least: usize,
        /// Those of the teacher.
        most: usize,
    },
    /// A width that the student's heads do not divide, or that is larger than the teacher's.
    #[error(
        "width {width} with {heads} heads: expected at most {most}, a multiple of the number of heads"
    )]
    Width {
        /// As given.
        width: usize,
        /// Attention heads.
        heads: usize,
        /// The teacher's width.
        most: usize,
    },
    /// A teacher whose positions are rotary.
    #[error(
        "no student can be made of {architecture}: a layer's positions and its place in the pattern of local layers \
         belong together"
    )]
    Rotary {
        /// Architecture of the teacher.
        architecture: &'static str,
    },
    /// States of different widths cannot be compared.
    #[error(
        "losses {losses} compare states, but the student's have width {student} and the teacher's {teacher}; use relations or attention"
    )]
    Losses {
        /// As given.
        losses: Losses,
        /// The student's width.
        student: usize,
        /// The teacher's.
        teacher: usize,
    },
    /// A tokenizer whose vocabulary cannot be made smaller.
    #[error("the vocabulary cannot be made smaller: {0}")]
    Tokenizer(String),
    /// There is no text to learn from.
    #[error("no text with a word in it")]
    NoText,
    /// A text that a tokenizer refuses.
    #[error("line {line}")]
    Text {
        /// Number of the text, from 1.
        line: usize,
        /// Why.
        #[source]
        error: BaseError,
    },
    /// A text that the two tokenizers split into different words.
    #[error("line {line} has {teacher} words for the teacher and {student} for the student")]
    Words {
        /// Number of the text, from 1.
        line: usize,
        /// Words of the teacher.
        teacher: usize,
        /// Words of the student.
        student: usize,
    },
    /// The teacher's or the student's files.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The run.
    #[error(transparent)]
    Train(#[from] TrainError),
}
