//! Errors in the inputs of a study.

use thiserror::Error;

/// An error in a configuration or in a file that it names.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StudyError {
    /// An invalid value.
    #[error("`{key}` is {value}; expected {expected}")]
    Value {
        /// The key, with its table.
        key: String,
        /// Its value.
        value: String,
        /// The valid values.
        expected: String,
    },
    /// An invalid line of a pronouncing dictionary.
    #[error("{name}, line {line}: {what}")]
    Dictionary {
        /// Name of the dictionary.
        name: String,
        /// Line, from 1.
        line: usize,
        /// The problem, and the expected format.
        what: String,
    },
}

impl StudyError {
    /// An invalid value.
    pub(super) fn value(
        key: impl Into<String>,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value { key: key.into(), value: value.to_string(), expected: expected.into() }
    }
}
