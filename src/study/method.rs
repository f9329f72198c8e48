//! The methods that a study compares, by name.

/// What a study must know of a method to plan and to label it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodInfo {
    /// Name in configurations and results.
    pub name: &'static str,
    /// Name in reports.
    pub label: &'static str,
    /// Whether it is trained; the baselines are not.
    pub trained: bool,
    /// Whether it has a rank.
    pub rank: bool,
    /// Whether it has targets, the linear layers that are adapted.
    pub targets: bool,
}

const fn plain(name: &'static str, label: &'static str) -> MethodInfo {
    MethodInfo { name, label, trained: true, rank: false, targets: false }
}

const fn low_rank(name: &'static str, label: &'static str) -> MethodInfo {
    MethodInfo { name, label, trained: true, rank: true, targets: true }
}

const fn baseline(name: &'static str, label: &'static str) -> MethodInfo {
    MethodInfo { name, label, trained: false, rank: false, targets: false }
}

/// Every method, in the order of reports.
pub const METHODS: [MethodInfo; 16] = [
    baseline("first-pass", "First pass"),
    baseline("pll", "PLL"),
    baseline("pll-length", "PLL, length weight"),
    plain("full", "Full fine-tuning"),
    plain("head", "Head only"),
    plain("bitfit", "BitFit"),
    plain("prefix", "Prefix tuning"),
    plain("houlsby", "Residual adapters"),
    low_rank("lora", "LoRA"),
    low_rank("lorb", "LoRB"),
    low_rank("rslora", "rsLoRA"),
    low_rank("dora", "DoRA"),
    low_rank("adalora", "AdaLoRA"),
    low_rank("adalorb", "AdaLoRA + correlation"),
    low_rank("rank-warmup", "LoRA, high-rank warm-up"),
    low_rank("mixed-rank", "LoRA, mixed rank"),
];

/// The method of this name.
#[must_use]
pub fn method(name: &str) -> Option<&'static MethodInfo> {
    METHODS.iter().find(|method| method.name == name)
}

/// Whether the method is named for its correlation term.
pub(super) fn has_correlation(name: &str) -> bool {
    matches!(name, "lorb" | "adalorb")
}

/// Whether the method scores by pseudo-log-likelihood, which takes a base with a masked-language head.
#[must_use]
pub fn is_masked(name: &str) -> bool {
    matches!(name, "pll" | "pll-length")
}

/// Its name in reports; a name that this version does not know stands for itself.
#[must_use]
pub(super) fn label(name: &str) -> &str {
    method(name).map_or(name, |method| method.label)
}

/// Its place in reports; unknown ones come last.
pub(super) fn place(name: &str) -> usize {
    METHODS.iter().position(|method| method.name == name).unwrap_or(METHODS.len())
}
