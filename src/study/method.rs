//! The methods that a study compares: baselines, and every method of the registry.

use crate::methods::METHODS;

/// The properties of a method that a study needs for planning and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StudyMethod {
    /// Name in configurations and results.
    pub name: &'static str,
    /// Name in reports.
    pub label: &'static str,
    /// Whether it is trained; baselines are not.
    pub trained: bool,
    /// Whether it has a rank, and targets: the linear layers that are adapted.
    pub low_rank: bool,
    /// For a method named after the correlation term: the same method without it.
    pub correlates: Option<&'static str>,
}

const fn baseline(name: &'static str, label: &'static str) -> StudyMethod {
    StudyMethod { name, label, trained: false, low_rank: false, correlates: None }
}

const BASELINES: [StudyMethod; 3] = [
    baseline("first-pass", "First pass"),
    baseline("pll", "PLL"),
    baseline("pll-length", "PLL, length weight"),
];

/// Every method, in the order of reports.
pub fn methods() -> impl Iterator<Item = StudyMethod> {
    let trained = METHODS.iter().map(|info| StudyMethod {
        name: info.name,
        label: info.label,
        trained: true,
        low_rank: info.low_rank,
        correlates: info.correlates,
    });
    BASELINES.into_iter().chain(trained)
}

/// The method of this name.
#[must_use]
pub fn method(name: &str) -> Option<StudyMethod> {
    methods().find(|method| method.name == name)
}

/// The name of a method with or without the correlation term, if there is one.
pub(super) fn with_correlation(name: &str, correlation: bool) -> &str {
    let found = match method(name).and_then(|method| method.correlates) {
        Some(without) => (!correlation).then_some(without),
        None if correlation => {
            methods().find(|other| other.correlates == Some(name)).map(|other| other.name)
        }
        None => None,
    };
    found.unwrap_or(name)
}

/// Whether the method scores by pseudo-log-likelihood, which needs a base with a masked-language-model head.
#[must_use]
pub fn is_masked(name: &str) -> bool {
    matches!(name, "pll" | "pll-length")
}

/// Its name in reports; an unknown name is returned unchanged.
#[must_use]
pub(super) fn label(name: &str) -> &str {
    method(name).map_or(name, |method| method.label)
}

/// Its position in reports; unknown methods come last.
pub(super) fn place(name: &str) -> usize {
    methods().position(|method| method.name == name).unwrap_or(usize::MAX)
}
