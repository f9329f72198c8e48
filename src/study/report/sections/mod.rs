//! The sections of a report, one file each. A section without results is omitted.

mod appendix;
mod bases;
mod correlation;
mod cost;
mod data;
mod gain;
mod head;
mod methods;
mod robustness;
mod stability;

pub(super) use appendix::{configuration, failed, how};
pub(super) use bases::bases;
pub(super) use correlation::correlation;
pub(super) use cost::cost;
pub(super) use data::data;
pub(super) use gain::gain;
pub(super) use head::head;
pub(super) use methods::methods;
pub(super) use robustness::robustness;
pub(super) use stability::stability;

use super::numbers::{NONE, mean_percent, or_dash};
use super::view::Group;

/// The columns of WER of all domains.
fn wer_columns(domains: &[&str]) -> Vec<String> {
    domains.iter().map(|domain| format!("WER {domain}, %")).collect()
}

/// WER of all domains.
fn wers(group: &Group<'_>, domains: &[&str]) -> Vec<String> {
    domains.iter().map(|domain| or_dash(group.wer(domain), mean_percent)).collect()
}

/// A number of runs.
fn runs(group: &Group<'_>) -> String {
    if group.trained() { group.runs.len().to_string() } else { NONE.to_owned() }
}
