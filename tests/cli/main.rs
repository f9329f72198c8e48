//! End-to-end tests of the command line: output, exit codes, and files.

mod architectures;
mod bad_adapter;
mod bad_base;
mod bad_lists;
mod bad_output;
mod bench;
mod brought;
mod commands;
mod conventions;
mod convert;
mod demo;
mod distill;
mod doctor;
mod eval_html;
mod export;
#[path = "../common/gpu.rs"]
mod gpu;
#[cfg(unix)]
mod gpu_report;
mod hub;
mod hub_hostile;
mod hub_server;
mod json_formats;
#[cfg(unix)]
mod kills;
mod limits;
mod manual;
mod names;
mod outputs;
mod paths;
mod precision;
mod references;
#[cfg(unix)]
mod resume;
mod sandbox;
mod scores;
mod streams;
mod study;
mod training;
mod usage;
