//! How a study fails before it begins.

use thiserror::Error;

/// What is wrong with a configuration, or with what it names.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StudyError {
    /// A value that cannot be.
    #[error("`{key}` is {value}; expected {expected}")]
    Value {
        /// The key, with the table it is in.
        key: String,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: String,
    },
    /// A line of a pronouncing dictionary that is none.
    #[error("{name}, line {line}: {what}")]
    Dictionary {
        /// Name of the dictionary.
        name: String,
        /// Line, from 1.
        line: usize,
        /// What is the matter, and what a line looks like.
        what: String,
    },
}

impl StudyError {
    /// A value that cannot be.
    pub(super) fn value(
        key: impl Into<String>,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value { key: key.into(), value: value.to_string(), expected: expected.into() }
    }
}
