//! Tests of a whole run, on the tiny base of the golden files.

mod ahead;
mod data;
mod distillation;
mod lost;
mod objectives;
mod pieces;
mod recompute;
mod resume;
mod run;
mod tiles;
pub(crate) mod tiny;
