//! Ids that occurred before.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The ids of the utterances so far.
///
/// It keeps hashes, to need less memory than the ids. That two ids out of ten million have the same one has a probability
/// of 3 in a million.
#[derive(Debug, Default)]
pub struct SeenIds {
    hashes: HashSet<u64>,
}

impl SeenIds {
    /// Adds an id. Returns whether it is new.
    pub fn add(&mut self, id: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.hashes.insert(hasher.finish())
    }
}
