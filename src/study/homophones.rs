//! Words of equal sound, from a pronouncing dictionary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::StudyError;

/// For every word that has any: the words that sound as one of its pronunciations does.
///
/// The dictionary is text in the format of Carnegie Mellon's: a word, blanks, its phones. Further
/// pronunciations of a word have a number behind it, `word(2)`. Stress digits behind vowels are
/// passed over, so that dictionaries with and without them give the same groups. Lines that begin
/// with `;;;` or `#`, and what follows a `#` among the phones, are comments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Homophones {
    words: HashMap<String, Vec<String>>,
}

impl Homophones {
    /// Reads a dictionary; `name` stands in errors.
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
                    "a word without phones; a line is a word and its phones, as in `sea S IY`";
                return Err(wrong(lines, what));
            }
            let word = without_number(word).to_lowercase();
            // Punctuation marks are written with letters in front, and are no words.
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
            return Err(wrong(lines, "the dictionary ends without two words of equal phones"));
        }
        let sorted = words.into_iter().map(|(word, others)| (word, others.into_iter().collect()));
        Ok(Self { words: sorted.collect() })
    }

    /// The words that sound like this one, in alphabetical order; none for most words.
    #[must_use]
    pub fn of(&self, word: &str) -> &[String] {
        self.words.get(&word.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// How many words have a homophone.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether none has.
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
                        read R EH1 D\nread(2) R IY1 D\nred R EH D\nreed R IY D\nalone AH L OW N\n\
                        ,comma K AA M AH\ncomma K AA M AH\n";

    #[test]
    fn words_of_equal_phones_are_found_through_every_pronunciation() {
        let found = Homophones::read(TEXT, "dict").unwrap();
        assert_eq!(found.of("sea"), ["see"]);
        assert_eq!(found.of("See"), ["sea"]);
        assert_eq!(found.of("scene"), ["seen"]);
        assert_eq!(found.of("read"), ["red", "reed"]);
        assert_eq!(found.of("red"), ["read"]);
        assert!(found.of("alone").is_empty() && found.of("nowhere").is_empty());
        assert!(found.of("comma").is_empty(), "punctuation is no homophone");
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn what_is_no_dictionary_is_named_by_line() {
        let error = |text| Homophones::read(text, "my.dict").unwrap_err().to_string();
        let message = error("sea S IY\nsee\n");
        assert!(message.starts_with("my.dict, line 2: a word without phones"), "{message}");
        assert!(error("sea S IY\nred R EH D\n").contains("without two words of equal phones"));
        assert!(error("").contains("without two words"));
    }
}
