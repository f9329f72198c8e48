//! Tests of a whole run, on the tiny base of the golden files.

mod data;
mod objectives;
mod resume;
mod run;
mod tiny;
