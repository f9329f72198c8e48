//! Unknown keys of a list or of a hypothesis.

use serde_json::Value;

/// Unknown keys and their values, in the order of the file.
///
/// Values are stored as JSON text without white space between tokens. So they are written back unchanged, with all
/// digits of their numbers, and need no more memory than in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extra {
    members: Vec<(Box<str>, Box<str>)>,
}

impl Extra {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Keys with their values as JSON text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The value of a key as JSON text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Sets the value of a key: in its place if there is such a key, else at the end.
    pub fn insert(&mut self, key: &str, value: &Value) {
        let value = value.to_string().into_boxed_str();
        match self.members.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, old)) => *old = value,
            None => self.members.push((key.into(), value)),
        }
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        self.members = Vec::new();
    }

    /// Adds a key that is not there yet, with its value as valid JSON text.
    pub(super) fn push(&mut self, key: &str, json: &str) {
        self.members.push((key.into(), compact(json).into_boxed_str()));
    }

    /// As [`Extra::insert`], with valid JSON text.
    pub(super) fn set(&mut self, key: &str, json: &str) {
        match self.members.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, old)) => *old = compact(json).into_boxed_str(),
            None => self.push(key, json),
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let entry = size_of::<(Box<str>, Box<str>)>();
        self.members.iter().map(|(key, value)| entry + key.len() + value.len()).sum()
    }
}

/// Valid JSON text without the white space between its tokens.
fn compact(json: &str) -> String {
    let blank = |letter: char| matches!(letter, ' ' | '\t' | '\r' | '\n');
    if !json.contains(blank) {
        return json.to_owned();
    }
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|&letter| {
        let keep = in_string || !blank(letter);
        if escaped {
            escaped = false;
        } else if letter == '"' {
            in_string = !in_string;
        } else {
            escaped = in_string && letter == '\\';
        }
        keep
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn white_space_goes_only_between_tokens() {
        for (json, expected) in [
            ("12.50", "12.50"),
            (" [1,\t2 ,\r\n{ \"a b\" : null } ] ", "[1,2,{\"a b\":null}]"),
            (r#"[ "a \" b\\" , "\\" ]"#, r#"["a \" b\\","\\"]"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }

    #[test]
    fn a_value_is_replaced_in_its_place() {
        let mut extra = Extra::default();
        extra.push("a", "[1, 2]");
        extra.push("b", "1.50");
        extra.insert("a", &json!({"x": 1}));
        extra.insert("c", &json!("y"));
        let all: Vec<_> = extra.iter().collect();
        assert_eq!(all, [("a", r#"{"x":1}"#), ("b", "1.50"), ("c", "\"y\"")]);
        assert_eq!((extra.get("b"), extra.get("d"), extra.len()), (Some("1.50"), None, 3));
    }
}
