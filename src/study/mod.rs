//! A study: one comparison of methods over domains, sizes and settings, planned, recorded and
//! reported.
//!
//! What is here knows no clock and no files. Whoever runs the study reads the lists, trains a
//! [`Cell`] after the other, writes down a [`Record`] of each, and has [`report`] make of them what
//! people read.
//!
//! | file | what |
//! |---|---|
//! | `config`, `training` | [`StudyConfig`], what a configuration file says, checked |
//! | `method` | the methods by name, and which axes they have |
//! | `cell`, `plan` | [`Cell`], one run; [`plan()`], the cells of a configuration, each once |
//! | `data` | fingerprints of lists, and nested parts of them |
//! | `record`, `estimate` | [`Record`], what a run leaves; how long others will take |
//! | `measure` | errors per utterance from scores, and the isotropy of embeddings |
//! | `statistics` | intervals over seeds, paired tests, bins, fits |
//! | `homophones`, `perturb` | words of equal sound in place of others |
//! | `report` | tables and figures, as HTML, Markdown and SVG |

mod cell;
mod config;
mod data;
mod error;
mod estimate;
pub mod homophones;
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
pub use measure::{CUTS, isotropy, outcomes};
pub use method::{StudyMethod, is_masked, method, methods};
pub use perturb::{Perturbation, Scope};
pub use plan::{Plan, Planned, plan};
pub use record::{
    Cut, DevPoint, DomainResult, Measured, Outcome, Perturbed, Record, Seconds, Trained,
};
