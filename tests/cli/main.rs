//! The command line as a user meets it: what it prints, where, with which exit code, and what it
//! leaves on disk.

mod architectures;
mod bad_adapter;
mod bad_base;
mod bad_lists;
mod bad_output;
mod bench;
mod commands;
mod doctor;
mod export;
#[path = "../common/gpu.rs"]
mod gpu;
mod sandbox;
mod study;
mod training;
mod usage;
