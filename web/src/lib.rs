//! LoRB for the browser: the core behind JavaScript's door.
//!
//! Built for wasm32 and bound by wasm-bindgen; one instance lives in one worker, and the npm package
//! around it is what pages use. What needs no browser is tested natively.

// Exports take JavaScript's values as their own: wasm-bindgen lends them through an instruction that Debian's
// wasm-opt does not read.
#![allow(clippy::needless_pass_by_value)]
#![warn(missing_docs)]

mod error;
#[cfg(any(target_arch = "wasm32", test))]
mod objects;
mod options;

#[cfg(target_arch = "wasm32")]
mod adapters;
#[cfg(target_arch = "wasm32")]
mod convert;
#[cfg(target_arch = "wasm32")]
mod device;
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
mod trainer;

pub use error::WebError;
pub use options::{AdapterOptions, train_config};

#[cfg(target_arch = "wasm32")]
pub use {device::GpuDevice, loader::BaseLoader, model::Model, trainer::Trainer};
