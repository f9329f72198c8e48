//! Values of JSON text that is known to be valid.

use std::borrow::Cow;

use super::scan::{elements, members};
use super::{Extra, Problem};
use crate::bounds::MAX_UNKNOWN_KEYS;

pub(super) const OBJECT: &str = "an object";
pub(super) const LIST: &str = "a list";
pub(super) const STRING: &str = "a string";
pub(super) const NUMBER: &str = "a number";
pub(super) const NULL: &str = "null";

/// The kind of a JSON value, from its first letter.
pub(super) fn kind(json: &str) -> &'static str {
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'{') => OBJECT,
        Some(b'[') => LIST,
        Some(b'"') => STRING,
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => NULL,
        _ => NUMBER,
    }
}

/// The members of an object, which are taken by key. Those that are left are unknown keys.
pub(super) struct Fields<'a> {
    members: Vec<(Cow<'static, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(object: &'a str) -> Result<Self, Problem> {
        if kind(object) != OBJECT {
            return Err(Problem::NotAnObject { found: kind(object) });
        }
        let mut found = Vec::new();
        members(object, |key, value| {
            found.push((Cow::Owned(key.to_owned()), value));
            Ok(())
        })
        .map_err(|error| unparsed(&error))?;
        Ok(Self { members: found })
    }

    /// Whether there is such a key, with any value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(known, _)| known == key)
    }

    /// Takes the value of a key; null counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.members.iter().position(|(known, _)| known == key)?;
        let (_, value) = self.members.remove(at);
        (kind(value) != NULL).then_some(value)
    }

    /// The value of a key, which stays; null counts as absent.
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        let found = self.members.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| *value).filter(|value| kind(value) != NULL)
    }

    /// A number, which stays.
    pub(super) fn peek_number(&self, key: &'static str) -> Result<Option<f64>, Problem> {
        self.peek(key).map(|value| self.number_of(key, value)).transpose()
    }

    /// The numbers of a list, which stays.
    pub(super) fn peek_numbers(
        &self,
        key: &'static str,
        count: usize,
    ) -> Result<Option<Vec<Option<f64>>>, Problem> {
        let Some(value) = self.peek(key) else { return Ok(None) };
        let values = self.list_of(key, value)?;
        self.numbers_of(key, &values, count).map(Some)
    }

    /// The length of a list, which stays.
    pub(super) fn peek_list(&self, key: &'static str) -> Result<Option<usize>, Problem> {
        let Some(value) = self.peek(key) else { return Ok(None) };
        self.list_of(key, value).map(|values| Some(values.len()))
    }

    /// Takes a string.
    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>, Problem> {
        self.take(key).map(|value| self.string_of(key, value)).transpose()
    }

    fn string_of(&self, key: &'static str, value: &str) -> Result<String, Problem> {
        match kind(value) {
            STRING => serde_json::from_str(value).map_err(|error| unparsed(&error)),
            _ => Err(self.wrong_kind(key, "a string", value)),
        }
    }

    fn number_of(&self, key: &'static str, value: &str) -> Result<f64, Problem> {
        match kind(value) {
            NUMBER => serde_json::from_str(value).map_err(|error| unparsed(&error)),
            _ => Err(self.wrong_kind(key, "a finite number", value)),
        }
    }

    /// Takes a list.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Option<Vec<&'a str>>, Problem> {
        self.take(key).map(|value| self.list_of(key, value)).transpose()
    }

    fn list_of(&self, key: &'static str, value: &'a str) -> Result<Vec<&'a str>, Problem> {
        if kind(value) != LIST {
            return Err(self.wrong_kind(key, "a list", value));
        }
        elements(value).map_err(|error| unparsed(&error))
    }

    /// Takes a list of strings.
    pub(super) fn strings(&mut self, key: &'static str) -> Result<Option<Vec<String>>, Problem> {
        let Some(values) = self.list(key)? else { return Ok(None) };
        values
            .into_iter()
            .map(|value| self.string_of(key, value))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Takes a list of one number or null for each of `count` hypotheses.
    pub(super) fn numbers(
        &mut self,
        key: &'static str,
        count: usize,
    ) -> Result<Option<Vec<Option<f64>>>, Problem> {
        let Some(values) = self.list(key)? else { return Ok(None) };
        self.numbers_of(key, &values, count).map(Some)
    }

    fn numbers_of(
        &self,
        key: &'static str,
        values: &[&str],
        count: usize,
    ) -> Result<Vec<Option<f64>>, Problem> {
        same_length(key, values, count)?;
        let number = |value: &&str| match kind(value) {
            NULL => Ok(None),
            _ => self.number_of(key, value).map(Some),
        };
        values.iter().map(number).collect()
    }

    /// Takes a list of one value for each of `count` hypotheses.
    pub(super) fn parallel(
        &mut self,
        key: &'static str,
        count: usize,
    ) -> Result<Option<Vec<&'a str>>, Problem> {
        let Some(values) = self.list(key)? else { return Ok(None) };
        same_length(key, &values, count)?;
        Ok(Some(values))
    }

    /// The keys that were not taken.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(key, _)| &**key)
    }

    /// What was not taken.
    pub(super) fn rest(self, of: impl FnOnce() -> String) -> Result<Extra, Problem> {
        if self.members.len() > MAX_UNKNOWN_KEYS {
            return Err(Problem::ManyKeys { place: of() });
        }
        let mut extra = Extra::default();
        self.members.iter().for_each(|(key, value)| extra.push(key, value));
        Ok(extra)
    }

    pub(super) fn missing(&self, key: &'static str) -> Problem {
        Problem::MissingKey { place: String::new(), key, hint: None }
    }

    pub(super) fn wrong_kind(
        &self,
        key: &'static str,
        expected: &'static str,
        value: &str,
    ) -> Problem {
        Problem::WrongKind { place: String::new(), key, expected, found: kind(value) }
    }
}

fn same_length(key: &'static str, values: &[&str], hypotheses: usize) -> Result<(), Problem> {
    match values.len() {
        found if found == hypotheses => Ok(()),
        found => Err(Problem::Lengths { key, found, hypotheses }),
    }
}

/// An error in text that was checked before.
fn unparsed(error: &serde_json::Error) -> Problem {
    Problem::Syntax { column: error.column(), message: error.to_string(), hint: None }
}
