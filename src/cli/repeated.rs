//! Utterance ids that occur more than once.

use lorb::nbest::SeenIds;

/// The ids so far.
#[derive(Default)]
pub struct Repeated {
    seen: SeenIds,
    /// Lists whose id an earlier list has.
    pub count: u64,
    /// The first such id.
    first: Option<String>,
}

impl Repeated {
    pub fn add(&mut self, id: &str) {
        if !self.seen.add(id) {
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
