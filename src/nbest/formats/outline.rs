//! What detection sees of JSON: the keys of the first value, as far as it is there.

/// Levels that are looked at.
const DEPTH: usize = 8;

/// Keys that are looked at.
const KEYS: usize = 256;

/// The beginning of a stream of JSON.
pub(super) struct Outline {
    /// Whether the file is one list.
    pub is_list: bool,
    /// Paths of keys to the values of the first object. `[]` is the first element of a list. The last part is the
    /// kind of the value: `"`, `#`, `{` for an empty object, `[` for an empty list.
    paths: Vec<Vec<String>>,
}

impl Outline {
    /// The outline of the first bytes, if they are JSON.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let is_list = match head.trim_ascii_start().first() {
            Some(b'{') => false,
            Some(b'[') => true,
            _ => return None,
        };
        let mut walk = Walk { rest: head, path: Vec::new(), paths: Vec::new() };
        // The head may end anywhere.
        let _ = walk.value(true);
        if is_list {
            walk.paths.iter_mut().for_each(|path| drop(path.remove(0)));
        }
        Some(Self { is_list, paths: walk.paths })
    }

    /// Whether there is a value at a path that begins with these parts. `*` is any part.
    pub(super) fn has(&self, parts: &[&str]) -> bool {
        let matches = |path: &Vec<String>| {
            path.len() >= parts.len()
                && parts.iter().zip(path).all(|(part, found)| *part == "*" || part == found)
        };
        self.paths.iter().any(matches)
    }

    /// Whether an object inside the first member has a key that begins like this.
    pub(super) fn has_inside(&self, start: &str) -> bool {
        self.paths.iter().any(|path| path.len() > 2 && path[1].starts_with(start))
    }
}

/// `None`: the bytes end, or are not JSON.
type Walked = Option<()>;

struct Walk<'a> {
    rest: &'a [u8],
    path: Vec<String>,
    paths: Vec<Vec<String>>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, record: bool) -> Walked {
        match self.next()? {
            b'{' => self.object(record),
            b'[' => self.list(record),
            b'"' => {
                self.string()?;
                self.note("\"", record);
                Some(())
            }
            _ => {
                let end = self.rest.iter().position(|byte| b",]} \t\r\n".contains(byte))?;
                self.rest = &self.rest[end..];
                self.note("#", record);
                Some(())
            }
        }
    }

    fn object(&mut self, record: bool) -> Walked {
        self.rest = &self.rest[1..];
        if self.next()? == b'}' {
            self.rest = &self.rest[1..];
            self.note("{", record);
            return Some(());
        }
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let key = String::from_utf8_lossy(self.string()?).into_owned();
            if self.next()? != b':' {
                return None;
            }
            self.rest = &self.rest[1..];
            self.inside(key, record)?;
            if !self.another(b'}')? {
                return Some(());
            }
        }
    }

    fn list(&mut self, record: bool) -> Walked {
        self.rest = &self.rest[1..];
        if self.next()? == b']' {
            self.rest = &self.rest[1..];
            self.note("[", record);
            return Some(());
        }
        let mut first = true;
        loop {
            self.inside("[]".to_owned(), record && std::mem::take(&mut first))?;
            if !self.another(b']')? {
                return Some(());
            }
        }
    }

    /// A value inside another one.
    fn inside(&mut self, part: String, record: bool) -> Walked {
        if self.path.len() == DEPTH {
            return None;
        }
        self.path.push(part);
        let begins = self.next();
        let walked = match begins {
            Some(_) => self.value(record),
            None => None,
        };
        if walked.is_none()
            && record
            && self.paths.last().is_none_or(|path| !path.starts_with(&self.path))
        {
            // Also a value that is not complete.
            self.note(
                match begins {
                    Some(b'"') => "\"",
                    Some(b'{') => "{",
                    Some(b'[') => "[",
                    _ => "",
                },
                true,
            );
        }
        self.path.pop();
        walked
    }

    /// Whether another member follows, rather than the end.
    fn another(&mut self, end: u8) -> Option<bool> {
        let byte = self.next()?;
        self.rest = &self.rest[1..];
        (byte == b',' || byte == end).then_some(byte == b',')
    }

    fn note(&mut self, kind: &str, record: bool) {
        if record && self.paths.len() < KEYS && !self.path.is_empty() {
            let mut path = self.path.clone();
            path.push(kind.to_owned());
            self.paths.push(path);
        }
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let mut escaped = false;
        for (at, byte) in self.rest.iter().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let text = &self.rest[1..at];
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                _ => {}
            }
        }
        None
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_first_value() {
        let text = br#" [{"a":1,"b":[{"c":"x","d":[[2,3]]},{"e":1}],"f":{}},{"z":1}]"#;
        let outline = Outline::of(text).unwrap();
        assert!(outline.is_list);
        let paths: Vec<String> = outline.paths.iter().map(|path| path.join(" ")).collect();
        assert_eq!(paths, ["a #", "b [] c \"", "b [] d [] [] #", "f {"]);
        assert!(outline.has(&["b", "[]", "d"]) && outline.has(&["*", "[]", "c", "\""]));
        assert!(!outline.has(&["z"]) && !outline.has(&["b", "[]", "e"]));
        for text in [&b"u1 hello"[..], b"", b"\"a\""] {
            assert!(Outline::of(text).is_none());
        }
    }

    #[test]
    fn the_head_may_end_anywhere() {
        let text = br#"{"u":{"hyp_1":{"score":-1.5,"text":"a"}}}"#;
        for end in 1..text.len() {
            let outline = Outline::of(&text[..end]).unwrap();
            assert_eq!(outline.has_inside("hyp_"), end > 13, "{end}");
        }
        assert!(Outline::of(&b"[".repeat(1000)).is_some());
    }
}
