//! A study compares methods over domains, sizes and settings: plan, records and report.
//!
//! This module uses no clock and no files. The caller reads the lists, trains one [`Cell`] after the other,
//! stores a [`Record`] of each, and passes them to [`report`].
//!
//! | file | what |
//! |---|---|
//! | `config`, `training` | [`StudyConfig`], the validated configuration file |
//! | `method` | the methods by name, and which axes they have |
//! | `cell`, `plan` | [`Cell`], one run; [`plan()`], the cells of a configuration, each once |
//! | `data` | fingerprints of lists, and nested subsets of them |
//! | `record`, `check`, `estimate` | [`Record`], the result of a run, and its checks; estimates of the remaining time |
//! | `measure` | errors per utterance from scores, and the isotropy of embeddings |
//! | `statistics` | intervals over seeds, paired tests, bins, fits |
//! | `homophones`, `perturb` | replacing words by homophones |
//! | `report` | tables and figures, as HTML, Markdown and SVG |

mod cell;
mod check;
mod config;
mod data;
mod error;
mod estimate;
pub mod homophones;
mod list_reading;
mod measure;
mod method;
mod perturb;
mod plan;
mod record;
pub mod report;
pub mod statistics;
#[cfg(test)]
mod tests;
mod training;

pub use cell::{Cell, CellId, Inputs};
pub use config::{
    BaseName, Budget, Domain, Grid, Part, RobustnessConfig, Size, StudyConfig, Target,
};
pub use data::{fingerprint, order, subset};
pub use error::StudyError;
pub use estimate::expected_seconds;
pub use homophones::Homophones;
pub use list_reading::ListReading;
pub use measure::{CUTS, isotropy, outcomes};
pub use method::{StudyMethod, is_masked, method, methods};
pub use perturb::{Perturbation, Scope};
pub use plan::{Plan, Planned, plan};
pub use record::{
    DevPoint, DomainResult, Measured, Outcome, Perturbed, Record, Seconds, Trained, TruncatedErrors,
};
