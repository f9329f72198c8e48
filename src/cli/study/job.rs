//! Messages between a study and the process of a cell.

use lorb::study::{Cell, Inputs, Measured, StudyConfig};
use serde::{Deserialize, Serialize};

/// The job, on standard input.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub config: StudyConfig,
    pub inputs: Inputs,
    pub cell: Cell,
}

/// Messages on standard output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellMessage {
    /// The completed fraction of the run, 0 to 1, and its current activity.
    At(f64, String),
    /// The run has finished.
    Done(Box<Measured>),
    /// The run failed.
    Failed(String),
}
