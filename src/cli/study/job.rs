//! What passes between a study and the process that runs one of its cells.

use std::path::PathBuf;

use lorb::study::{Cell, Inputs, Measured, StudyConfig};
use serde::{Deserialize, Serialize};

/// What is to be run, on standard input.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub config: StudyConfig,
    pub folder: PathBuf,
    pub inputs: Inputs,
    pub cell: Cell,
}

/// Lines of standard output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The part of the run that is done, 0 to 1, and what it is at.
    At(f64, String),
    /// The run is done.
    Done(Box<Measured>),
    /// The run failed.
    Failed(String),
}
