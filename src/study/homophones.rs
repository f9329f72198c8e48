//! Homophones from a pronouncing dictionary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::StudyError;

/// For every word with homophones: the words that share one of its pronunciations.
///
/// The dictionary is text in Carnegie Mellon's format: a word, blanks, its phones. Additional pronunciations
/// of a word have a number after it: `word(2)`. Stress digits after vowels are ignored, so that dictionaries
/// with and without them give the same groups. Lines that start with `;;;` or `#`, and text after a `#` among
/// the phones, are comments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Homophones {
    words: HashMap<String, Vec<String>>,
}

impl Homophones {
    /// Reads a dictionary; `name` is used in errors.
    ///
    /// # Errors
    /// [`StudyError::Dictionary`] names a line without phones, or a dictionary without homophones.
    pub fn read(text: &str, name: &str) -> Result<Self, StudyError> {
        let wrong = |line: usize, what: &str| StudyError::Dictionary {
            name: name.to_owned(),
            line,
            what: what.to_owned(),
        };
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut lines = 0;
        for (at, line) in text.lines().enumerate() {
            lines = at + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with(";;;") || line.starts_with('#') {
                continue;
            }
            let mut parts = line.split_whitespace();
            let word = parts.next().unwrap_or_default();
            let phones: Vec<&str> = parts
                .take_while(|phone| !phone.starts_with('#'))
                .map(|phone| phone.trim_end_matches(|c: char| c.is_ascii_digit()))
                .collect();
            if phones.is_empty() {
                let what =
                    "a word without phones; expected a word and its phones, as in `sea S IY`";
                return Err(wrong(lines, what));
            }
            let word = without_number(word).to_lowercase();
            // Entries for punctuation marks contain letters but are not words.
            if word.starts_with(char::is_alphabetic) {
                groups.entry(phones.join(" ")).or_default().insert(word);
            }
        }
        let mut words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in groups.values().filter(|group| group.len() > 1) {
            for word in group {
                let others = group.iter().filter(|other| *other != word).cloned();
                words.entry(word.clone()).or_default().extend(others);
            }
        }
        if words.is_empty() {
            return Err(wrong(lines, "the dictionary has no two words with equal phones"));
        }
        let sorted = words.into_iter().map(|(word, others)| (word, others.into_iter().collect()));
        Ok(Self { words: sorted.collect() })
    }

    /// The homophones of a word, in alphabetical order; none for most words.
    #[must_use]
    pub fn of(&self, word: &str) -> &[String] {
        self.words.get(&word.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Number of words with a homophone.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether no word has a homophone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// `word` of `word(2)`.
fn without_number(word: &str) -> &str {
    match word.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        Some((stem, number)) if !stem.is_empty() && number.parse::<u32>().is_ok() => stem,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ";;; a comment\nsea S IY1\nsee S IY0\nSEEN S IY1 N\nscene  S IY N # film\n\
                        read R EH1 D\nread(2) R IY1 D\nred R EH D\nreed R IY D\nlonely L OW N L IY\n\
                        ,comma K AA M AH\ncomma K AA M AH\n";

    #[test]
    fn homophones_are_found_for_every_pronunciation() {
        let found = Homophones::read(TEXT, "dict").unwrap();
        assert_eq!(found.of("sea"), ["see"]);
        assert_eq!(found.of("See"), ["sea"]);
        assert_eq!(found.of("scene"), ["seen"]);
        assert_eq!(found.of("read"), ["red", "reed"]);
        assert_eq!(found.of("red"), ["read"]);
        assert!(found.of("lonely").is_empty() && found.of("nowhere").is_empty());
        assert!(found.of("comma").is_empty(), "punctuation is not a homophone");
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn invalid_dictionaries_are_reported_by_line() {
        let error = |text| Homophones::read(text, "my.dict").unwrap_err().to_string();
        let message = error("sea S IY\nsee\n");
        assert!(message.starts_with("my.dict, line 2: a word without phones"), "{message}");
        assert!(error("sea S IY\nred R EH D\n").contains("no two words with equal phones"));
        assert!(error("").contains("no two words"));
    }
}
