//! First-pass scores by part.

/// What the parts of a first-pass score are, by name: `am` for the acoustic model, `lm` for the recogniser's language
/// model, `ctc`, `att` and others. Values are natural log-probabilities, higher is better. Names are distinct and in
/// alphabetical order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    members: Vec<(Box<str>, f64)>,
}

impl Parts {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Number of parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Names with their values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.members.iter().map(|(name, value)| (&**name, *value))
    }

    /// The value of a part.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.place(name).ok().map(|at| self.members[at].1)
    }

    /// Sets the value of a part, and returns the value that it replaces.
    pub fn insert(&mut self, name: &str, value: f64) -> Option<f64> {
        match self.place(name) {
            Ok(at) => Some(std::mem::replace(&mut self.members[at].1, value)),
            Err(at) => {
                self.members.insert(at, (name.into(), value));
                None
            }
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.members.iter().map(|(name, _)| size_of::<(Box<str>, f64)>() + name.len()).sum()
    }
}

impl<'a> FromIterator<(&'a str, f64)> for Parts {
    /// Of parts with the same name, the last one counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, f64)>>(parts: I) -> Self {
        let mut all = Self::default();
        for (name, value) in parts {
            all.insert(name, value);
        }
        all
    }
}
