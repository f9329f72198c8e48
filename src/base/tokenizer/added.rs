//! Tokens that are found in a text before it is split into words, such as `[MASK]`.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer};

use super::normalize::is_word;
use crate::bounds::MAX_ADDED_TOKEN_BYTES;

/// A token that is added to a vocabulary. Its id follows from the vocabulary and the order, as in Transformers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddedToken {
    pub content: String,
    /// Whether it is not found within a word.
    pub single_word: bool,
    /// Whether white space before it is part of it.
    pub lstrip: bool,
    pub rstrip: bool,
    /// Whether it is found in the normalised text.
    pub normalized: bool,
    pub special: bool,
}

impl AddedToken {
    /// A special token of a vocabulary.
    pub fn special(content: &str) -> Self {
        let content = content.to_owned();
        Self {
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }
}

/// A token of `tokenizer.json` with its id, which only orders the tokens.
#[derive(Debug)]
pub struct NumberedToken {
    pub id: u64,
    pub token: AddedToken,
}

impl<'de> Deserialize<'de> for NumberedToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            id: u64,
            content: String,
            #[serde(default)]
            single_word: bool,
            #[serde(default)]
            lstrip: bool,
            #[serde(default)]
            rstrip: bool,
            normalized: bool,
            #[serde(default)]
            special: bool,
        }
        let Fields { id, content, single_word, lstrip, rstrip, normalized, special } =
            Fields::deserialize(deserializer)?;
        let token = AddedToken { content, single_word, lstrip, rstrip, normalized, special };
        Ok(Self { id, token })
    }
}

/// The added tokens of a tokenizer.
#[derive(Debug, Clone, Default)]
pub struct AddedTokens {
    ids: HashMap<String, u32>,
    /// Those found in the raw text.
    pub verbatim: Matcher,
    /// Those found in the normalised text.
    pub normalized: Matcher,
}

impl AddedTokens {
    /// A token has its id in the vocabulary of `size` pieces, or the next free one.
    pub fn new(
        tokens: Vec<AddedToken>,
        size: usize,
        id: impl Fn(&str) -> Option<u32>,
        normalize: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let mut added = Self::default();
        let mut next = u32::try_from(size).unwrap_or(u32::MAX);
        let mut seen = HashSet::new();
        for token in &tokens {
            let (content, length) = (&token.content, token.content.len());
            if length > MAX_ADDED_TOKEN_BYTES {
                let limit = MAX_ADDED_TOKEN_BYTES;
                return Err(format!("an added token has {length} bytes; expected at most {limit}"));
            }
            if content.is_empty() || !seen.insert(token) {
                continue;
            }
            let known = added.ids.get(content).copied().or_else(|| id(content));
            let id = known.unwrap_or(next);
            if known.is_none() {
                next = next.saturating_add(1);
            }
            added.ids.insert(content.clone(), id);
        }
        // Of equal patterns the first one counts, and special tokens come first.
        let mut special = HashSet::new();
        let first = tokens.iter().filter(|token| token.special);
        let first: Vec<_> = first.filter(|token| special.insert(&token.content)).collect();
        let others = tokens.iter().filter(|t| !t.special && !special.contains(&t.content));
        for token in first.into_iter().chain(others) {
            let Some(&id) = added.ids.get(&token.content) else { continue };
            if token.normalized {
                let pattern = normalize(&token.content)?;
                if pattern.is_empty() {
                    let content = &token.content;
                    return Err(format!("the added token {content:?} is empty when normalised"));
                }
                added.normalized.add(&pattern, token, id);
            } else {
                added.verbatim.add(&token.content, token, id);
            }
        }
        Ok(added)
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        self.ids.iter().map(|(token, id)| (token.as_str(), *id))
    }
}

/// Finds the leftmost, longest tokens.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// A tree of bytes; the first node is the root.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Sorted by byte.
    next: Vec<(u8, u32)>,
    token: Option<Found>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    id: u32,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

impl Matcher {
    fn add(&mut self, pattern: &str, token: &AddedToken, id: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for byte in pattern.bytes() {
            let free = self.nodes.len();
            let next = &mut self.nodes[at].next;
            at = match next.binary_search_by_key(&byte, |(byte, _)| *byte) {
                Ok(found) => next[found].1 as usize,
                Err(place) => {
                    next.insert(place, (byte, free as u32));
                    self.nodes.push(Node::default());
                    free
                }
            };
        }
        let AddedToken { single_word, lstrip, rstrip, .. } = *token;
        self.nodes[at].token.get_or_insert(Found { id, single_word, lstrip, rstrip });
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The longest token at the start of `bytes`, and its length.
    fn longest(&self, bytes: &[u8]) -> Option<(Found, usize)> {
        let (mut node, mut found) = (self.nodes.first()?, None);
        for (at, byte) in bytes.iter().enumerate() {
            let Ok(next) = node.next.binary_search_by_key(byte, |(byte, _)| *byte) else { break };
            node = &self.nodes[node.next[next].1 as usize];
            found = node.token.map(|token| (token, at + 1)).or(found);
        }
        found
    }

    /// Splits a text at the tokens, lazily.
    pub fn split<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Part<'a>> {
        let (mut searched, mut start) = (if self.is_empty() { text.len() } else { 0 }, 0);
        let mut waiting = None;
        std::iter::from_fn(move || {
            if let Some(token) = waiting.take() {
                return Some(token);
            }
            while searched < text.len() {
                let Some((token, length)) = self.longest(&text.as_bytes()[searched..]) else {
                    searched += 1;
                    continue;
                };
                let (mut from, mut to) = (searched, searched + length);
                searched = to;
                let (before, after) = (&text[..from], &text[to..]);
                let within = before.chars().next_back().is_some_and(is_word)
                    || after.chars().next().is_some_and(is_word);
                if token.single_word && within {
                    continue;
                }
                if token.lstrip {
                    from = before.trim_end().len().max(start);
                }
                if token.rstrip {
                    to += after.len() - after.trim_start().len();
                }
                let text = Part::Text(start, text.get(start..from).unwrap_or_default());
                start = to;
                if let Part::Text(_, "") = text {
                    return Some(Part::Token(token.id));
                }
                waiting = Some(Part::Token(token.id));
                return Some(text);
            }
            let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
            let part = Part::Text(start, rest);
            start = text.len();
            Some(part)
        })
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The id of a token.
    Token(u32),
    /// Text between tokens, and its first byte.
    Text(usize, &'a str),
}
