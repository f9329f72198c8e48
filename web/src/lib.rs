//! LoRB for the browser: the JavaScript interface of the core.
//!
//! Built for wasm32 with wasm-bindgen. One instance runs in one worker; pages use the npm package around it. Code that
//! needs no browser has native tests.

// Exports take JavaScript values by value: wasm-bindgen passes references with an instruction that Debian's
// wasm-opt does not support.
#![allow(clippy::needless_pass_by_value)]
#![warn(missing_docs)]

mod error;
#[cfg(any(target_arch = "wasm32", test))]
mod objects;
mod options;
mod thrown;

#[cfg(target_arch = "wasm32")]
mod adapters;
#[cfg(target_arch = "wasm32")]
mod convert;
#[cfg(target_arch = "wasm32")]
mod device;
#[cfg(target_arch = "wasm32")]
mod files;
#[cfg(target_arch = "wasm32")]
mod lists;
#[cfg(target_arch = "wasm32")]
mod loader;
#[cfg(target_arch = "wasm32")]
mod model;
#[cfg(target_arch = "wasm32")]
mod scoring;
#[cfg(target_arch = "wasm32")]
mod start;
#[cfg(target_arch = "wasm32")]
mod tokenizer;
#[cfg(target_arch = "wasm32")]
mod trainer;

pub use error::WebError;
pub use options::{AdapterOptions, train_config};

#[cfg(target_arch = "wasm32")]
pub use {device::GpuDevice, loader::BaseLoader, model::Model, trainer::Trainer};
