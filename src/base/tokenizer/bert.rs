//! BERT's own tokenizer: clean text, split at white space, punctuation and CJK characters, then word pieces.
//!
//! It reads a text one character at a time and stops when it has enough ids. A text of many megabytes costs no more
//! than its beginning; a long word is scanned, but not stored.

use super::added::{AddedToken, AddedTokens, Part};
use super::normalize::{Rules, is_punctuation};
use super::word_piece::WordPiece;

#[derive(Debug, Clone)]
pub struct Bert {
    model: WordPiece,
    rules: Option<Rules>,
    added: AddedTokens,
}

impl Bert {
    pub fn new(
        model: WordPiece,
        rules: Option<Rules>,
        added: Vec<AddedToken>,
    ) -> Result<Self, String> {
        let normalize = |text: &str| Ok(normalized(rules, text).collect());
        let added = AddedTokens::new(added, model.len(), |piece| model.id(piece), normalize)?;
        Ok(Self { model, rules, added })
    }

    /// Ids of the text's word pieces: all, or the first ones, more than `enough`.
    pub fn pieces(&self, text: &str, enough: usize) -> Result<Vec<u32>, String> {
        let mut words =
            Words { model: &self.model, ids: Vec::new(), word: String::new(), chars: 0 };
        for part in self.added.verbatim.split(text) {
            match part {
                Part::Token(id) => words.ids.push(id),
                Part::Text(_, text) => self.read(text, &mut words, enough)?,
            }
            if words.ids.len() > enough {
                break;
            }
        }
        Ok(words.ids)
    }

    fn read(&self, text: &str, words: &mut Words<'_>, enough: usize) -> Result<(), String> {
        let chars = normalized(self.rules, text);
        if self.added.normalized.is_empty() {
            return words.read(chars, enough);
        }
        let text: String = chars.collect();
        for part in self.added.normalized.split(&text) {
            match part {
                Part::Token(id) => words.ids.push(id),
                Part::Text(_, text) => words.read(text.chars(), enough)?,
            }
            if words.ids.len() > enough {
                break;
            }
        }
        Ok(())
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.model.id(token))
    }

    /// All word pieces, then the added tokens, which may be pieces too.
    pub fn pieces_and_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.model.pieces().chain(self.added.pieces())
    }

    /// Number of word pieces, including added tokens.
    pub fn len(&self) -> usize {
        let new = |(token, _): &(&str, u32)| self.model.id(token).is_none();
        self.model.len() + self.added.pieces().filter(new).count()
    }
}

fn normalized(rules: Option<Rules>, text: &str) -> impl Iterator<Item = char> {
    let changed = rules.map(|rules| rules.normalize(text));
    let unchanged = rules.is_none().then(|| text.chars());
    changed.into_iter().flatten().chain(unchanged.into_iter().flatten())
}

/// Splits characters into words, and words into pieces.
struct Words<'a> {
    model: &'a WordPiece,
    ids: Vec<u32>,
    /// The beginning of the current word: one character more than a known word has, at most.
    word: String,
    chars: usize,
}

impl Words<'_> {
    fn read(&mut self, chars: impl Iterator<Item = char>, enough: usize) -> Result<(), String> {
        for c in chars {
            let separate = is_punctuation(c);
            if separate || c.is_whitespace() {
                self.end()?;
                if separate {
                    self.push(c);
                    self.end()?;
                }
                if self.ids.len() > enough {
                    return Ok(());
                }
            } else {
                self.push(c);
            }
        }
        self.end()
    }

    fn push(&mut self, c: char) {
        if self.chars <= self.model.max_chars() {
            self.word.push(c);
            self.chars += 1;
        }
    }

    fn end(&mut self) -> Result<(), String> {
        if self.chars > 0 {
            self.model.append(&self.word, &mut self.ids)?;
            self.word.clear();
            self.chars = 0;
        }
        Ok(())
    }
}
