//! Utterance ids that occur more than once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The ids so far. Stores 8 bytes of each: two different ids among ten million are mistaken for one with probability 3e-6.
#[derive(Default)]
pub struct Repeated {
    seen: HashSet<u64>,
    /// Lists whose id an earlier list has.
    pub count: u64,
    /// The first such id.
    first: Option<String>,
}

impl Repeated {
    pub fn add(&mut self, id: &str) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            self.count += 1;
            self.first.get_or_insert_with(|| id.to_owned());
        }
    }

    /// A message about them, if there are any.
    pub fn note(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let count = self.count;
        let lists = if count == 1 { "list has" } else { "lists have" };
        Some(format!("{count} {lists} the id of an earlier list; the first: {first:?}"))
    }
}
