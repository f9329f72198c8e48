//! Splits JSON text into the texts of its values, without building them.
//!
//! The parser checks the grammar of each value, but neither the range of numbers, nor escapes, nor nesting, nor keys
//! inside a value; [`strict`](super::strict) does.

use std::borrow::Cow;

use serde::de::{Error, IgnoredAny};
use serde_json::Deserializer;

/// White space between tokens.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Calls `each` with every key of an object and the text of its value.
pub(super) fn members<'a, E: From<serde_json::Error>>(
    object: &'a str,
    mut each: impl FnMut(&str, &'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner { rest: object };
    scanner.expect('{')?;
    if !scanner.eat('}') {
        loop {
            let key = scanner.key()?;
            scanner.expect(':')?;
            each(&key, scanner.value()?)?;
            if !scanner.eat(',') {
                break;
            }
        }
        scanner.expect('}')?;
    }
    Ok(scanner.end()?)
}

/// The texts of the values of a list.
pub(super) fn elements(list: &str) -> Result<Vec<&str>, serde_json::Error> {
    let mut scanner = Scanner { rest: list };
    let mut elements = Vec::new();
    scanner.expect('[')?;
    if !scanner.eat(']') {
        loop {
            elements.push(scanner.value()?);
            if !scanner.eat(',') {
                break;
            }
        }
        scanner.expect(']')?;
    }
    scanner.end()?;
    Ok(elements)
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// Skips a mark, if it comes next.
    fn eat(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start_matches(BLANK);
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), serde_json::Error> {
        if self.eat(mark) { Ok(()) } else { Err(Error::custom(format!("expected `{mark}`"))) }
    }

    fn key(&mut self) -> Result<Cow<'a, str>, serde_json::Error> {
        let json = self.value()?;
        let plain = json.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
        match plain.filter(|key| !key.contains('\\')) {
            Some(key) => Ok(Cow::Borrowed(key)),
            None => serde_json::from_str(json).map(Cow::Owned),
        }
    }

    /// The text of the next value.
    fn value(&mut self) -> Result<&'a str, serde_json::Error> {
        self.rest = self.rest.trim_start_matches(BLANK);
        let mut values = Deserializer::from_str(self.rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(value) => value?,
            None => return Err(Error::custom("expected a value")),
        };
        let (value, rest) = self.rest.split_at(values.byte_offset());
        self.rest = rest;
        Ok(value)
    }

    fn end(&self) -> Result<(), serde_json::Error> {
        if self.rest.trim_start_matches(BLANK).is_empty() {
            Ok(())
        } else {
            Err(Error::custom("trailing characters"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(object: &str) -> Option<Vec<(String, &str)>> {
        let mut found = Vec::new();
        let each = |key: &str, value| {
            found.push((key.to_owned(), value));
            Ok::<(), serde_json::Error>(())
        };
        members(object, each).is_ok().then_some(found)
    }

    #[test]
    fn values_are_slices_of_the_text() {
        let found = pairs(r#" { "a" : 1.50 ,"\u0062":[ {"x":"}"} , 2 ],"c":"q\"" } "#).unwrap();
        let expected = [("a", "1.50"), ("b", r#"[ {"x":"}"} , 2 ]"#), ("c", r#""q\"""#)];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(pairs("{}"), Some(vec![]));
        assert_eq!(elements("[ ]").unwrap(), [""; 0]);
        assert_eq!(elements(r#"[1,"a" , [2]]"#).unwrap(), ["1", "\"a\"", "[2]"]);
        assert_eq!(elements(&format!("[{}]", "[".repeat(9) + &"]".repeat(9))).unwrap().len(), 1);
    }

    #[test]
    fn other_text_is_rejected() {
        for object in
            ["", "{", "}", "{}x", "{,}", r#"{"a"}"#, r#"{"a":1,}"#, r#"{"a":1 2}"#, "{1:2}", "[]"]
        {
            assert_eq!(pairs(object), None, "{object}");
        }
        for list in ["", "[", "[1", "[1,]", "[1 2]", "[1]]", "[nul]", "{}"] {
            assert!(elements(list).is_err(), "{list}");
        }
    }
}
